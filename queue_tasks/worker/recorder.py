"""Recorder: adds what this worker did to the figures that charts are drawn from, a few times a minute.

The meter counts; this sends what is new in it, in one small statement, and nothing while nothing was done. No job waits
for it and nothing correct depends on it: what cannot be written is sent with the next. Only where the answer to a
record that was written is lost is it written twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any

from queue_tasks.database_errors import brief
from queue_tasks.meter import Meter, Series
from queue_tasks.outcomes import OutcomeKind
from queue_tasks.store import FigureStore
from queue_tasks.worker.service import Service

logger = logging.getLogger("queue_tasks.worker")

EVERY = 15.0
"""Seconds between two records. They end with the minute, so that no minute has five of them and the next one three."""

SPREAD = 1.0
"""Seconds before that over which the workers spread."""

PRUNE_EVERY = 3600.0
"""Seconds between looks for figures that no chart shows any more."""

LAST_PATIENCE = 1.0
"""Seconds that the last record may take, when the worker ends."""

OTHER = (OutcomeKind.ABORTED.value, OutcomeKind.SNOOZED.value, "lost")


class Recorder(Service):
    """Sends what the meter has counted since the last time."""

    name = "recorder"

    def __init__(self, store: FigureStore, meter: Meter) -> None:
        super().__init__()
        self._store = store
        self._meter = meter
        self._sent: dict[str, Series] = {}
        self._sending: asyncio.Task[bool] | None = None
        self._prune_at = 0.0

    async def run(self) -> None:
        """Record, a little before each quarter of a minute ends."""
        while True:
            await asyncio.sleep(_wait(time.time()))
            if await self.record() and time.monotonic() >= self._prune_at:
                await self._store.prune_figures()
                self._prune_at = time.monotonic() + PRUNE_EVERY

    async def record(self) -> bool:
        """Send what is new; whether anything was. Raises psycopg's errors; then it is still new.

        Who is cancelled meanwhile has not stopped it, for what is written must be known as sent.
        """
        await self._until_sent()
        self._sending = asyncio.create_task(self._send())
        return await asyncio.shield(self._sending)

    async def _until_sent(self) -> None:
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> bool:
        counted = self._meter.by_queue()
        added = {queue: series.since(self._sent.get(queue, Series())) for queue, series in counted.items()}
        figures = [(queue, series) for queue, series in added.items() if _tells(series)]
        if not figures:
            return False
        everything = Series()
        for _, series in figures:
            everything.add(series)
        await self._store.record_figures([_row(queue, series) for queue, series in [*figures, (None, everything)]])
        self._sent = counted
        return True

    async def finish(self) -> None:
        """Send the rest. The database may be away by now: then it is lost."""
        try:
            async with asyncio.timeout(LAST_PATIENCE):
                await self.record()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the worker ends
            logger.info("the last figures of worker %d were not recorded: %s", self.worker_id, brief(exc))
        if self._sending is not None:
            self._sending.cancel()
        await self._until_sent()


def _wait(now: float) -> float:
    """Seconds until shortly before the clock, which everybody's is about, comes to the next record."""
    left = EVERY - now % EVERY - random.uniform(0, SPREAD)  # noqa: S311 - jitter
    return left if left > 0 else left + EVERY


def _tells(series: Series) -> bool:
    """Whether there is anything in it that a chart shows; a job that was given back unstarted is not."""
    return any(number for word, number in series.ended.items() if word != OutcomeKind.RELEASED)


def _row(queue: str | None, series: Series) -> dict[str, Any]:
    ended = series.ended
    return {
        "queue_name": queue,
        "succeeded": ended.get(OutcomeKind.SUCCEEDED, 0),
        "failed": ended.get(OutcomeKind.FAILED, 0),
        "retried": ended.get(OutcomeKind.RETRIED, 0),
        "other": sum(ended.get(word, 0) for word in OTHER),
        "waited": series.waited.buckets,
        "ran": series.ran.buckets,
    }
