"""Ending: until when a worker must have stopped, and steps of stopping that take no longer, whatever they wait for."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

logger = logging.getLogger("queue_tasks.worker")

STOP_MARGIN = 1.0
"""Seconds that bodies told to stop at the end of the grace time have to do so."""

WRITE_MARGIN = 0.6
"""Seconds after that in which a worker that was asked to stop writes its last outcomes and leaves."""

UNASKED_MARGIN = 30.0
"""Seconds it has instead when nobody waits for its end: after a drain, or when it recycles."""

LEAST_PATIENCE = 0.1
"""Seconds that each step of stopping has, however late it is."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether the time of grace has become shorter."""


class Ending:
    """The time a worker has to stop. `begin` from any thread; the rest on the loop."""

    def __init__(self) -> None:
        # Monotonic; only ever made less.
        self.grace_ends = math.inf
        self.grace = math.inf
        """Seconds there were at first."""
        self._asked = False

    def begin(self, grace: float, *, asked: bool = False) -> None:
        """Let jobs run for so many seconds from now at the most. asked: from outside, by somebody who waits."""
        self._asked = self._asked or asked
        ends = time.monotonic() + grace
        if ends < self.grace_ends:
            self.grace, self.grace_ends = grace, ends

    @property
    def grace_left(self) -> float:
        """Seconds that running jobs still have; 0 or more."""
        return max(0.0, self.grace_ends - time.monotonic())

    @property
    def time_left(self) -> float:
        """Seconds until everything must have ended."""
        margin = STOP_MARGIN + (WRITE_MARGIN if self._asked else UNASKED_MARGIN)
        return max(LEAST_PATIENCE, self.grace_ends + margin - time.monotonic())

    async def wait(self, done: Callable[[], Awaitable[None]], margin: float = 0.0) -> bool:
        """Wait until `done` returns, or until so many seconds after the grace time; whether it did."""
        while (left := self.grace_ends + margin - time.monotonic()) > 0:
            try:
                # In pieces: the time of grace may be made shorter meanwhile.
                async with asyncio.timeout(min(left, LOOK_EVERY)):
                    await done()
            except TimeoutError:
                continue
            return True
        return False

    async def within(self, what: str, step: Callable[[], Awaitable[None]], patience: float = math.inf) -> None:
        """Await one step of stopping; what takes longer than there is time, or fails, is said and left behind.

        patience: seconds it may take at the most, however much time there is.
        """
        limit = min(patience, self.time_left)
        running = asyncio.ensure_future(step())
        # Abandoned, not only cancelled: what waits for a lost server may take its time to notice a cancellation.
        await asyncio.wait({running}, timeout=limit)
        if not running.done():
            logger.warning("%s did not end within %.1f s of stopping; it is left behind", what, limit)
            running.cancel()
        elif not running.cancelled() and running.exception() is not None:
            logger.warning("%s did not end in order: %s", what, str(running.exception()).strip())


async def together(steps: Iterable[Awaitable[None]]) -> None:
    """Await several steps at once."""
    await asyncio.gather(*steps)


def end_process(why: str) -> NoReturn:
    """End this process at once, with code 1, though its event loop be blocked."""
    # Not by a logger: the blocked thread may hold its lock.
    os.write(2, f"{why}\n".encode())
    os._exit(1)
