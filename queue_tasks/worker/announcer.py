"""Announcer: sends `task_finished` for jobs whose end is written, in order, without holding anybody up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from queue_tasks import compat, telemetry
from queue_tasks.outcomes import FINAL
from queue_tasks.store import Written
from queue_tasks.worker.service import Service


class Announcer(Service):
    """Receivers may be slow: they run in a thread, and the worker does not wait for them but when it stops."""

    name = "announcer"

    def __init__(self) -> None:
        super().__init__()
        self._written: asyncio.Queue[tuple[Written, str]] = asyncio.Queue()

    def tell(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        """Take the outcomes of a batch that was written; statuses: of the rows that were still ours, by job id."""
        if not telemetry.signal_is_heard(compat.task_finished):
            return
        for written in batch:
            job, outcome, _ = written
            status = statuses.get(job.id)
            if status is not None and (outcome.kind in FINAL or status == "aborted"):
                self._written.put_nowait((written, status))

    async def run(self) -> None:
        """Send one after the other."""
        while True:
            (job, outcome, error), status = await self._written.get()
            try:
                await telemetry.announce_finished(job, outcome, error, status, self.worker_id)
            finally:
                self._written.task_done()

    async def stop(self) -> None:
        """Send what is left, then end."""
        if self._loop is not None:
            await self._written.join()
        await super().stop()
