"""Announcer: sends `task_finished` for jobs whose end is written, in order, without holding anybody up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from queue_tasks import compat, telemetry
from queue_tasks.frames import path_of
from queue_tasks.outcomes import FINAL
from queue_tasks.store import Written
from queue_tasks.worker.joblog import fields
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.service import Service

logger = logging.getLogger("queue_tasks.worker")

GIVE_UP_AFTER = 10.0
"""Seconds for which a stopping worker waits for its receivers."""


class Announcer(Service):
    """Receivers may be slow: they run in a thread, and the worker does not wait for them but when it stops."""

    name = "announcer"

    def __init__(self, loops: LoopExecutor) -> None:
        super().__init__()
        self._loops = loops
        self.patience = GIVE_UP_AFTER
        """Seconds receivers have when it stops."""
        self._written: asyncio.Queue[tuple[Written, str]] = asyncio.Queue()

    def tell(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        """Take the outcomes of a batch that was written; statuses: of the rows that were still ours, by job id."""
        heard = telemetry.signal_is_heard(compat.task_finished)
        if not heard and not telemetry.signal_is_heard(compat.task_finished, failed=True):
            return
        for written in batch:
            job, outcome, _ = written
            status = statuses.get(job.id)
            if status is None or not (outcome.kind in FINAL or status == "aborted"):
                continue
            if heard or status != "succeeded":
                self._written.put_nowait((written, status))

    async def run(self) -> None:
        """Send one after the other."""
        while True:
            written, status = await self._written.get()
            try:
                await self._announce(written, status)
            finally:
                self._written.task_done()

    async def stop(self) -> None:
        """Send what is left, then end."""
        if self._loop is not None:
            try:
                async with asyncio.timeout(self.patience):
                    await self._written.join()
            except TimeoutError:
                logger.error(  # noqa: TRY400 - it says all there is to say
                    "receivers of task_finished did not return within %.1f s of stopping; %d were not called",
                    self.patience,
                    self._written.qsize(),
                )
        await super().stop()

    async def _announce(self, written: Written, status: str) -> None:
        job, outcome, error = written
        _, failure = await self._loops.run(
            lambda: telemetry.announce_finished(job, outcome, error, status, self.worker_id),
            "a receiver of task_finished",
        )
        if failure is not None:
            # Such as a row that cannot be shown as a result: it has run, and is written, all the same.
            logger.warning(
                "task_finished was not sent for job %d (%s)",
                job.id,
                path_of(type(failure)),
                extra=fields(job, self.worker_id),
            )
