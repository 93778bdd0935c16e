"""Enqueueing: JobSpecs become rows, on Django's own connection, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

from queue_tasks import compat
from queue_tasks.conf import Options
from queue_tasks.results import TaskResult
from queue_tasks.statements import ENQUEUE_JOBS
from queue_tasks.tasks import JobSpec

R = TypeVar("R")

CHUNK = 1000
"""Jobs sent in one statement."""


def enqueue_many(specs: Iterable[JobSpec[R]]) -> list[TaskResult[R]]:
    """Enqueue many jobs, in the caller's transaction; their results, in order.

    specs: any iterable of `task.bind(...)`; read and sent 1,000 at a time.
    Raises what `bind` raises as the iterable is read: earlier chunks are then enqueued, unless the caller's transaction
    is rolled back. A job is its transaction's: use `transaction.atomic()` to enqueue all or none.
    SQL: sql/queries/enqueue_jobs.sql
    """
    results: list[TaskResult[R]] = []
    iterator = iter(specs)
    while chunk := list(islice(iterator, CHUNK)):
        for spec in chunk:
            if not isinstance(spec, JobSpec):
                raise TypeError(f"enqueue_many got {spec!r}; expected jobs as task.bind(...) makes them.")
            spec.task.get_backend().validate_task(spec.task)
        results.extend(enqueue_jobs(chunk))
    return results


async def aenqueue_many(specs: Iterable[JobSpec[R]]) -> list[TaskResult[R]]:
    """See `enqueue_many`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(enqueue_many, thread_sensitive=True)(specs)


def enqueue_jobs(specs: Sequence[JobSpec[Any]]) -> list[TaskResult[Any]]:
    """Insert up to 1,000 jobs, one statement for each database they live in; send `task_enqueued` for each.

    SQL: sql/queries/enqueue_jobs.sql
    """
    by_database: dict[str, list[int]] = {}
    for index, spec in enumerate(specs):
        by_database.setdefault(database_of(spec.task), []).append(index)
    results: dict[int, TaskResult[Any]] = {}
    for database, indexes in by_database.items():
        rows = _insert(database, [specs[index] for index in indexes])
        for index, (job_id, enqueued_at) in zip(indexes, rows, strict=True):
            results[index] = _ready_result(specs[index], job_id, enqueued_at)
    ordered = [results[index] for index in range(len(specs))]
    for result in ordered:
        compat.task_enqueued.send(type(result.task.get_backend()), task_result=result)
    return ordered


def database_of(task: compat.Task) -> str:
    """The alias of the database that jobs of this task live in."""
    backend = task.get_backend()
    options = getattr(backend, "settings", None)
    if not isinstance(options, Options):
        raise TypeError(
            f"{task.module_path} uses the task backend {task.backend!r}, a {type(backend).__name__}, which has no jobs in "
            "Postgres; enqueue_many takes tasks of queue_tasks.backend.PostgresBackend."
        )
    return options.database


def _insert(database: str, specs: Sequence[JobSpec[Any]]) -> list[Any]:
    tasks = [spec.task for spec in specs]
    with connections[database].cursor() as cursor:
        cursor.execute(
            ENQUEUE_JOBS,
            {
                "queue_names": [task.queue_name for task in tasks],
                "task_names": [task.module_path for task in tasks],
                "priorities": [task.priority for task in tasks],
                "locks": [spec.lock for spec in specs],
                "args": [spec.arguments for spec in specs],
                "run_afters": [task.run_after for task in tasks],
                "ephemerals": [task.keep is False for task in tasks],
            },
        )
        return list(cursor.fetchall())


def _ready_result(spec: JobSpec[Any], job_id: int, enqueued_at: Any) -> TaskResult[Any]:
    return TaskResult(
        task=spec.task,
        id=str(job_id),
        status=compat.TaskResultStatus.READY,
        enqueued_at=enqueued_at,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=spec.args,
        kwargs=spec.kwargs,
        backend=spec.task.backend,
        errors=[],
        worker_ids=[],
    )
