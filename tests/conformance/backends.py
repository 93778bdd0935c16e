"""Our backend in the clothes of the two that Django's tests are written for.

EnqueueOnly   for DummyBackend: jobs are enqueued and stay; `results` and `clear()` look at the rows.
Eager         for ImmediateBackend: each job is run by a real worker before `enqueue` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from queue_tasks import compat
from queue_tasks.backend import PostgresBackend
from queue_tasks.results import TaskResult
from queue_tasks.testing import run_job
from queue_tasks.worker.process import run
from queue_tasks.worker.settings import WorkerSettings
from queue_tasks.worker.worker import Worker

TABLES = "procrastinate_jobs, procrastinate_events, procrastinate_workers, procrastinate_periodic_defers"
"""Unmanaged, so that Django's flush leaves them as they are."""


class EnqueueOnly(PostgresBackend):
    """As DummyBackend: what was enqueued can be looked at."""

    @property
    def results(self) -> list[TaskResult[Any]]:
        """All jobs, oldest first."""
        with connection.cursor() as cursor:
            cursor.execute("select id::text from procrastinate_jobs order by id")
            return [self.get_result(row[0]) for row in cursor.fetchall()]

    def clear(self) -> None:
        """Forget all jobs."""
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {TABLES}")


class Eager(PostgresBackend):
    """As ImmediateBackend: a job has run when enqueue returns."""

    def enqueue(self, task: compat.Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[Any]:
        """Enqueue one job, run it, and give its result."""
        result = super().enqueue(task, args, kwargs)
        if connection.in_atomic_block:
            # Another connection does not see the job yet: the worker's own pipe, on this one.
            run_job(result, raise_errors=False)
        else:
            self._drain()
        result.refresh()
        for error in result.errors:
            if error.exception_class is KeyboardInterrupt:
                # A worker outlives it and keeps it as the job's error; an eager caller is told, as by Django's.
                raise KeyboardInterrupt
        return result

    def _drain(self) -> None:
        """A real worker, with a loop and a thread of its own: the caller's may be running a loop."""
        settings = WorkerSettings(concurrency=1, name="conformance", listen=False, drain=True)
        thread = threading.Thread(target=lambda: run(Worker(self.settings, settings)))
        thread.start()
        thread.join()
