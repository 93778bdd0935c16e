"""Waitlist: jobs that were fetched and wait for a slot. Any that waits for too long is told of: others may be free."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat

from queue_tasks.jobs import FetchedJob

STALE_AFTER = 1.0
"""Seconds after which a job that was fetched and has not started is given back: slow jobs are in its way."""

CHECK_AFTER = 0.01
"""Seconds until the next check at the least."""


class Waitlist:
    """release gives one job back unstarted; on_stale is called when the first has waited for STALE_AFTER."""

    def __init__(self, release: Callable[[FetchedJob], None], on_stale: Callable[[], None]) -> None:
        self._release = release
        self._on_stale = on_stale
        self.jobs: deque[tuple[float, FetchedJob]] = deque()
        """With the time each was fetched; the slots take the first."""
        self._check: asyncio.TimerHandle | None = None

    @property
    def ids(self) -> list[int]:
        """The jobs that wait."""
        return [job.id for _, job in self.jobs]

    def add(self, jobs: Sequence[FetchedJob], now: float) -> None:
        """Have jobs wait that were fetched now."""
        self.jobs.extend(zip(repeat(now), jobs, strict=False))

    def watch(self) -> None:
        """Tell when one has waited for too long; to be called when jobs still wait that were added."""
        if self.jobs and self._check is None:
            due_in = self.jobs[0][0] + STALE_AFTER - time.monotonic()
            self._check = asyncio.get_running_loop().call_later(max(due_in, CHECK_AFTER), self._look)

    def give_back(self) -> None:
        """Give back all."""
        if self._check is not None:
            self._check.cancel()
            self._check = None
        while self.jobs:
            self._release(self.jobs.pop()[1])

    def _look(self) -> None:
        self._check = None
        if self.jobs and time.monotonic() - self.jobs[0][0] >= STALE_AFTER:
            self._on_stale()
        self.watch()
