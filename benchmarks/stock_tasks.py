"""The same bodies as procrastinate's own tasks, for its own worker."""

import time

from procrastinate.contrib.django import app

STARTS: list[float] = []
"""When `clock` ran, for the process that runs it."""


@app.task
async def noop_async() -> None:
    """Do nothing on the loop."""


@app.task
def noop_thread() -> None:
    """Do nothing in a thread."""


@app.task
async def clock(path: str) -> None:
    """Append the time the body ran to a file: a stock worker keeps no return value."""
    with open(path, "a", encoding="ascii") as file:  # noqa: ASYNC230, PTH123 - a line in a file is quicker than a thread
        file.write(f"{time.time()}\n")
