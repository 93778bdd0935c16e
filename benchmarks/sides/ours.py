"""queue_tasks as a project uses it: the client enqueues through Django; the worker is `manage.py queue_worker`."""

from __future__ import annotations

import asyncio
import os
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402 - after setup

from benchmarks import tasks  # noqa: E402
from benchmarks.server import statement  # noqa: E402
from benchmarks.sides.speech import serve, timed  # noqa: E402
from queue_tasks import enqueue_many, enqueue_stream  # noqa: E402
from queue_tasks.backend import PostgresBackend  # noqa: E402
from queue_tasks.compat import task_backends  # noqa: E402
from queue_tasks.outcomes import Outcome, OutcomeKind  # noqa: E402
from queue_tasks.store import Store  # noqa: E402


def fill(job: str, count: str) -> float:
    """Enqueue many in one transaction, read from a generator as from a file of any length."""
    task = getattr(tasks, job)

    def work() -> None:
        with transaction.atomic():
            enqueue_many(task.bind() for _ in range(int(count)))

    return timed(work)


def stream(job: str, count: str) -> float:
    """Enqueue a generator of any length without holding on to anything."""
    task = getattr(tasks, job)
    return timed(lambda: enqueue_stream(task.bind() for _ in range(int(count))))


def single(job: str, count: str) -> float:
    """Enqueue one by one."""
    task = getattr(tasks, job)
    task.enqueue()

    def work() -> None:
        for _ in range(int(count)):
            task.enqueue()

    return timed(work)


def one(job: str) -> int:
    """Enqueue one."""
    getattr(tasks, job).enqueue()
    return time.monotonic_ns()


def bare(count: str) -> float:
    """The least there is: one INSERT and commit after the other, on the same connection, into two columns."""
    text = statement("queue_tasks/bare_insert")

    def work() -> None:
        with connection.cursor() as cursor:
            for _ in range(int(count)):
                cursor.execute(text)

    with connection.cursor() as cursor:
        cursor.execute(statement("queue_tasks/bare_table"))
    return timed(work)


class Fetching:
    """A worker's store, for as long as it is asked to fetch."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._store: Store | None = None

    def fetches(self, count: str, size: str) -> str:
        """Fetch and finish so many times as a worker does, `size` jobs each; the milliseconds of each fetch."""
        return self._runner.run(self._fetches(int(count), int(size)))

    def rest(self) -> str:
        """The worker ends."""
        self._runner.run(self._rest())
        return ""

    async def _fetches(self, count: int, size: int) -> str:
        if self._store is None:
            backend = task_backends["default"]
            assert isinstance(backend, PostgresBackend)
            self._store = Store(backend.settings)
            await self._store.workers.register_worker("benchmark", "benchmark", 0, None, size)
        taken = []
        for number in range(count):
            started = time.perf_counter()
            jobs = await self._store.jobs.fetch_jobs(None, size)
            seconds = time.perf_counter() - started
            if len(jobs) < size:
                raise RuntimeError(f"fetch {number} found {len(jobs)} of {size} jobs")
            taken.append(f"{1000 * seconds:.4f}")
            now = time.monotonic()
            ended = Outcome(OutcomeKind.SUCCEEDED, ended=now, started=now, result="null", keep=3600.0)
            await self._store.jobs.finish_jobs([(job, ended, None) for job in jobs])
        return " ".join(taken)

    async def _rest(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            await store.workers.unregister_worker()
            await store.close()


if __name__ == "__main__":
    fetching = Fetching()
    serve(
        {
            "fill": fill,
            "stream": stream,
            "single": single,
            "one": one,
            "bare": bare,
            "fetches": fetching.fetches,
            "rest": fetching.rest,
        }
    )
