"""Everything we use of procrastinate's Python: the only module that imports it.

Its tables and migrations are the ground; its tasks, middleware, retry strategies and periodic registry run under our
worker, which meets them here as plain values.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from procrastinate import exceptions as upstream_exceptions
from procrastinate import middleware, periodic
from procrastinate.contrib.django import app as current_app
from procrastinate.contrib.django import db_cleanup
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job
from procrastinate.tasks import Task as UpstreamTask

from queue_tasks import arguments, tasks
from queue_tasks.jobs import FetchedJob

OWN_CONNECTION_CARE = frozenset({db_cleanup.close_db_connections, db_cleanup.close_db_connections_async})
"""Middleware that procrastinate's Django app adds to every worker. Ours tends connections itself, without closing a
good one after each job."""


@dataclass(frozen=True, slots=True)
class StockRetry:
    """What a procrastinate RetryStrategy decided."""

    wait: float
    """Seconds."""
    priority: int | None
    queue_name: str | None
    lock: str | None


@dataclass(frozen=True, slots=True)
class PeriodicTick:
    """One time at which a procrastinate periodic task is due."""

    task_name: str
    periodic_id: str
    timestamp: int
    """Seconds since 1970."""
    queue_name: str
    lock: str | None
    queueing_lock: str | None
    priority: int
    kwargs: Mapping[str, Any]


class WorkerFacade:
    """What procrastinate's middleware and contexts may ask of the worker that runs them."""

    def __init__(self, name: str, worker_id: int, queues: Sequence[str] | None, stop: Callable[[], None]) -> None:
        self.app = current_app
        self.worker_name = name
        self.worker_id = worker_id
        self.queues = queues
        self.stop = stop


class StockTask:
    """A procrastinate task, as our execution runs it."""

    def __init__(self, task: UpstreamTask[Any, Any, Any]) -> None:
        self.task = task
        self.name = task.name
        self.is_async = inspect.iscoroutinefunction(task.func)
        defaults = current_app.worker_defaults
        wide = [mw for mw in defaults.get("task_middleware") or [] if mw not in OWN_CONNECTION_CARE]
        fitting = [mw for mw in wide if middleware.is_async_middleware(mw) == self.is_async]
        self.task_middleware = [*fitting, *task.task_middleware]
        self.worker_middleware = list(defaults.get("worker_middleware") or [])
        self.additional_context = dict(defaults.get("additional_context") or {})

    def prepare(
        self,
        job: FetchedJob,
        kwargs: Any,
        worker: WorkerFacade,
        aborting: Callable[[], bool],
        shutting_down: Callable[[], bool],
    ) -> StockCall:
        """One run of the task. Raises TypeError when the row's arguments are not an object."""
        if not isinstance(kwargs, dict):
            raise TypeError(
                f"job {job.id}: args of {self.name} are a JSON {type(kwargs).__name__}; expected an object."
            )

        def abort_reason() -> AbortReason | None:
            if not aborting():
                return None
            return AbortReason.SHUTDOWN if shutting_down() else AbortReason.USER_REQUEST

        context = JobContext(
            app=current_app,
            worker_name=worker.worker_name,
            worker_queues=worker.queues,
            job=as_stock_job(job, kwargs, worker.worker_id),
            start_timestamp=time.time(),
            additional_context=dict(self.additional_context),
            abort_reason=abort_reason,
        )
        return StockCall(self, context, kwargs, worker)

    def decide_retry(self, error: BaseException, job: FetchedJob, worker_id: int) -> StockRetry | None:
        """What the task's RetryStrategy says to a failed attempt; None: give up."""
        kwargs = arguments.decode(job.args)
        wish = self.task.get_retry_exception(exception=error, job=as_stock_job(job, kwargs, worker_id))
        if wish is None:
            return None
        decision = wish.retry_decision
        wait = 0.0
        if decision.retry_at is not None:
            wait = max(0.0, (decision.retry_at - datetime.now(UTC)).total_seconds())
        return StockRetry(wait, decision.priority, decision.queue, decision.lock)


class StockCall:
    """A procrastinate task with its arguments, wrapped in its middleware; run once."""

    def __init__(self, task: StockTask, context: JobContext, kwargs: dict[str, Any], worker: WorkerFacade) -> None:
        self._task = task
        self._context = context
        self._kwargs = kwargs
        self._worker: Any = worker

    def body(self) -> Any:
        """The task within its own middleware: what runs in a thread, or gives the coroutine to await."""
        positional = [self._context] if self._task.task.pass_context else []
        if not self._task.is_async:
            return self._composed(lambda: self._task.task(*positional, **self._kwargs))()

        async def run() -> Any:
            return await self._task.task(*positional, **self._kwargs)

        return self._composed(run)()

    async def around(self, run: Callable[[], Any]) -> Any:
        """Await `run` within the worker-wide middleware."""
        return await middleware.compose(self._task.worker_middleware, run, self._context, self._worker)()

    @property
    def has_around(self) -> bool:
        """Whether there is any worker-wide middleware."""
        return bool(self._task.worker_middleware)

    def _composed(self, run: Callable[[], Any]) -> Callable[[], Any]:
        return middleware.compose(self._task.task_middleware, run, self._context, self._worker)


def as_stock_job(job: FetchedJob, kwargs: dict[str, Any], worker_id: int) -> Job:
    """A fetched job as procrastinate's own value."""
    return Job(
        id=job.id,
        status="doing",
        queue=job.queue_name,
        priority=job.priority,
        lock=job.lock,
        queueing_lock=job.queueing_lock,
        task_name=job.task_name,
        task_kwargs=kwargs,
        scheduled_at=None,
        attempts=job.attempts,
        worker_id=worker_id,
    )


def import_stock_tasks() -> None:
    """Import the modules of PROCRASTINATE_IMPORT_PATHS, as a stock worker does when it starts."""
    current_app.perform_import_paths()  # type: ignore[no-untyped-call]


def find_stock_task(name: str) -> StockTask | None:
    """The procrastinate task of this name; None when there is none, or only our stand-in for a Django task."""
    task = current_app.tasks.get(name)
    if task is None or getattr(task.func, "stands_in", False):
        return None
    return StockTask(task)


def is_abort(error: BaseException) -> bool:
    """Whether a procrastinate task raised JobAborted: its way to obey an abort."""
    return isinstance(error, upstream_exceptions.JobAborted)


def show_tasks_to_stock_workers() -> None:
    """Register a stand-in for each declared Django task, so that a stock worker does not fail its jobs as unknown.

    It runs them and keeps no result: only our worker does.
    """
    for name, task in tasks.declared.items():
        if name not in current_app.tasks:
            current_app.task(name=name, queue=task.queue_name, pass_context=False)(_stand_in(task))


def _stand_in(task: tasks.Task[..., Any]) -> Callable[..., Any]:
    def run(args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if task.takes_context:
            raise TypeError(
                f"{task.module_path} takes a context, which only queue_tasks' worker gives. "
                "Keep stock procrastinate workers off its queue."
            )
        return task.call(*args, **(kwargs or {}))

    run.stands_in = True  # type: ignore[attr-defined]
    return run


def periodic_lines(now: float) -> list[tuple[str, str, float]]:
    """(task's name, cron line, next tick) of each `@app.periodic` of this process; times since 1970, lines in UTC."""
    found = []
    for known in current_app.periodic_registry.periodic_tasks.values():
        upcoming = float(known.croniter.get_next(ret_type=float, start_time=now))
        found.append((known.task.name, known.cron, upcoming))
    return sorted(found)


class PeriodicTicks:
    """The ticks of procrastinate's `@app.periodic` tasks, in UTC, under upstream's own rules.

    A tick missed by more than ten minutes is dropped; of several missed since the worker started, the last one counts.
    """

    def __init__(self) -> None:
        self._deferrer = periodic.PeriodicDeferrer(
            registry=current_app.periodic_registry, **current_app.periodic_defaults
        )

    @property
    def any(self) -> bool:
        """Whether any periodic task is registered."""
        return bool(current_app.periodic_registry.periodic_tasks)

    def due(self, now: float) -> list[PeriodicTick]:
        """The ticks due up to now (seconds since 1970) that were not given before."""
        return [self._tick(task, at) for task, at in self._deferrer.get_previous_tasks(at=now)]

    def seconds_to_next(self, now: float) -> float:
        """Seconds from now until the next tick of any task."""
        return float(self._deferrer.get_next_tick(at=now))

    @staticmethod
    def _tick(periodic_task: periodic.PeriodicTask[Any, Any, Any], timestamp: int) -> PeriodicTick:
        options: dict[str, Any] = dict(periodic_task.configure_kwargs)
        options["task_kwargs"] = {**(options.get("task_kwargs") or {}), "timestamp": timestamp}
        job = periodic_task.task.configure(**options).job
        return PeriodicTick(
            task_name=job.task_name,
            periodic_id=periodic_task.periodic_id,
            timestamp=timestamp,
            queue_name=job.queue,
            lock=job.lock,
            queueing_lock=job.queueing_lock,
            priority=job.priority,
            kwargs=job.task_kwargs,
        )
