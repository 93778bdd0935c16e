"""The tasks of the scenarios, one for each way to run a body. Each takes a key, by which the ledger knows it.

MODES names those this version of the library can declare: what it cannot is left out, and the scenarios with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from asgiref.sync import sync_to_async

from queue_tasks import RetryPolicy, task
from queue_tasks.compat import InvalidTask
from tests.chaos.canonical import canonical
from tests.chaos.ledger import arecorded, await_at_gate, effect, recorded, wait_at_gate, watch, writers_meet

RETRY = RetryPolicy(max_attempts=25, wait=0.2, backoff=1.5, max_wait=2, jitter=0.1)
"""A database that is away for seconds must not fail a job for good."""


@task(retry=RETRY, takes_context=True)
def work(context: Any, key: str, seconds: float = 0.0) -> str:
    """Start, take some time, leave an effect, end; in a thread."""
    with recorded(key, context):
        time.sleep(seconds)
        effect(key, context)
    return key


@task(retry=RETRY, takes_context=True)
async def work_async(context: Any, key: str, seconds: float = 0.0) -> str:
    """The same on the loop."""
    async with arecorded(key, context):
        await asyncio.sleep(seconds)
        await sync_to_async(effect)(key, context)
    return key


@task
async def accept(key: str, seconds: float = 0.0) -> None:
    """Take what the others take, and do nothing: for rows that may or may not be fit to run."""


@task(takes_context=True)
def compare(context: Any, key: str, value: Any, expected: str) -> None:
    """Fail unless the value is the one that was given."""
    with recorded(key, context):
        assert canonical(value) == expected, f"{canonical(value)} is not {expected}"
        effect(key, context)


@task(takes_context=True)
def gated(context: Any, key: str, seconds: float = 0.0) -> str:
    """Run at its first start until it is let go, or for so long; at a later one at once."""
    with recorded(key, context):
        wait_at_gate(key, seconds)
        effect(key, context)
    return key


@task(takes_context=True)
async def gated_async(context: Any, key: str, seconds: float = 0.0) -> str:
    """As `gated`, on the loop; before that each of the ledger's writers is there."""
    async with arecorded(key, context):
        await writers_meet()
        await await_at_gate(key, seconds)
        await sync_to_async(effect)(key, context)
    return key


@task(takes_context=True)
def watchful(context: Any, key: str, seconds: float = 0.0) -> str:
    """Run at its first start until it is told to stop, and note that; at a later one at once."""
    with recorded(key, context):
        watch(key, context, seconds)
        effect(key, context)
    return key


MODES = {"sync": work, "async": work_async}

with contextlib.suppress(TypeError, InvalidTask):

    @task(retry=RETRY, takes_context=True, executor="process")  # type: ignore[call-overload, unused-ignore]
    def work_process(context: Any, key: str, seconds: float = 0.0) -> str:
        """The same in a child process."""
        with recorded(key, context):
            time.sleep(seconds)
            effect(key, context)
        return key

    MODES["process"] = work_process

    @task(takes_context=True, executor="process")  # type: ignore[call-overload, unused-ignore]
    def gated_process(context: Any, key: str, seconds: float = 0.0) -> str:
        """As `gated`, in a child process."""
        with recorded(key, context):
            wait_at_gate(key, seconds)
            effect(key, context)
        return key


with contextlib.suppress(TypeError, InvalidTask):

    @task(retry=RETRY, takes_context=True, atomic=True)  # type: ignore[call-overload, unused-ignore]
    def work_atomic(context: Any, key: str, seconds: float = 0.0) -> str:
        """The same in a thread, in the transaction that finishes the job."""
        with recorded(key, context):
            effect(key, context)
            time.sleep(seconds)
        return key

    @task(takes_context=True, atomic=True)  # type: ignore[call-overload, unused-ignore]
    def gated_atomic(context: Any, key: str, seconds: float = 0.0) -> str:
        """As `gated`, its effect and its end in one transaction."""
        with recorded(key, context):
            effect(key, context)
            wait_at_gate(key, seconds)
        return key

    MODES["atomic"] = work_atomic
