"""The tasks of tests.chaos.tasks for procrastinate's own worker, and what its documentation says to run beside them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asgiref.sync import sync_to_async
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from tests.chaos.ledger import arecorded, effect, recorded, wait_at_gate, watch
from tests.testapp import hostile

RETRY = RetryStrategy(max_attempts=25, wait=1)


@app.task(name="tests.chaos.tasks.work", pass_context=True, retry=RETRY)
def work(context: JobContext, key: str, seconds: float = 0.0) -> str:
    """Start, take some time, leave an effect, end; in a thread."""
    with recorded(key, context):
        time.sleep(seconds)
        effect(key, context)
    return key


@app.task(name="tests.chaos.tasks.work_async", pass_context=True, retry=RETRY)
async def work_async(context: JobContext, key: str, seconds: float = 0.0) -> str:
    """The same on the loop."""
    async with arecorded(key, context):
        await asyncio.sleep(seconds)
        await sync_to_async(effect)(key, context)
    return key


@app.task(name="tests.chaos.tasks.gated", pass_context=True)
def gated(context: JobContext, key: str, seconds: float = 0.0) -> str:
    """Run at its first start until it is let go, or for so long; at a later one at once."""
    with recorded(key, context):
        wait_at_gate(key, seconds)
        effect(key, context)
    return key


@app.task(name="tests.chaos.tasks.watchful", pass_context=True)
def watchful(context: JobContext, key: str, seconds: float = 0.0) -> str:
    """Run at its first start until it is told to stop, and note that; at a later one at once."""
    with recorded(key, context):
        watch(key, context, seconds)
        effect(key, context)
    return key


@app.task(name="tests.chaos.tasks.accept")
async def accept(key: str, seconds: float = 0.0) -> None:
    """Take what the others take, and do nothing: for rows that may or may not be fit to run."""


for _name in ("throw", "throw_async", "throw_async_later", "give", "overflow", "overflow_async"):
    app.task(name=f"tests.testapp.hostile.{_name}")(getattr(hostile, _name).func)


# Its documentation's recipe ("Retry stalled jobs"), with the times of the scenarios instead of ten minutes and 30 s.
# Seconds are the sixth field.
@app.periodic(cron="* * * * * */5")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    """Retry the jobs of workers that have not beaten for five seconds."""
    stalled: Any = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=5)
    for job in stalled:
        await app.job_manager.retry_job(job)
