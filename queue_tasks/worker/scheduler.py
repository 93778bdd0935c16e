"""Scheduler: enqueues the ticks of procrastinate's `@app.periodic` tasks when they are due.

Every worker may: a unique key (task, periodic id, time) in the database lets one tick make one job.
"""

from __future__ import annotations

import asyncio
import time

from queue_tasks.bridge import PeriodicTick, PeriodicTicks
from queue_tasks.store import Store
from queue_tasks.worker.service import Service


class Scheduler(Service):
    """Sleeps from tick to tick; ends at once when there is no periodic task."""

    name = "scheduler"

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._ticks = PeriodicTicks()
        # Due and not enqueued yet: kept until they are, also when the database is away at their time.
        self._due: list[PeriodicTick] = []

    async def run(self) -> None:
        """Enqueue what is due, then sleep until the next tick."""
        if not self._ticks.any:
            return
        while True:
            self._due += self._ticks.due(time.time())
            while self._due:
                await self._store.defer_tick(self._due[0])
                del self._due[0]
            await asyncio.sleep(max(self._ticks.seconds_to_next(time.time()), 0.001))
