"""InlineWorker: the worker's pipe - fetch, execute, finish, tell - for one job at a time, where it is called.

The same statements, the same Execution; instead of its own connections and threads, those of the caller.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any, Self

from asgiref.sync import sync_to_async
from django.utils import timezone

from queue_tasks import arguments, bridge, compat, events, results, telemetry
from queue_tasks.conf import Options
from queue_tasks.database_errors import StatementRefused
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import FINAL, Outcome, OutcomeKind
from queue_tasks.results import TaskResult
from queue_tasks.statements import PROMOTE_NEXT, TAKE_JOB
from queue_tasks.store import Store
from queue_tasks.testing.lent import CallersLoop, CallersThread, fenced, lend
from queue_tasks.worker.attempt import Attempt, StopReason
from queue_tasks.worker.execution import Execution
from queue_tasks.worker.failures import describe
from queue_tasks.worker.maintenance import PROMOTE_CHUNK

UNIQUE_VIOLATION = "23505"


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt that was run and written."""

    job: FetchedJob
    outcome: Outcome
    status: str
    """The row's status after it, in procrastinate's words; "lost" when the row was no longer ours."""

    result: TaskResult[Any] | None
    """As of its end; None: a job of procrastinate's own has none."""

    @property
    def failure(self) -> BaseException | None:
        """What a job that failed for good has failed of; None: it did not."""
        if self.status == "failed":
            return self.outcome.error
        # pytest's own outcomes, KeyboardInterrupt: they are not the job's to keep.
        error = self.outcome.error
        return None if isinstance(error, (Exception, asyncio.CancelledError)) else error


class InlineWorker:
    """Registered while it is entered. queues: names; None: every queue. context: each job runs in a copy of it."""

    def __init__(self, options: Options, queues: Sequence[str] | None, context: Context) -> None:
        # A test has no newer release beside it: a task that cannot be imported fails at once.
        options = replace(options, unknown_task_grace=0.0)
        self.queues = queues
        self._store = Store(options, lend)
        self._lent = lend(options.database, "test", statement_timeout=options.statement_timeout)
        self._options = options
        self._context = context
        self._worker_id = 0
        self._progress: dict[str, Any] | None = None

    async def __aenter__(self) -> Self:
        self._worker_id = await self._store.workers.register_worker(
            "test", socket.gethostname(), os.getpid(), self.queues, 1
        )
        facade = bridge.WorkerFacade("test", self._worker_id, self.queues, lambda: None)
        self._execution = Execution(self._options, CallersThread(), CallersLoop(), facade)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._store.workers.unregister_worker()

    async def fetch(self) -> FetchedJob | None:
        """The next job that is ready, or due."""
        await self._store.maintenance.promote_jobs(PROMOTE_CHUNK)
        jobs = await self._store.jobs.fetch_jobs(self.queues, 1)
        return jobs[0] if jobs else None

    async def promote_next(self) -> bool:
        """Make the next scheduled job ready before its time; whether there is one.

        SQL: sql/queries/promote_next.sql
        """
        return bool(await self._lent.rows(PROMOTE_NEXT, {"queues": self.queues}))

    async def take(self, job_id: int) -> FetchedJob | None:
        """One given job, if it waits. Raises RuntimeError when another of its lock runs.

        SQL: sql/queries/take_job.sql
        """
        try:
            rows = await self._lent.rows(TAKE_JOB, {"worker_id": self._worker_id, "id": job_id})
        except StatementRefused as exc:
            if exc.sqlstate != UNIQUE_VIOLATION:
                raise
            raise RuntimeError(f"job {job_id} cannot run now: another job of its lock is running.") from exc
        return FetchedJob(*rows[0]) if rows else None

    async def run(self, job: FetchedJob) -> Ran:
        """Run one attempt, write how it ended, and tell it."""
        attempt = Attempt(job, self._worker_id, self._note_progress)
        attempt.durable = False
        await _tell(events.JobStarted(self._worker_id, job))
        self._execution.look_for_listeners()
        attempt.runner = asyncio.create_task(
            self._execution.run(attempt), name=f"queue_tasks job {job.id}", context=self._context.copy()
        )
        try:
            outcome = await asyncio.shield(attempt.runner)
        except asyncio.CancelledError:
            # The caller is told to stop: the job goes back, as from a worker that stops.
            attempt.stop(StopReason.SHUTDOWN)
            await self._finish(job, await attempt.runner)
            raise
        return await self._finish(job, outcome)

    async def release(self, job: FetchedJob) -> None:
        """Give back a job that was fetched and not run."""
        await self._finish(job, Outcome(OutcomeKind.RELEASED, ended=asyncio.get_running_loop().time()))

    async def _finish(self, job: FetchedJob, outcome: Outcome) -> Ran:
        note, self._progress = self._progress, None
        if note is not None:
            await self._store.jobs.progress_jobs([(job, note)])
        error = None if outcome.error is None else describe(outcome.error, job, self._worker_id)
        if outcome.written is None:
            statuses = await self._store.jobs.finish_jobs([(job, outcome, error)])
        else:
            # An atomic task's: in its own transaction.
            statuses = {job.id: "succeeded"} if outcome.written else {}
        status = statuses.get(job.id, "lost")
        if status == "lost":
            await _tell(events.JobLost(self._worker_id, job, outcome))
        else:
            await _tell(events.AttemptEnded(self._worker_id, job, outcome, status))
            if (outcome.kind in FINAL or status == "aborted") and telemetry.signal_is_heard(
                compat.task_finished, failed=status != "succeeded"
            ):
                async with fenced("a receiver of task_finished"):
                    await telemetry.announce_finished(job, outcome, error, status, self._worker_id)
        return Ran(job, outcome, status, self._result(job, outcome, status))

    def _result(self, job: FetchedJob, outcome: Outcome, status: str) -> TaskResult[Any] | None:
        """The job's result as of now, made without its row, which a job that keeps nothing has no more."""
        try:
            result = telemetry.result_of_running(job, self._worker_id)
        except compat.TaskResultDoesNotExist:
            return None
        if status in results.STATUS:
            ended = timezone.now() if outcome.kind in FINAL else None
            result = replace(result, status=results.STATUS[status], finished_at=ended)
        if outcome.result is not None:
            object.__setattr__(result, "_return_value", arguments.decode(outcome.result))
        return result

    def _note_progress(self, _job: FetchedJob, progress: dict[str, Any]) -> None:
        self._progress = progress


async def _tell(event: events.Event) -> None:
    """Tell an event in the caller's thread, where receivers of its signal see the test's transaction."""
    if events.wanted(type(event)):
        async with fenced("a receiver of a signal"):
            await sync_to_async(events.publish, thread_sensitive=True)(event)
