"""For your own tests: run jobs in this process and in the test's transaction, and look at those that wait.

Jobs go through the worker's real statements and its real execution, one at a time, on Django's own connection in the
thread of the caller. So they see what the test has not committed, and a rolled-back test leaves nothing.
The pytest plugin `queue_tasks.pytest_plugin` gives all of this as fixtures.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from queue_tasks import compat
from queue_tasks.backend import PostgresBackend
from queue_tasks.conf import Options
from queue_tasks.exceptions import DrainEndless
from queue_tasks.jobs import FetchedJob
from queue_tasks.results import TaskResult
from queue_tasks.statements import CLEAR_JOBS
from queue_tasks.testing.inline import InlineWorker, Ran
from queue_tasks.testing.waiting import waiting_jobs

try:
    from asgiref.sync import AsyncSingleThreadContext
except ImportError:  # asgiref < 3.9
    AsyncSingleThreadContext = contextlib.nullcontext  # type: ignore[assignment,misc]

__all__ = ["adrain", "aenqueued", "arun_job", "clear", "drain", "enqueued", "run_job"]

MAX_RUNS = 1000
"""Attempts one drain runs at the most, unless it is told otherwise."""

R = TypeVar("R")


def drain(
    queues: Sequence[str] | None = None,
    include_scheduled: bool = False,  # noqa: FBT001, FBT002 - the contract
    *,
    raise_errors: bool = True,
    max_runs: int = MAX_RUNS,
    backend: str = compat.DEFAULT_TASK_BACKEND_ALIAS,
) -> list[TaskResult[Any]]:
    """Run jobs until none is ready or due, also those that jobs enqueue; the results of all that ran, refreshed.

    queues: names, or one name; None: every queue.
    include_scheduled: also run what is scheduled for later, among it retries that wait, next in time first. The clock
        stays as it is.
    raise_errors: raise what a job failed of, as soon as one has failed for good. False: its result tells.
    max_runs: attempts, before it is taken for endless.
    backend: the entry of TASKS whose options count.
    Returns each job once, in the order of their last attempts: finished, or waiting to be tried again. Jobs of
    procrastinate's own tasks run too, but have no TaskResult.
    Raises DrainEndless, and whatever a task raises.
    """
    return _wait_for(
        "drain",
        _drain,
        queues,
        include_scheduled=include_scheduled,
        raise_errors=raise_errors,
        max_runs=max_runs,
        backend=backend,
    ).out()


async def adrain(
    queues: Sequence[str] | None = None,
    include_scheduled: bool = False,  # noqa: FBT001, FBT002 - the contract
    *,
    raise_errors: bool = True,
    max_runs: int = MAX_RUNS,
    backend: str = compat.DEFAULT_TASK_BACKEND_ALIAS,
) -> list[TaskResult[Any]]:
    """See `drain`; from async code, on the connection that async ORM calls here use."""
    drained = await _drain(
        queues,
        include_scheduled=include_scheduled,
        raise_errors=raise_errors,
        max_runs=max_runs,
        backend=backend,
        context=copy_context(),
    )
    return drained.out()


def run_job(result: TaskResult[R], *, raise_errors: bool = True) -> TaskResult[R]:
    """Run one attempt of one job now, whatever its time and whatever is before it; its result, refreshed.

    raise_errors: raise what the job failed of, if it has failed for good.
    Raises ValueError when the job does not wait to be run, TaskResultDoesNotExist when there is no such job.
    """
    return cast("TaskResult[R]", _wait_for("run_job", _run_one, result, raise_errors=raise_errors).out()[0])


async def arun_job(result: TaskResult[R], *, raise_errors: bool = True) -> TaskResult[R]:
    """See `run_job`; from async code."""
    drained = await _run_one(result, raise_errors=raise_errors, context=copy_context())
    return cast("TaskResult[R]", drained.out()[0])


def enqueued(task: compat.Task[..., Any] | None = None, /, **arguments: Any) -> list[TaskResult[Any]]:
    """The jobs that wait - ready, scheduled, or to be tried again -, oldest first.

    task: only jobs of this task, whatever `using` made of it.
    arguments: only jobs that will be called with these values, however they were passed; defaults count. A value may be
        a matcher such as `mock.ANY`.
    Raises TypeError when the task has no such argument.
    SQL: sql/queries/waiting_jobs.sql
    """
    return [
        result
        for database, alias in _our_databases().items()
        for result in waiting_jobs(database, alias, task, arguments)
    ]


async def aenqueued(task: compat.Task[..., Any] | None = None, /, **arguments: Any) -> list[TaskResult[Any]]:
    """See `enqueued`; from async code."""
    return await sync_to_async(enqueued, thread_sensitive=True)(task, **arguments)


def clear() -> None:
    """Delete all jobs, after a test that has committed some: Django's flush leaves them, as their models are unmanaged.

    The pytest plugin does it by itself; a TransactionTestCase may do it in `tearDown`.
    SQL: sql/queries/clear_jobs.sql
    """
    for database in _our_databases():
        with connections[database].cursor() as cursor:
            cursor.execute(CLEAR_JOBS)


def _our_databases() -> dict[str, str]:
    """Alias in DATABASES -> a TASKS entry whose jobs live there."""
    found: dict[str, str] = {}
    for alias in compat.task_backends.settings:
        backend = compat.task_backends[alias]
        if isinstance(backend, PostgresBackend):
            found.setdefault(backend.settings.database, alias)
    return found


@dataclass(frozen=True, slots=True)
class _Drained:
    """What came of it: results, or what a job has failed of, to be raised without asgiref in its traceback."""

    results: list[TaskResult[Any]]
    failure: BaseException | None = None

    def out(self) -> list[TaskResult[Any]]:
        if self.failure is not None:
            raise self.failure
        return self.results


def _wait_for(name: str, work: Callable[..., Coroutine[Any, Any, _Drained]], *args: Any, **options: Any) -> _Drained:
    """Run a coroutine function on a loop of its own, while this thread serves what it calls by sync_to_async."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(f"{name}() was called in async code, whose loop it would block. Write: await a{name}(...)")
    context = copy_context()
    # Without it, the loop's thread lives as long as a traceback that refers to asgiref's frames.
    with AsyncSingleThreadContext():  # type: ignore[no-untyped-call]
        return async_to_sync(work)(*args, **options, context=context)


async def _drain(
    queues: Sequence[str] | None,
    *,
    include_scheduled: bool,
    raise_errors: bool,
    max_runs: int,
    backend: str,
    context: Context,
) -> _Drained:
    queues = [queues] if isinstance(queues, str) else queues
    ran: dict[int, Ran] = {}
    names: Counter[str] = Counter()
    async with InlineWorker(_options(backend), None if queues is None else list(queues), context) as worker:
        while job := await _next(worker, include_scheduled=include_scheduled):
            if names.total() >= max_runs:
                await worker.release(job)
                raise DrainEndless(max_runs, job.id, job.task_name, names[job.task_name])
            names[job.task_name] += 1
            # Taken out and put in again: the order is that of the last attempts.
            ran.pop(job.id, None)
            ran[job.id] = await worker.run(job)
            failure = _failure(ran[job.id], raise_errors=raise_errors)
            if failure is not None:
                return _Drained([], failure)
    results = [one.result for one in ran.values() if one.result is not None]
    await sync_to_async(_refresh, thread_sensitive=True)(results)
    return _Drained(results)


async def _next(worker: InlineWorker, *, include_scheduled: bool) -> FetchedJob | None:
    job = await worker.fetch()
    while job is None and include_scheduled and await worker.promote_next():
        job = await worker.fetch()
    return job


async def _run_one(result: TaskResult[Any], *, raise_errors: bool, context: Context) -> _Drained:
    async with InlineWorker(_options(result.backend), None, context) as worker:
        job = await worker.take(int(result.id))
        if job is None:
            await result.arefresh()
            raise ValueError(
                f"job {result.id} of {result.task.module_path} is {result.status}; run_job runs a job that waits. "
                "result.retry() makes a finished one wait again."
            )
        ran = await worker.run(job)
    failure = _failure(ran, raise_errors=raise_errors)
    if failure is not None:
        return _Drained([], failure)
    try:
        await result.arefresh()
    except compat.TaskResultDoesNotExist:
        # The row of a job that keeps nothing is gone; what is known of its end is not.
        return _Drained([ran.result or result])
    return _Drained([result])


def _failure(ran: Ran, *, raise_errors: bool) -> BaseException | None:
    """What to raise in the test, with a note that says which job raised it."""
    failure = ran.failure
    if failure is None or (not raise_errors and isinstance(failure, Exception)):
        return None
    job = ran.job
    failure.add_note(
        f"Raised by job {job.id} of {job.task_name}, attempt {job.attempt}, arguments {job.args:.200}. "
        "raise_errors=False gives it as a failed result instead."
    )
    return failure


def _refresh(results: Sequence[TaskResult[Any]]) -> None:
    for result in results:
        with contextlib.suppress(compat.TaskResultDoesNotExist):
            result.refresh()


def _options(alias: str) -> Options:
    backend = compat.task_backends[alias]
    if not isinstance(backend, PostgresBackend):
        raise ImproperlyConfigured(
            f'TASKS["{alias}"] uses {type(backend).__name__} in this test, so its jobs are not rows to be run here; '
            'expected "queue_tasks.backend.PostgresBackend", in a test as well.'
        )
    return backend.settings
