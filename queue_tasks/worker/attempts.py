"""Attempts: what runs at this moment: begun for fetched jobs, told to stop, and ended by handing the outcomes over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from queue_tasks import events
from queue_tasks.database_errors import brief
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.store import JobStore, Written
from queue_tasks.worker import joblog
from queue_tasks.worker.attempt import Attempt, StopReason

logger = logging.getLogger("queue_tasks.worker")


class Attempts:
    """Made and used on the worker's loop.

    execute runs an attempt to its outcome, and never raises; finish takes outcomes that are to be written.
    on_written is called with those that stand in their rows already, and the rows' statuses.
    note_progress is given to the bodies; forget_progress is called with the id of each job that has ended.
    `worker_id` may be changed: what began under an old number ends under it.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        execute: Callable[[Attempt], Coroutine[Any, Any, Outcome]],
        finish: Callable[[FetchedJob, Outcome], None],
        on_written: Callable[[Sequence[Written], dict[int, str]], None],
        note_progress: Callable[[FetchedJob, dict[str, Any]], None],
        forget_progress: Callable[[int], None],
    ) -> None:
        self.worker_id = 0
        self._store = store
        self._execute = execute
        self._finish = finish
        self._on_written = on_written
        self._note_progress = note_progress
        self._forget_progress = forget_progress
        self._loop = asyncio.get_running_loop()
        # By the job's id. Written by the loop, read by the watchdog's thread.
        self._running: dict[int, Attempt] = {}

    @property
    def ids(self) -> list[int]:
        """The jobs that run."""
        return list(self._running)

    def any(self) -> bool:
        """Whether one runs."""
        return bool(self._running)

    def name_of(self, task: asyncio.Task[object]) -> str | None:
        """The job whose body an asyncio task is, for people; None: it is no job's. From any thread."""
        for attempt in tuple(self._running.values()):
            if attempt.runner is task:
                return f"job {attempt.job.id} ({attempt.job.task_name})"
        return None

    async def run(self, job: FetchedJob) -> None:
        """Run a job, and hand over how it ended."""
        if job.crashes and not await self._note_start(job):
            return
        attempt = Attempt(job, self.worker_id, self._note_progress)
        # Of this loop: without a name Python 3.11 asks the system for the process's number, each time.
        attempt.runner = asyncio.current_task(self._loop)
        self._running[job.id] = attempt
        if events.wanted(events.JobStarted):
            events.publish(events.JobStarted(self.worker_id, job))
        try:
            outcome = await self._execute(attempt)
        finally:
            # Another's, when this one was lost, and the job has come back meanwhile.
            if self._running.get(job.id) is attempt:
                del self._running[job.id]
            self._forget_progress(job.id)
        if outcome.written is not None:
            # An atomic task's: in its own transaction.
            self._on_written([(job, outcome, None)], {job.id: "succeeded"} if outcome.written else {})
        elif attempt.stop_reason is not StopReason.LOST:
            self._finish(job, outcome)

    def release(self, job: FetchedJob) -> None:
        """Give a job back as if it had never been fetched."""
        self._finish(job, Outcome(OutcomeKind.RELEASED, ended=time.monotonic()))

    def abort(self, job_id: int, lease: int) -> None:
        """Tell one to stop, if it is that of this lease, because somebody has asked for it."""
        attempt = self._running.get(job_id)
        if attempt is not None and attempt.job.lease == lease:
            attempt.stop(StopReason.ABORT)

    def stop_all(self, reason: StopReason) -> None:
        """Tell all to stop."""
        for attempt in list(self._running.values()):
            attempt.stop(reason)

    def abandon_all(self) -> None:
        """Give back the jobs of all that did not obey, under the fence: nobody hears of how these end."""
        for attempt in list(self._running.values()):
            attempt.stop_reason = StopReason.LOST
            self.release(attempt.job)

    async def _note_start(self, job: FetchedJob) -> bool:
        """Before a job that is suspected of killing its worker; whether it may run."""
        try:
            return await self._store.note_start(job)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the job must not run unnoted
            logger.warning(
                "the start of job %d, suspected of crashing its worker, could not be noted: %s",
                job.id,
                brief(exc),
                extra=joblog.fields(job, self.worker_id),
            )
            self.release(job)
            return False
