"""The worker's side: asynchronous, on connections of its own. Each module is one role; worker.py puts them together."""
