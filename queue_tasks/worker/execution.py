"""Execution: one attempt of one job, as a straight pipe that ends in an Outcome.

resolve the task -> decode its arguments, make its context -> announce -> perform within its timeout -> judge its end.
Whatever happens in between, also in a hostile row, is that job's outcome and nobody else's. Nothing here writes it.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from queue_tasks import bridge, compat, tasks, telemetry, tracing
from queue_tasks.conf import Options
from queue_tasks.exceptions import (
    AtomicEnded,
    AtomicNotCommitted,
    Discard,
    JobAborted,
    Snooze,
    TaskNotFound,
    TaskTimeout,
)
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.worker import failures
from queue_tasks.worker.atomic import End, Settled
from queue_tasks.worker.attempt import Attempt, Ended
from queue_tasks.worker.clock import clock
from queue_tasks.worker.limits import Limit, Steps
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.processes import ProcessExecutor
from queue_tasks.worker.runnables import DEFAULT_RETRY, Call, DjangoRunnable, Runnable, StockRunnable
from queue_tasks.worker.threads import ThreadExecutor

UNKNOWN_TASK_FIRST_WAIT = 1.0
"""Seconds until a job of an unknown task is looked at again, at first: the next worker may be of a newer release.
Later it is half as long as the job has waited."""

UNKNOWN_TASK_WAIT = 30.0
"""The longest such wait, seconds."""


class Execution:
    """Runs attempts. Knows tasks and executors; knows nothing of the database.

    processes: None where this is one: what belongs in a process then runs where plain functions do.
    """

    def __init__(
        self,
        options: Options,
        threads: ThreadExecutor,
        loops: LoopExecutor,
        worker: bridge.WorkerFacade,
        processes: ProcessExecutor | None = None,
    ) -> None:
        self._options = options
        self._threads = threads
        self._loops = loops
        self._processes = processes
        self._worker = worker
        self._known: dict[str, Runnable] = {}
        self._start_is_heard = self._is_traced = False
        bridge.import_stock_tasks()

    def look_for_listeners(self) -> None:
        """Look whether anybody hears that tasks start, or has set up where spans go.

        Once for the jobs of a fetch: asking costs a tenth of each.
        """
        self._start_is_heard = telemetry.signal_is_heard(compat.task_started)
        self._is_traced = tracing.wanted()

    def run(self, attempt: Attempt) -> Coroutine[Any, Any, Outcome]:
        """One attempt, from the row to its outcome, within its span if there are any. Never raises."""
        return self._run_within_span(attempt) if self._is_traced else self.run_bare(attempt)

    async def _run_within_span(self, attempt: Attempt) -> Outcome:
        from queue_tasks import spans  # noqa: PLC0415 - only where there are any

        span = spans.Executing(attempt.job, attempt.worker_id)
        outcome = await self.run_bare(attempt)
        error = outcome.error
        if error is None:
            span.end(outcome.kind, None, "")
        else:
            span.end(outcome.kind, failures.told_path_of(error), failures.frames_of(error))
        return outcome

    async def run_bare(self, attempt: Attempt) -> Outcome:
        """See `run`; without a span: a child's attempt has the worker's."""
        attempt.started = time.monotonic()
        try:
            runnable = self._resolve(attempt.job.task_name)
            if runnable.in_process and self._processes is not None:
                return await self._run_in_process(self._processes, runnable, attempt)
            call = runnable.prepare(attempt, announce=self._start_is_heard)
            value, error = await self._perform(runnable, call, attempt)
            attempt.ended = True
            if isinstance(value, Settled):
                return self._settled(runnable, value, attempt)
            if error is None:
                result = runnable.encode(value)
                return _succeeded(runnable, attempt, result)
        except BaseException as exc:  # noqa: BLE001 - whatever happens is this job's outcome
            error = exc
        attempt.ended = True
        return self.fail(error, attempt)

    def fail(self, error: BaseException, attempt: Attempt) -> Outcome:
        """The outcome of an attempt that ended by an error. Never raises."""
        try:
            return self._judge(self._known.get(attempt.job.task_name), error, attempt)
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

    async def _run_in_process(self, processes: ProcessExecutor, runnable: Runnable, attempt: Attempt) -> Outcome:
        """The outcome that a child has found, or what its end makes of the attempt."""
        try:
            outcome = await processes.run(attempt, runnable.timeout, runnable.memory_limit)
        except BaseException as exc:  # noqa: BLE001 - whatever happens is this job's outcome
            outcome = self.fail(exc, attempt)
            if runnable.atomic:
                # It may have been killed when it had committed, and not said so.
                outcome = outcome._replace(perhaps=_succeeded(runnable, attempt))
        attempt.ended = True
        return outcome

    def _perform(self, runnable: Runnable, call: Call, attempt: Attempt) -> Awaitable[Ended]:
        """How the body ends. No coroutine stands between it and its executor that a plain task does not need."""
        if runnable.timeout is not None:
            attempt.deadline = attempt.started + runnable.timeout
        if call.around is None:
            return self._run_body(runnable, call, attempt)
        return self._run_around(call.around, runnable, call, attempt)

    async def _run_around(
        self, around: Callable[[Callable[[], Any]], Any], runnable: Runnable, call: Call, attempt: Attempt
    ) -> Ended:
        async def run() -> Any:
            value, error = await self._run_body(runnable, call, attempt)
            if error is not None:
                raise error
            return value

        return await around(run), None

    def _run_body(self, runnable: Runnable, call: Call, attempt: Attempt) -> Awaitable[Ended]:
        owner = f"job {attempt.job.id} ({runnable.name})"
        limit = None
        if runnable.timeout is not None and attempt.deadline is not None:
            limit = Limit(runnable.name, runnable.timeout, attempt.deadline)
        if not call.is_async:
            return self._run_in_thread(call.body, owner, limit)

        async def body() -> Any:
            # Stoppable no longer than the body runs: what has ended is not undone by an abort that comes a moment late.
            attempt.stoppable = True
            try:
                if attempt.stop_reason is not None:
                    raise asyncio.CancelledError
                return await (call.body() if limit is None else self._within(limit, call.body()))
            finally:
                attempt.stoppable = False

        return self._loops.run(body, owner)

    async def _run_in_thread(self, body: Callable[[], Any], owner: str, limit: Limit | None) -> Ended:
        value, error = await self._threads.run(body, owner, limit)
        if error is None and inspect.isawaitable(value):
            # A plain function that gives an awaitable: procrastinate lets it be awaited here.
            return await self._loops.run(lambda: value, owner)
        return value, error

    async def _within(self, limit: Limit, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await a coroutine within its limit: cancelled by the loop, or, when it blocks that, from outside."""
        timer = asyncio.timeout_at(asyncio.get_running_loop().time() + limit.deadline - time.monotonic())
        course = limit.course_on_loop(self._options.timeout_patience, timer.expired, self._loops.on_stuck)
        clock.watch(course)
        try:
            async with timer:
                return await Steps(coroutine, limit)
        except TimeoutError as exc:
            if not timer.expired() or isinstance(exc, TaskTimeout):
                raise
            raise limit.timeout() from exc
        finally:
            clock.forget(course)

    def _settled(self, runnable: Runnable, settled: Settled, attempt: Attempt) -> Outcome:
        """The outcome of an atomic attempt whose transaction came to its end."""
        success = _succeeded(runnable, attempt, settled.result)
        if settled.end is not End.DOUBTFUL:
            return success._replace(written=settled.end is End.COMMITTED)
        error = AtomicNotCommitted(runnable.name, settled.why)
        return self._judge(runnable, error, attempt)._replace(perhaps=success)

    def _judge(self, runnable: Runnable | None, error: BaseException, attempt: Attempt) -> Outcome:
        """What a raised exception makes of the job."""
        now = time.monotonic()
        if isinstance(error, TypeError) and runnable is not None:
            error = runnable.explain(error, attempt)
        stopped = isinstance(error, asyncio.CancelledError)
        obeyed = isinstance(error, JobAborted) or bridge.is_abort(error)
        if (stopped or obeyed) and attempt.shutting_down():
            return Outcome(OutcomeKind.RELEASED, now)
        if obeyed or (stopped and attempt.stop_reason is not None):
            told = error if not stopped else _caused(JobAborted("told to stop, and did"), error)
            return Outcome(OutcomeKind.ABORTED, now, attempt.started, error=told, keep=self._options.keep_seconds)
        if isinstance(error, Snooze):
            return Outcome(OutcomeKind.SNOOZED, now, attempt.started, wait=error.after, until=error.until)
        if isinstance(error, TaskNotFound) and runnable is None:
            return self._unknown(error, attempt)
        if runnable is None or isinstance(error, (Discard, AtomicEnded)):
            return _failed(error, attempt)
        outcome = runnable.retry(error, attempt) or self._once_more(error, attempt) or _failed(error, attempt)
        if runnable.atomic and isinstance(error, TaskTimeout):
            # It may have struck after the commit; or a body that ignores it may commit before this is written.
            outcome = outcome._replace(perhaps=_succeeded(runnable, attempt))
        return outcome

    def _once_more(self, error: BaseException, attempt: Attempt) -> Outcome | None:
        """The outcome of an atomic attempt that had no effect for no fault of its body; None: of the last such."""
        if not isinstance(error, AtomicNotCommitted) or attempt.job.attempt >= self._options.max_crashes:
            return None
        wait = DEFAULT_RETRY.delay(attempt.job.attempt, 0.0)
        return Outcome(OutcomeKind.RETRIED, time.monotonic(), attempt.started, error=error, wait=wait)

    def _unknown(self, error: TaskNotFound, attempt: Attempt) -> Outcome:
        """A task that cannot be imported may be that of a newer release: wait for a worker that knows it, then fail."""
        job, grace = attempt.job, self._options.unknown_task_grace
        # Both times are the database's, whatever this worker's clock says.
        waited = job.attempted - job.started
        if waited < grace:
            wait = min(max(waited / 2, UNKNOWN_TASK_FIRST_WAIT), UNKNOWN_TASK_WAIT, grace)
            return Outcome(OutcomeKind.SNOOZED, time.monotonic(), wait=wait)
        return _failed(error, attempt)


def _succeeded(runnable: Runnable, attempt: Attempt, result: str | None = None) -> Outcome:
    return Outcome(OutcomeKind.SUCCEEDED, time.monotonic(), attempt.started, result=result, keep=runnable.keep)


def _failed(error: BaseException, attempt: Attempt) -> Outcome:
    return Outcome(OutcomeKind.FAILED, time.monotonic(), attempt.started, error=error)


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error
