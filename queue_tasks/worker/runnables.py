"""Tasks as execution sees them, Django's and procrastinate's: how a row becomes a call, and what its end means."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from queue_tasks import arguments, bridge, compat, tasks, telemetry
from queue_tasks.conf import Options
from queue_tasks.exceptions import ArgumentsDoNotFit, ArgumentsNotStorable, ArgumentsOutOfRange, Retry
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.retry import RetryPolicy
from queue_tasks.signatures import signature
from queue_tasks.worker import atomic, failures
from queue_tasks.worker.attempt import Attempt
from queue_tasks.worker.context import make_context

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
    def in_process(self) -> bool:
        """Whether it runs in a process of its own."""

    @property
    def memory_limit(self) -> int | None:
        """Bytes it may take there; None: no limit."""

    @property
    def keep(self) -> float | None:
        """Seconds a succeeded job's row stays; None: for ever; 0: deleted at once."""

    @property
    def atomic(self) -> bool:
        """Whether its body finishes the job itself, in its own transaction."""

    def prepare(self, attempt: Attempt, *, announce: bool) -> Call:
        """Decode the row and bind the body to it. announce: whether anybody hears that Django's tasks start.

        Raises whatever is wrong with the row.
        """

    def encode(self, value: Any) -> str | None:
        """The return value as JSON text, None when it is not kept. Raises TypeError or ValueError."""

    def explain(self, error: TypeError, attempt: Attempt) -> TypeError:
        """The error, or one that says more, if it is that the row's arguments do not fit the function."""

    def retry(self, error: BaseException, attempt: Attempt) -> Outcome | None:
        """The outcome of an attempt that is tried again; None: it is not."""


class DjangoRunnable:
    """A task of Django's framework."""

    def __init__(self, task: compat.Task[..., Any], options: Options) -> None:
        self.task = task
        self.name = task.module_path
        self.is_async = inspect.iscoroutinefunction(task.func)
        self.timeout = task.timeout if isinstance(task, tasks.Task) else None
        self.in_process = isinstance(task, tasks.Task) and task.executor == "process"
        self.memory_limit = task.memory_limit if isinstance(task, tasks.Task) else None
        self.policy = task.retry if isinstance(task, tasks.Task) else None
        self.keep = tasks.keep_seconds(task, options.keep)
        self.atomic = isinstance(task, tasks.Task) and task.atomic
        self.database = options.database
        self.backend = type(task.get_backend())

    def prepare(self, attempt: Attempt, *, announce: bool) -> Call:
        """See Runnable."""
        args, kwargs = self._arguments(attempt.job)
        if self.task.takes_context:
            args = [make_context(attempt, telemetry.result_of_running(attempt.job, attempt.worker_id)), *args]
        body: Callable[[], Any] = partial(self.task.func, *args, **kwargs)
        if self.atomic:
            body = partial(atomic.perform, body, self.encode, self._terms(attempt))
        if announce:
            body = self._announced(body, attempt)
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

    def explain(self, error: TypeError, attempt: Attempt) -> TypeError:
        """See Runnable. Names only: the values may be nobody's to read in a log."""
        if not failures.is_ours(error):
            return error
        args, kwargs = self._arguments(attempt.job)
        shape = signature(self.task.func, takes_context=self.task.takes_context)
        try:
            shape.bind(*args, **kwargs)
        except TypeError as misfit:
            given = ", ".join([f"{len(args)} by position", *kwargs])
            told = ArgumentsDoNotFit(attempt.job.id, self.name, f"({given})", str(shape), str(misfit))
            told.__cause__ = error
            return told
        return error

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

    def _terms(self, attempt: Attempt) -> atomic.Terms:
        job = attempt.job
        return atomic.Terms(
            task=self.name,
            database=self.database,
            worker_id=attempt.worker_id,
            job_id=job.id,
            lease=job.lease,
            keep=self.keep,
            started=attempt.started,
            durable=attempt.durable,
        )

    def _arguments(self, job: FetchedJob) -> tuple[list[Any], dict[str, Any]]:
        envelope = arguments.decode(job.args)
        if not isinstance(envelope, dict) or not {"args", "kwargs"} >= envelope.keys():
            raise TypeError(
                f"job {job.id} of {self.name}: args are {type(envelope).__name__}, not what a task is given; expected "
                '{"args": [...], "kwargs": {...}}. Enqueue it by the task, or by queue_tasks_enqueue_v1.'
            )
        args, kwargs = envelope.get("args", []), envelope.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise TypeError(
                f"job {job.id} of {self.name}: args is {type(args).__name__} and kwargs {type(kwargs).__name__}; "
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
    atomic = False
    in_process = False
    memory_limit = None

    def __init__(self, task: bridge.StockTask, options: Options, worker: bridge.WorkerFacade) -> None:
        self.task = task
        self.name = task.name
        self.keep = options.keep_seconds
        self.worker = worker

    def prepare(self, attempt: Attempt, *, announce: bool) -> Call:  # noqa: ARG002 - procrastinate has no such signal
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

    def explain(self, error: TypeError, attempt: Attempt) -> TypeError:  # noqa: ARG002 - as Runnable
        """See Runnable. What middleware hands on is not ours to judge."""
        return error

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
