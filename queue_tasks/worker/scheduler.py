"""Scheduler: enqueues the ticks of procrastinate's `@app.periodic` tasks when they are due.

Every worker may: a unique key (task, periodic id, time) in the database lets one tick make one job.
"""

from __future__ import annotations

import asyncio
import time

from queue_tasks.bridge import PeriodicTicks
from queue_tasks.store import Store
from queue_tasks.worker.service import Service


class Scheduler(Service):
    """Sleeps from tick to tick; ends at once when there is no periodic task."""

    name = "scheduler"

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._ticks = PeriodicTicks()

    async def run(self) -> None:
        """Enqueue what is due, then sleep until the next tick."""
        if not self._ticks.any:
            return
        while True:
            for tick in self._ticks.due(time.time()):
                await self._store.defer_tick(tick)
            await asyncio.sleep(max(self._ticks.seconds_to_next(time.time()), 0.001))
