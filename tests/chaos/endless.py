"""The tasks of S19 and S20: those that kill the process they run in, and those that never return."""

from __future__ import annotations

import time
from typing import Any

from queue_tasks import RetryPolicy, task
from tests.chaos.ledger import arecorded, recorded
from tests.testapp.isolated import DEATHS, MEGABYTE

TIMEOUT = 3.0  # seconds


@task(
    executor="process",
    retry=RetryPolicy(max_attempts=3, wait=0.1, jitter=0),
    memory_limit=128 * MEGABYTE,
    takes_context=True,
)
def poison(context: Any, key: str, how: str) -> None:
    """Die of it, whoever runs it."""
    with recorded(key, context):
        if how == "memory":
            held = [bytearray(MEGABYTE) for _ in range(4096)]
            raise AssertionError(f"{len(held)} MB were given")
        DEATHS[how]()


@task(timeout=TIMEOUT, takes_context=True)
def endless(context: Any, key: str) -> None:
    """In a thread."""
    with recorded(key, context):
        while True:
            time.sleep(0.01)


@task(timeout=TIMEOUT, takes_context=True)
def endless_in_c(context: Any, key: str) -> None:
    """In a thread, where no exception comes up."""
    with recorded(key, context):
        time.sleep(3600)


@task(timeout=TIMEOUT, takes_context=True)
async def endless_on_the_loop(context: Any, key: str) -> None:
    """Blocking the loop."""
    async with arecorded(key, context):
        while True:
            time.sleep(0.01)  # noqa: ASYNC251 - the point


@task(executor="process", timeout=TIMEOUT, takes_context=True)
def endless_process(context: Any, key: str) -> None:
    """In a process, refusing to end."""
    with recorded(key, context):
        while True:
            try:
                time.sleep(3600)
            except Exception:  # noqa: BLE001, S112 - the point
                continue
