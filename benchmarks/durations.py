"""How long the bodies of tasks take: for the tasks, and for the measures, which do not know Django."""

NAP = 0.02
"""Seconds that `nap` sleeps."""

BUSY = 0.005
"""Seconds of CPU that `busy` uses, whoever else uses the processor."""

LONG = 0.25
"""Seconds that `long` takes."""
