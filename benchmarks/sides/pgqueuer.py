"""pgqueuer with asyncpg and uvloop, as its own benchmark has it; runs in an environment of its own (peers.py).

Settings: one connection, batches of 500, and what its guide to performance
asks for, `pgq autovac`. Tables as it ships them, durable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.sides import speech

BATCH = 500
CHUNK = 1000


class Client:
    """Enqueues on one connection, on a loop of its own."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._connection: asyncpg.Connection = self._run(asyncpg.connect())
        self._queries = Queries(AsyncpgDriver(self._connection))

    def fill(self, job: str, count: str) -> float:
        """Enqueue a thousand in a statement, all in one transaction."""
        return speech.timed(lambda: self._run(self._fill(job, int(count))))

    async def _fill(self, job: str, count: int) -> None:
        async with self._connection.transaction():
            for begin in range(0, count, CHUNK):
                size = min(CHUNK, count - begin)
                await self._queries.enqueue([job] * size, [None] * size, [0] * size)

    def single(self, job: str, count: str) -> float:
        """Enqueue one by one."""
        self.one(job)
        return speech.timed(lambda: self._run(self._single(job, int(count))))

    async def _single(self, job: str, count: int) -> None:
        for _ in range(count):
            await self._queries.enqueue(job, None)

    def one(self, job: str) -> int:
        """Enqueue one."""
        self._run(self._queries.enqueue(job, None))
        return time.monotonic_ns()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)


async def worker() -> None:
    """Run jobs until told to stop."""
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect()))

    @queuer.entrypoint("noop")
    async def noop(_job: Job) -> None:
        speech.tally()

    @queuer.entrypoint("clock")
    async def clock(_job: Job) -> None:
        speech.clock()

    speech.say("ready")
    await queuer.run(batch_size=BATCH, dequeue_timeout=timedelta(seconds=5))


async def schema() -> None:
    """Make its tables, and tune them as its guide says."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect()))
    await queries.install()
    await queries.optimize_autovacuum()


if __name__ == "__main__":
    role = sys.argv[1]
    if role == "client":
        side = Client()
        speech.serve({"fill": side.fill, "single": side.single, "one": side.one})
    else:
        uvloop.run({"worker": worker, "schema": schema}[role]())
