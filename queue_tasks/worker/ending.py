"""Ending: why and until when a worker stops, and steps of stopping that take no longer, whatever they wait for."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

from queue_tasks.database_errors import brief

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
    """Whether a worker is to stop, why, and how much time it has for it. From any thread where nothing else is said.

    grace: seconds that running jobs have when nobody says how many.
    call_soon: has the worker's loop call a function at its next turn; False when there is no loop that turns.
    """

    def __init__(self, grace: float, call_soon: Callable[[Callable[[], None]], bool]) -> None:
        self.told = asyncio.Event()
        """Set on the loop: the worker is to stop."""
        self.recycled: str | None = None
        """Why the process should be replaced, once it should."""
        self.stuck = False
        """Whether it stops because of something that should not be, such as a body that does not end."""
        self.grace = math.inf
        """Seconds that running jobs had from the moment at which it was told to stop."""
        self._usual_grace = grace
        self._call_soon = call_soon
        # Monotonic; only ever made less.
        self._grace_ends = math.inf
        self._asked = False

    def stop(self, grace: float | None = None) -> None:
        """Somebody asks for it, and waits. grace: in place of the usual; the sooner end counts when it comes twice."""
        self._asked = True
        self.begin(grace)
        self._tell()

    def recycle(self, why: str, *, stuck: bool = True) -> None:
        """Stop because the process should be replaced. The first reason counts.

        stuck: because of something that should not be, and not because it was told to.
        """
        if self.recycled is None:
            self.recycled = why
            logger.log(logging.WARNING if stuck else logging.INFO, "this process is to be replaced: %s", why)
        self.stuck = self.stuck or stuck
        self.begin()
        self._tell()

    def fail(self, why: str) -> None:
        """Stop at once, because of something that nothing mends but a new process."""
        logger.critical(why)
        self.stuck = True
        self.begin(0)

    def begin(self, grace: float | None = None) -> None:
        """Let running jobs go on for so many seconds from now at the most; None: for as many as is usual."""
        if grace is None:
            grace = self._usual_grace
        ends = time.monotonic() + grace
        if ends < self._grace_ends:
            self.grace, self._grace_ends = grace, ends

    def _tell(self) -> None:
        if not self._call_soon(self.told.set):
            # It has not begun to run, or has ended: nobody waits for it.
            self.told.set()

    @property
    def grace_left(self) -> float:
        """Seconds that running jobs still have; 0 or more."""
        return max(0.0, self._grace_ends - time.monotonic())

    @property
    def time_left(self) -> float:
        """Seconds until everything must have ended."""
        margin = STOP_MARGIN + (WRITE_MARGIN if self._asked else UNASKED_MARGIN)
        return max(LEAST_PATIENCE, self._grace_ends + margin - time.monotonic())

    async def wait(self, done: Callable[[], Awaitable[None]], margin: float = 0.0) -> bool:
        """Wait until `done` returns, or until so many seconds after the grace time; whether it did."""
        while (left := self._grace_ends + margin - time.monotonic()) > 0:
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
        elif not running.cancelled() and (error := running.exception()) is not None:
            logger.warning("%s did not end in order: %s", what, brief(error))


async def together(steps: Iterable[Awaitable[None]]) -> None:
    """Await several steps at once."""
    await asyncio.gather(*steps)


def end_process(why: str) -> NoReturn:
    """End this process at once, with code 1, though its event loop be blocked."""
    # Not by a logger: the blocked thread may hold its lock.
    os.write(2, f"{why}\n".encode())
    os._exit(1)
