"""procrastinate's own worker on its own tables, without Django, which would only slow it down."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.tasks import Task

from benchmarks.sides import speech

CONCURRENCY = int(os.environ.get("BENCHMARK_CONCURRENCY", "20"))
CHUNK = 1000

app = App(connector=PsycopgConnector(min_size=4, max_size=10))


@app.task(name="noop")
async def noop() -> None:
    """Do nothing on the loop."""
    speech.tally()


@app.task(name="noop_thread")
def noop_thread() -> None:
    """Do nothing in a thread."""
    speech.tally()


@app.task(name="clock")
async def clock() -> None:
    """Say when it started."""
    speech.clock()


TASKS: dict[str, Task[Any, Any, Any]] = {"noop": noop, "thread": noop_thread, "clock": clock}


def fill(job: str, count: str) -> float:
    """Enqueue a thousand in a statement."""
    left = int(count)

    def work() -> None:
        for begin in range(0, left, CHUNK):
            TASKS[job].batch_defer(*[{} for _ in range(min(CHUNK, left - begin))])

    return speech.timed(work)


def single(job: str, count: str) -> float:
    """Enqueue one by one."""
    TASKS[job].defer()

    def work() -> None:
        for _ in range(int(count)):
            TASKS[job].defer()

    return speech.timed(work)


def one(job: str) -> int:
    """Enqueue one."""
    TASKS[job].defer()
    return time.monotonic_ns()


async def worker() -> None:
    """Run jobs until told to stop."""
    async with app.open_async():
        speech.say("ready")
        await app.run_worker_async(concurrency=CONCURRENCY, listen_notify=True)


def client() -> None:
    """Answer."""
    with app.replace_connector(SyncPsycopgConnector()) as sync_app, sync_app.open():
        speech.serve({"fill": fill, "single": single, "one": one})


def schema() -> None:
    """Make its tables."""
    with app.replace_connector(SyncPsycopgConnector()) as sync_app, sync_app.open():
        sync_app.schema_manager.apply_schema()


if __name__ == "__main__":
    role = sys.argv[1]
    if role == "worker":
        asyncio.run(worker())
    else:
        {"client": client, "schema": schema}[role]()
