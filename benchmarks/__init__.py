"""Measurements of the queue, beside those of the stock procrastinate worker in the same run: `make bench`.

Absolute numbers depend on the machine and on who else uses it; the ratios of one run are what to compare.
"""
