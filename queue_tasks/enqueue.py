"""Enqueueing: JobSpecs become rows, on Django's own connection, in the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async
from django.db import connections

from queue_tasks import compat, tracing
from queue_tasks.caller import rows, run
from queue_tasks.conf import Options
from queue_tasks.results import TaskResult, ready, ready_many
from queue_tasks.specs import JobSpec
from queue_tasks.statements import ENQUEUE_ALIKE, ENQUEUE_JOB, ENQUEUE_JOBS
from queue_tasks.tasks import Task
from queue_tasks.telemetry import log_is_heard

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
    The results stay in memory, about a quarter of a kilobyte each; `enqueue_stream` keeps none.
    SQL: sql/queries/enqueue_alike.sql, sql/queries/enqueue_jobs.sql
    """
    results: list[TaskResult[R]] = []
    for chunk in _chunks(specs):
        results += enqueue_jobs(chunk)
    return results


async def aenqueue_many(specs: Iterable[JobSpec[R]]) -> list[TaskResult[R]]:
    """See `enqueue_many`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(enqueue_many, thread_sensitive=True)(specs)


def enqueue_stream(specs: Iterable[JobSpec[Any]]) -> int:
    """Enqueue however many jobs, in the caller's transaction; how many there were.

    As `enqueue_many`, but no result is kept: a million jobs of a generator take no more memory than a thousand. Signals
    are sent as ever. Who wants results or ids of such a stream gives `enqueue_many` a part of it at a time.
    SQL: sql/queries/enqueue_alike.sql, sql/queries/enqueue_jobs.sql
    """
    return sum(len(enqueue_jobs(chunk)) for chunk in _chunks(specs))


async def aenqueue_stream(specs: Iterable[JobSpec[Any]]) -> int:
    """See `enqueue_stream`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(enqueue_stream, thread_sensitive=True)(specs)


def enqueue_job(database: str, spec: JobSpec[R]) -> TaskResult[R]:
    """Insert one job; send `task_enqueued`. database: the alias of its backend's.

    SQL: sql/queries/enqueue_job.sql
    """
    if tracing.wanted():
        [result] = _insert(database, [spec], [spec.task])
    else:
        result = _insert_one(None, database, spec)
    if _heard():
        _tell(result)
    return result


def enqueue_jobs(specs: Sequence[JobSpec[Any]]) -> list[TaskResult[Any]]:
    """Insert up to 1,000 jobs, one statement for each database they live in; send `task_enqueued` for each.

    SQL: sql/queries/enqueue_job.sql for one, sql/queries/enqueue_alike.sql for several of one task, else
    sql/queries/enqueue_jobs.sql
    """
    tasks = _tasks_of(specs)
    databases = {id(task): database_of(task) for task in tasks}
    homes = set(databases.values())
    if len(homes) == 1 and None not in homes:
        results = _insert(cast("str", homes.pop()), specs, tasks)
        if _heard():
            for result in results:
                _tell(result)
        return results
    return _insert_apart(specs, [databases[id(spec.task)] for spec in specs])


def database_of(task: compat.Task[..., Any]) -> str | None:
    """The alias of the database that jobs of this task live in; None when its backend is not ours."""
    options = getattr(task.get_backend(), "settings", None)
    return options.database if isinstance(options, Options) else None


def _chunks(specs: Iterable[JobSpec[R]]) -> Iterator[list[JobSpec[R]]]:
    chunk: list[JobSpec[R]] = []
    size = 0
    checked: set[int] = set()
    for spec in specs:
        if not isinstance(spec, JobSpec):
            raise TypeError(f"enqueue_many got {spec!r}; expected jobs as task.bind(...) makes them.")
        # Once for each task of the chunk, whose jobs keep the task, and its id with it.
        if id(spec.task) not in checked:
            spec.task.get_backend().validate_task(spec.task)
            checked.add(id(spec.task))
        length = len(spec.arguments)
        if chunk and (len(chunk) == CHUNK or size + length > CHUNK_BYTES):
            yield chunk
            chunk, size, checked = [], 0, {id(spec.task)}
        chunk.append(spec)
        size += length
    if chunk:
        yield chunk


def _insert_apart(specs: Sequence[JobSpec[Any]], databases: Sequence[str | None]) -> list[TaskResult[Any]]:
    """Jobs of several databases, or of backends that are not ours; signals and such backends' jobs in their order."""
    by_database: dict[str, list[int]] = {}
    for index, database in enumerate(databases):
        if database is not None:
            by_database.setdefault(database, []).append(index)
    results: dict[int, TaskResult[Any]] = {}
    for database, indexes in by_database.items():
        theirs = [specs[index] for index in indexes]
        results.update(zip(indexes, _insert(database, theirs, _tasks_of(theirs)), strict=True))
    for index, spec in enumerate(specs):
        if index in results:
            _tell(results[index])
        else:
            results[index] = cast("TaskResult[Any]", spec.task.get_backend().enqueue(spec.task, spec.args, spec.kwargs))
    return [results[index] for index in range(len(specs))]


def _tasks_of(specs: Sequence[JobSpec[Any]]) -> list[Task[..., Any]]:
    """The tasks of the jobs, each once, in the order of their first jobs."""
    return list({id(spec.task): spec.task for spec in specs}.values())


def _insert(database: str, specs: Sequence[JobSpec[Any]], tasks: Sequence[Task[..., Any]]) -> list[TaskResult[Any]]:
    """Insert jobs of one database, within a span where somebody wants it. tasks: theirs, each once."""
    if not tracing.wanted():
        return _insert_under(None, database, specs, tasks)
    queues, names = [task.queue_name for task in tasks], [task.module_path for task in tasks]
    from queue_tasks import spans  # noqa: PLC0415 - only where there are any

    with spans.enqueueing(queues, names, len(specs)) as span:
        results = _insert_under(span.trace, database, specs, tasks)
        if len(results) == 1:
            span.note_id(results[0].id)
        return results


def _insert_under(
    trace: str | None, database: str, specs: Sequence[JobSpec[Any]], tasks: Sequence[Task[..., Any]]
) -> list[TaskResult[Any]]:
    """trace: what the rows say of the span that enqueues them, as JSON text."""
    if len(specs) == 1:
        return [_insert_one(trace, database, specs[0])]
    # Of JSON as we write it, no line break is a part.
    jobs = {"args": "\n".join([spec.arguments for spec in specs]), "trace": trace}
    if len(tasks) == 1:
        [task] = tasks
        locks = None if task.lock is None else [spec.lock for spec in specs]
        [(ids, at)] = rows(database, ENQUEUE_ALIKE, {**_of_the_task(task), **jobs, "locks": locks})
    else:
        [(ids, at)] = rows(database, ENQUEUE_JOBS, {**_by_task(specs, tasks), **jobs})
    return ready_many(specs, ids, at)


def _insert_one(trace: str | None, database: str, spec: JobSpec[R]) -> TaskResult[R]:
    job = _of_the_task(spec.task)
    job["lock"], job["args"], job["trace"] = spec.lock, spec.arguments, trace
    [(made,)] = run(connections[database], ENQUEUE_JOB, job, repeated=True)
    return ready(spec, *made)


def _of_the_task(task: Task[..., Any]) -> dict[str, Any]:
    """The parameters that a task gives each of its jobs."""
    return {
        "queue_name": task.queue_name,
        "task_name": task.module_path,
        "priority": int(task.priority),
        "run_after": task.run_after,
        "ephemeral": task.keep is False,
    }


def _by_task(specs: Sequence[JobSpec[Any]], tasks: Sequence[Task[..., Any]]) -> dict[str, Any]:
    """The parameters of enqueue_jobs that say of which task each job is, and its lock."""
    numbers = {id(task): str(number) for number, task in enumerate(tasks, 1)}
    locks = [spec.lock for spec in specs]
    return {
        "queue_names": [task.queue_name for task in tasks],
        "task_names": [task.module_path for task in tasks],
        "priorities": [int(task.priority) for task in tasks],
        "run_afters": [task.run_after for task in tasks],
        "ephemerals": [task.keep is False for task in tasks],
        "tasks": "\n".join([numbers[id(spec.task)] for spec in specs]),
        "locks": locks if any(locks) else None,
    }


def _heard() -> bool:
    """Whether anybody hears of enqueued jobs: a receiver, or the log to which Django writes a line for each."""
    if log_is_heard(logging.DEBUG):
        return True
    its_own = id(compat.log_task_enqueued)
    for key, *_ in compat.task_enqueued.receivers:  # noqa: SIM110 - `any` would make a generator for each job
        if key[0] != its_own:
            return True
    return False


def _tell(result: TaskResult[Any]) -> None:
    compat.task_enqueued.send(type(result.task.get_backend()), task_result=result)
