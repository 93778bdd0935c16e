"""The tasks that are measured: bodies that do nothing, so that what is left is the queue."""

import time

from queue_tasks import task


@task
async def noop_async() -> None:
    """Do nothing on the loop."""


@task(keep=False)
async def noop_ephemeral() -> None:
    """Do nothing on the loop and leave no trace."""


@task
def noop_thread() -> None:
    """Do nothing in a thread."""


@task(executor="process")
def noop_process() -> None:
    """Do nothing in a process."""


@task
async def clock() -> float:
    """Return when the body ran, in seconds since 1970."""
    return time.time()
