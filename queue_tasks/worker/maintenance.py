"""Maintenance: the small duties every worker does beside its jobs. There is no leader: whoever comes first does them.

promote   scheduled jobs become ready at their time, on a timer set to the next one
abort     running jobs whose abort was asked for are told
prune     finished jobs are deleted when their time to be kept is over
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from queue_tasks.store import Store
from queue_tasks.worker.service import Service, wait_for

PROMOTE_CHUNK = 1000
"""Jobs made ready in one statement."""

PRUNE_CHUNK = 500
"""Rows deleted in one statement: each is a short transaction."""

PRUNE_EVERY = 60.0
"""Seconds between prunes."""


class Promoter(Service):
    """Makes scheduled jobs ready at their time. `wake` when a job was scheduled: the timer may be too late for it."""

    name = "promoter"

    def __init__(self, store: Store, poll_interval: float, on_promoted: Callable[[], None]) -> None:
        super().__init__()
        self._store = store
        self._poll_interval = poll_interval
        self._on_promoted = on_promoted
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Promote what is due; sleep until the next is, until woken, or for a poll interval."""
        while True:
            self._wake.clear()
            promoted, next_due_in = await self._store.promote_jobs(PROMOTE_CHUNK)
            if promoted:
                self._on_promoted()
            if promoted == PROMOTE_CHUNK:
                continue
            wait = self._poll_interval if next_due_in is None else min(next_due_in, self._poll_interval)
            # Due and not promoted: another worker is at it.
            await wait_for(self._wake, max(wait, 0.002))


class Aborter(Service):
    """Finds this worker's running jobs whose abort was asked for. Polls only while something runs."""

    name = "aborter"

    def __init__(
        self, store: Store, poll_interval: float, on_abort: Callable[[int, int], None], busy: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._store = store
        self._poll_interval = poll_interval
        self._on_abort = on_abort
        self._busy = busy
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Look when woken, and every poll interval."""
        while True:
            await wait_for(self._wake, self._poll_interval)
            self._wake.clear()
            if self._busy():
                for job_id, lease in await self._store.aborting_jobs():
                    self._on_abort(job_id, lease)


class Pruner(Service):
    """Deletes finished jobs whose time to be kept is over, in small chunks, about once a minute."""

    name = "pruner"

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def run(self) -> None:
        """Prune, now and then; workers that started together do not prune together."""
        while True:
            await asyncio.sleep(PRUNE_EVERY * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            deleted = PRUNE_CHUNK
            while deleted == PRUNE_CHUNK:
                deleted = await self._store.prune_jobs(PRUNE_CHUNK)
