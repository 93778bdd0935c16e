"""Execution: one attempt of one job, as a straight pipe that ends in an Outcome.

resolve the task -> decode its arguments, make its context -> announce -> perform within its timeout -> judge its end.
Whatever happens in between, also in a hostile row, is that job's outcome and nobody else's. Nothing here writes it.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from queue_tasks import arguments, bridge, compat, tasks, telemetry
from queue_tasks.conf import Options
from queue_tasks.exceptions import (
    ArgumentsNotStorable,
    ArgumentsOutOfRange,
    Discard,
    JobAborted,
    Retry,
    Snooze,
    TaskNotFound,
    TaskTimeout,
)
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.retry import RetryPolicy
from queue_tasks.worker.attempt import Attempt
from queue_tasks.worker.context import make_context
from queue_tasks.worker.executors import Ended, LoopExecutor, ThreadExecutor

UNKNOWN_TASK_WAIT = 30.0
"""Seconds until a job of an unknown task is looked at again; a newer worker may come."""

DEFAULT_RETRY = RetryPolicy()
"""The waits of a task that raises Retry without having a policy."""


@dataclass(frozen=True, slots=True)
class Call:
    """A body with its arguments, ready to run once."""

    body: Callable[[], Any]
    is_async: bool
    around: Callable[[Callable[[], Any]], Any] | None = None
    """Wraps the run on the loop: procrastinate's worker-wide middleware."""


class Runnable(Protocol):
    """A task as execution sees it, Django's or procrastinate's."""

    @property
    def name(self) -> str:
        """Its dotted path."""

    @property
    def timeout(self) -> float | None:
        """Seconds one attempt may take; None: no limit."""

    @property
    def keep(self) -> float | None:
        """Seconds a succeeded job's row stays; None: for ever; 0: deleted at once."""

    def prepare(self, attempt: Attempt) -> Call:
        """Decode the row and bind the body to it. Raises whatever is wrong with the row."""

    def encode(self, value: Any) -> str | None:
        """The return value as JSON text, None when it is not kept. Raises TypeError or ValueError."""

    def retry(self, error: BaseException, attempt: Attempt) -> Outcome | None:
        """The outcome of an attempt that is tried again; None: it is not."""


class DjangoRunnable:
    """A task of Django's framework."""

    def __init__(self, task: compat.Task[..., Any], options: Options) -> None:
        self.task = task
        self.name = task.module_path
        self.is_async = inspect.iscoroutinefunction(task.func)
        self.timeout = task.timeout if isinstance(task, tasks.Task) else None
        self.policy = task.retry if isinstance(task, tasks.Task) else None
        self.keep = tasks.keep_seconds(task, options.keep)
        self.backend = type(task.get_backend())

    def prepare(self, attempt: Attempt) -> Call:
        """See Runnable."""
        args, kwargs = self._arguments(attempt.job)
        if self.task.takes_context:
            args = [make_context(attempt, telemetry.result_of_running(attempt.job, attempt.worker_id)), *args]
        body = partial(self.task.func, *args, **kwargs)
        if telemetry.signal_is_heard(compat.task_started):
            return Call(self._announced(body, attempt), self.is_async)
        return Call(body, self.is_async)

    def encode(self, value: Any) -> str | None:
        """See Runnable."""
        if value is None:
            return None
        try:
            return arguments.encode_value(self.name, "return value", value)
        except ArgumentsNotStorable as exc:
            # The built-in classes, as under every backend of Django's: it is the result's reader who compares them.
            raise TypeError(str(exc)) from None
        except ArgumentsOutOfRange as exc:
            raise ValueError(str(exc)) from None

    def retry(self, error: BaseException, attempt: Attempt) -> Outcome | None:
        """See Runnable."""
        spread = random.uniform(-1, 1)  # noqa: S311 - jitter
        number = attempt.job.attempt
        if isinstance(error, Retry):
            if self.policy is not None and number >= self.policy.max_attempts:
                return None
            wait = error.after if error.after >= 0 else (self.policy or DEFAULT_RETRY).delay(number, spread)
        elif self.policy is None:
            return None
        else:
            policy_wait = self.policy.wait_after(number, error, spread)
            if policy_wait is None:
                return None
            wait = policy_wait
        return Outcome(OutcomeKind.RETRIED, time.monotonic(), attempt.started, error=error, wait=wait)

    def _arguments(self, job: FetchedJob) -> tuple[list[Any], dict[str, Any]]:
        envelope = arguments.decode(job.args)
        if not isinstance(envelope, dict) or not {"args", "kwargs"} >= envelope.keys():
            raise TypeError(
                f"job {job.id} of {self.name}: args are {job.args[:100]}; expected "
                '{"args": [...], "kwargs": {...}}. Enqueue it by the task, or by queue_tasks_enqueue_v1.'
            )
        args, kwargs = envelope.get("args", []), envelope.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise TypeError(
                f"job {job.id} of {self.name}: args is {args!r:.100} and kwargs {kwargs!r:.100}; "
                "expected a list and an object."
            )
        return args, kwargs

    def _announced(self, body: Callable[[], Any], attempt: Attempt) -> Callable[[], Any]:
        """The body behind `task_started`, sent where the body runs."""
        result = telemetry.result_of_running(attempt.job, attempt.worker_id)
        if not self.is_async:

            def run() -> Any:
                telemetry.send(compat.task_started, self.backend, result)
                return body()

            return run

        async def arun() -> Any:
            await telemetry.asend(compat.task_started, self.backend, result)
            return await body()

        return arun


class StockRunnable:
    """A task of procrastinate's."""

    timeout = None

    def __init__(self, task: bridge.StockTask, options: Options, worker: bridge.WorkerFacade) -> None:
        self.task = task
        self.name = task.name
        self.keep = None if options.keep is None else options.keep.total_seconds()
        self.worker = worker

    def prepare(self, attempt: Attempt) -> Call:
        """See Runnable."""
        kwargs = arguments.decode(attempt.job.args)
        call = self.task.prepare(attempt.job, kwargs, self.worker, attempt.should_abort, attempt.shutting_down)
        return Call(call.body, self.task.is_async, call.around if call.has_around else None)

    def encode(self, value: Any) -> str | None:
        """See Runnable. procrastinate's tasks may return anything: what is not JSON is not kept."""
        if value is None:
            return None
        try:
            return arguments.encode_value(self.name, "return value", value)
        except (ArgumentsNotStorable, ArgumentsOutOfRange):
            return None

    def retry(self, error: BaseException, attempt: Attempt) -> Outcome | None:
        """See Runnable."""
        wish = self.task.decide_retry(error, attempt.job, attempt.worker_id)
        if wish is None:
            return None
        return Outcome(
            OutcomeKind.RETRIED,
            time.monotonic(),
            attempt.started,
            error=error,
            wait=wish.wait,
            priority=wish.priority,
            queue_name=wish.queue_name,
            lock=wish.lock,
        )


class Execution:
    """Runs attempts. Knows tasks and executors; knows nothing of the database."""

    def __init__(
        self, options: Options, threads: ThreadExecutor, loops: LoopExecutor, worker: bridge.WorkerFacade
    ) -> None:
        self._options = options
        self._threads = threads
        self._loops = loops
        self._worker = worker
        self._known: dict[str, Runnable] = {}
        bridge.import_stock_tasks()

    async def run(self, attempt: Attempt) -> Outcome:
        """One attempt, from the row to its outcome. Never raises."""
        runnable: Runnable | None = None
        attempt.started = time.monotonic()
        try:
            runnable = self._resolve(attempt.job.task_name)
            value, error = await self._perform(runnable, runnable.prepare(attempt), attempt)
            attempt.ended = True
            if error is None:
                result = runnable.encode(value)
                return Outcome(
                    OutcomeKind.SUCCEEDED, time.monotonic(), attempt.started, result=result, keep=runnable.keep
                )
        except BaseException as exc:  # noqa: BLE001 - whatever happens is this job's outcome
            error = exc
        attempt.ended = True
        try:
            return self._judge(runnable, error, attempt)
        except BaseException as exc:  # noqa: BLE001 - a retry strategy of the user's may raise anything, too
            exc.__context__ = error
            return _failed(exc, attempt)

    def _resolve(self, name: str) -> Runnable:
        known = self._known.get(name)
        if known is not None:
            return known
        runnable = self._stock(name) or self._django(name)
        self._known[name] = runnable
        return runnable

    def _stock(self, name: str) -> Runnable | None:
        task = bridge.find_stock_task(name)
        return None if task is None else StockRunnable(task, self._options, self._worker)

    def _django(self, name: str) -> Runnable:
        try:
            return DjangoRunnable(tasks.find_task(name), self._options)
        except TaskNotFound:
            # Looking for it has imported its module, which may have declared it as a task of procrastinate's.
            found = self._stock(name)
            if found is None:
                raise
            return found

    async def _perform(self, runnable: Runnable, call: Call, attempt: Attempt) -> Ended:
        if runnable.timeout is not None:
            attempt.deadline = attempt.started + runnable.timeout
        if call.around is None:
            return await self._run_body(runnable, call, attempt)

        async def run() -> Any:
            value, error = await self._run_body(runnable, call, attempt)
            if error is not None:
                raise error
            return value

        return await call.around(run), None

    async def _run_body(self, runnable: Runnable, call: Call, attempt: Attempt) -> Ended:
        owner = f"job {attempt.job.id} ({runnable.name})"
        if not call.is_async:
            value, error = await self._threads.run(call.body, owner)
            if error is None and inspect.isawaitable(value):
                # A plain function that gives an awaitable: procrastinate lets it be awaited here.
                return await self._loops.run(lambda: value, owner)
            return value, error

        async def body() -> Any:
            # Stoppable no longer than the body runs: what has ended is not undone by an abort that comes a moment late.
            attempt.stoppable = True
            try:
                if attempt.stop_reason is not None:
                    raise asyncio.CancelledError
                return await _within(runnable, call.body)
            finally:
                attempt.stoppable = False

        return await self._loops.run(body, owner)

    def _judge(self, runnable: Runnable | None, error: BaseException, attempt: Attempt) -> Outcome:
        """What a raised exception makes of the job."""
        now = time.monotonic()
        stopped = isinstance(error, asyncio.CancelledError)
        obeyed = isinstance(error, JobAborted) or bridge.is_abort(error)
        if (stopped or obeyed) and attempt.shutting_down():
            return Outcome(OutcomeKind.RELEASED, now)
        keep = None if self._options.keep is None else self._options.keep.total_seconds()
        if obeyed or (stopped and attempt.stop_reason is not None):
            told = error if not stopped else _caused(JobAborted("told to stop, and did"), error)
            return Outcome(OutcomeKind.ABORTED, now, attempt.started, error=told, keep=keep)
        if isinstance(error, Snooze):
            return Outcome(OutcomeKind.SNOOZED, now, attempt.started, wait=_snooze_wait(error))
        if isinstance(error, TaskNotFound) and runnable is None:
            return self._unknown(error, attempt)
        if runnable is None or isinstance(error, Discard):
            return _failed(error, attempt)
        return runnable.retry(error, attempt) or _failed(error, attempt)

    def _unknown(self, error: TaskNotFound, attempt: Attempt) -> Outcome:
        """A task that cannot be imported may be that of a newer release: wait for a worker that knows it, then fail."""
        job, grace = attempt.job, self._options.unknown_task_grace
        enqueued_at = job.enqueued_at or job.started_at
        if (datetime.now(UTC) - enqueued_at).total_seconds() < grace:
            return Outcome(OutcomeKind.SNOOZED, time.monotonic(), wait=min(UNKNOWN_TASK_WAIT, grace))
        return _failed(error, attempt)


async def _within(runnable: Runnable, body: Callable[[], Any]) -> Any:
    """Await the body within the task's timeout."""
    if runnable.timeout is None:
        return await body()
    limit = asyncio.timeout(runnable.timeout)
    try:
        async with limit:
            return await body()
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise TaskTimeout(runnable.name, runnable.timeout) from exc


def _failed(error: BaseException, attempt: Attempt) -> Outcome:
    return Outcome(OutcomeKind.FAILED, time.monotonic(), attempt.started, error=error)


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _snooze_wait(snooze: Snooze) -> float:
    if snooze.until is not None:
        return max(0.0, (snooze.until - datetime.now(UTC)).total_seconds())
    return snooze.after
