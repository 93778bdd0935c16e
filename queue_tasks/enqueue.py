"""Enqueueing: JobSpecs become rows, on Django's own connection, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async

from queue_tasks import compat
from queue_tasks.arguments import decode
from queue_tasks.caller import rows
from queue_tasks.conf import Options
from queue_tasks.results import TaskResult
from queue_tasks.statements import ENQUEUE_JOBS
from queue_tasks.tasks import JobSpec

R = TypeVar("R")

CHUNK = 1000
"""Jobs sent in one statement, at most."""

CHUNK_BYTES = 16 * 2**20
"""Bytes of arguments sent in one statement, about: a thousand jobs may carry a gigabyte, more than Postgres takes."""


def enqueue_many(specs: Iterable[JobSpec[R]]) -> list[TaskResult[R]]:
    """Enqueue many jobs, in the caller's transaction; their results, in order.

    specs: any iterable of `task.bind(...)`; read and sent 1,000 at a time, fewer when their arguments are long. Jobs
        for another backend than ours, such as Django's ImmediateBackend in a test, are given to it one by one.
    Raises what `bind` raises as the iterable is read: earlier chunks are then enqueued, unless the caller's transaction
    is rolled back. A job is its transaction's: use `transaction.atomic()` to enqueue all or none.
    SQL: sql/queries/enqueue_jobs.sql
    """
    results: list[TaskResult[R]] = []
    for chunk in _chunks(specs):
        results.extend(enqueue_jobs(chunk))
    return results


async def aenqueue_many(specs: Iterable[JobSpec[R]]) -> list[TaskResult[R]]:
    """See `enqueue_many`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(enqueue_many, thread_sensitive=True)(specs)


def enqueue_jobs(specs: Sequence[JobSpec[Any]]) -> list[TaskResult[Any]]:
    """Insert up to 1,000 jobs, one statement for each database they live in; send `task_enqueued` for each.

    SQL: sql/queries/enqueue_jobs.sql
    """
    by_database: dict[str | None, list[int]] = {}
    for index, spec in enumerate(specs):
        by_database.setdefault(database_of(spec.task), []).append(index)
    results: dict[int, TaskResult[Any]] = {}
    for database, indexes in by_database.items():
        if database is None:
            continue
        inserted = _insert(database, [specs[index] for index in indexes])
        for index, (job_id, enqueued_at) in zip(indexes, inserted, strict=True):
            results[index] = _ready_result(specs[index], job_id, enqueued_at)
    for index, spec in enumerate(specs):
        if index in results:
            compat.task_enqueued.send(type(spec.task.get_backend()), task_result=results[index])
        else:
            results[index] = cast("TaskResult[Any]", spec.task.get_backend().enqueue(spec.task, spec.args, spec.kwargs))
    return [results[index] for index in range(len(specs))]


def database_of(task: compat.Task[..., Any]) -> str | None:
    """The alias of the database that jobs of this task live in; None when its backend is not ours."""
    options = getattr(task.get_backend(), "settings", None)
    return options.database if isinstance(options, Options) else None


def _chunks(specs: Iterable[JobSpec[R]]) -> Iterator[list[JobSpec[R]]]:
    chunk: list[JobSpec[R]] = []
    size = 0
    for spec in specs:
        if not isinstance(spec, JobSpec):
            raise TypeError(f"enqueue_many got {spec!r}; expected jobs as task.bind(...) makes them.")
        spec.task.get_backend().validate_task(spec.task)
        if chunk and (len(chunk) == CHUNK or size + len(spec.arguments) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(spec)
        size += len(spec.arguments)
    if chunk:
        yield chunk


def _insert(database: str, specs: Sequence[JobSpec[Any]]) -> list[Any]:
    tasks = [spec.task for spec in specs]
    return rows(
        database,
        ENQUEUE_JOBS,
        {
            "queue_names": [task.queue_name for task in tasks],
            "task_names": [task.module_path for task in tasks],
            "priorities": [int(task.priority) for task in tasks],
            "locks": [spec.lock for spec in specs],
            "args": [spec.arguments for spec in specs],
            "run_afters": [task.run_after for task in tasks],
            "ephemerals": [task.keep is False for task in tasks],
        },
    )


def _ready_result(spec: JobSpec[Any], job_id: int, enqueued_at: Any) -> TaskResult[Any]:
    envelope = decode(spec.arguments)
    return TaskResult(
        task=spec.task,
        id=str(job_id),
        status=compat.TaskResultStatus.READY,
        enqueued_at=enqueued_at,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=envelope["args"],
        kwargs=envelope["kwargs"],
        backend=spec.task.backend,
        errors=[],
        worker_ids=[],
    )
