"""Hand: the jobs that a worker has fetched and that have not ended: those that wait, and those that run in its slots.

What has waited for a second goes back: slow jobs are in its way, and another worker may be free.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat

from queue_tasks.jobs import FetchedJob
from queue_tasks.worker.pace import Pace
from queue_tasks.worker.slots import Slots

STALE_AFTER = 1.0
"""Seconds after which a job that was fetched and has not started is given back."""

CHECK_AFTER = 0.01
"""Seconds until the next look at what waits, at the least."""


class Hand:
    """Made and used on the worker's loop; `size` may be asked from any thread.

    release gives one job back unstarted; on_quiet is called when none is left.
    For the others see Pace and Slots.
    """

    def __init__(
        self,
        slots: int,
        max_prefetch: int,
        run_job: Callable[[FetchedJob], Awaitable[None]],
        release: Callable[[FetchedJob], None],
        *,
        last_chance: int,
        on_end: Callable[[], None],
        on_quiet: Callable[[], None],
    ) -> None:
        self._release = release
        self._on_end = on_end
        self._on_quiet = on_quiet
        # Each with the time at which it was fetched; the slots take the first.
        self._waiting: deque[tuple[float, FetchedJob]] = deque()
        self._pace = Pace(slots, max_prefetch)
        self._slots = Slots(
            slots, self._waiting, run_job, last_chance=last_chance, pace=self._pace, on_end=self._note_end
        )
        self._check: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def size(self) -> int:
        """Jobs fetched and not ended."""
        return len(self._waiting) + self._slots.running

    @property
    def running(self) -> int:
        """Those whose bodies run."""
        return self._slots.running

    @property
    def ids(self) -> list[int]:
        """Which they are."""
        return [*(job.id for _, job in self._waiting), *self._slots.ids]

    async def until_quiet(self) -> None:
        """Return when there is none."""
        await self._quiet.wait()

    # ------------------------------------------------------------------------------------------------- what comes in

    @property
    def has_free_slot(self) -> bool:
        """Whether a job that is fetched now can start at once."""
        return len(self._waiting) < self._slots.free

    @property
    def room(self) -> int:
        """How many more it may hold."""
        return self._pace.limit - self.size

    @property
    def wants_more(self) -> bool:
        """Whether it is worth a fetch."""
        return self.room > 0 and self.size <= self._pace.enough(lags=self._slots.lags)

    def take(self, jobs: Sequence[FetchedJob], now: float) -> None:
        """Start jobs that were fetched now, as far as slots are free; the others follow as they become so."""
        self._waiting.extend(zip(repeat(now), jobs, strict=False))
        self._slots.fill()
        self._watch()
        if self.size:
            self._quiet.clear()

    # ------------------------------------------------------------------------------------------------- what goes out

    def give_back(self) -> None:
        """Give back what has not started."""
        if self._check is not None:
            self._check.cancel()
            self._check = None
        while self._waiting:
            self._release(self._waiting.pop()[1])
        self._note_quiet()

    def forget(self) -> None:
        """Drop what has not started: it is another worker's now."""
        self._waiting.clear()
        self._note_quiet()

    def _watch(self) -> None:
        if self._waiting and self._check is None:
            due_in = self._waiting[0][0] + STALE_AFTER - time.monotonic()
            self._check = asyncio.get_running_loop().call_later(max(due_in, CHECK_AFTER), self._give_back_stale)

    def _give_back_stale(self) -> None:
        self._check = None
        if self._waiting and time.monotonic() - self._waiting[0][0] >= STALE_AFTER:
            self._pace.note_jam()
            self.give_back()
        self._watch()

    def _note_end(self) -> None:
        self._on_end()
        self._note_quiet()

    def _note_quiet(self) -> None:
        if not self.size:
            self._quiet.set()
            self._on_quiet()
