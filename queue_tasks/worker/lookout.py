"""Lookout: what one look around finds for whom, so that a worker that has nothing to do asks once, and not each loop.

Each loop polls, whatever it is told. A look that found nothing for it is its poll: the next is due that much later.
Where no look comes, as while jobs run or where LISTEN is impossible, each asks for itself.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from queue_tasks.worker.service import wait_for


class Sight(NamedTuple):
    """What a worker learns with a sign of life; one row of sql/queries/look_around.sql."""

    silence: float
    """Seconds for which the most silent of the others gave no sign of life that it should have given."""
    running: bool
    """Whether another has a job in hand."""
    told: str | None
    """What an operator has told this worker."""
    ready: bool
    due: bool
    ticks: bool
    lost: bool
    expired: bool
    next_due_at: float | None
    """When the next scheduled job is due that is not due yet, by the database's clock; None: none is scheduled."""
    used: float
    """The used part, 0 to 1, of the server's queue of notifications."""


class Find(StrEnum):
    """What a look may find; the names are those of a Sight."""

    READY = "ready"
    """Jobs in this worker's queues."""
    DUE = "due"
    """Scheduled jobs whose time has come."""
    TICKS = "ticks"
    """Schedules that are to be seen to."""
    LOST = "lost"
    """Jobs that run under nobody, or under this worker without its knowing."""
    EXPIRED = "expired"
    """Finished jobs that were kept long enough."""


class Lookout:
    """Used on the worker's loop."""

    def __init__(self) -> None:
        # When the last look was, of the kinds of which it found nothing.
        self._nothing_at: dict[Find, float] = {}
        self._called: dict[Find, Callable[[], None]] = {}
        self._heard: list[Callable[[Sight], None]] = []

    def call(self, find: Find, function: Callable[[], None]) -> None:
        """Call a function whenever a look finds something of a kind."""
        self._called[find] = function

    def hear(self, function: Callable[[Sight], None]) -> None:
        """Call a function with what each look has seen."""
        self._heard.append(function)

    def note(self, sight: Sight) -> None:
        """What was seen a moment ago."""
        for tell in self._heard:
            tell(sight)
        now = time.monotonic()
        for find in Find:
            if not getattr(sight, find):
                self._nothing_at[find] = now
                continue
            self._nothing_at.pop(find, None)
            if find in self._called:
                self._called[find]()

    def saw_nothing(self, find: Find, within: float) -> bool:
        """Whether the last look found nothing of a kind, and is not older than so many seconds."""
        return time.monotonic() < self._nothing_at.get(find, -math.inf) + within

    async def poll(self, find: Find, wake: asyncio.Event, every: float, at_most: float = math.inf) -> None:
        """Wait until woken, until no look has found nothing for `every` seconds, or for `at_most` seconds."""
        begun = time.monotonic()
        while True:
            looked_at = max(begun, self._nothing_at.get(find, begun))
            left = min(looked_at + every, begun + at_most) - time.monotonic()
            if left <= 0 or await wait_for(wake, left):
                return
