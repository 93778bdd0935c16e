"""Slots: where jobs run, so many at once: as one is free, or becomes so, the next that waits starts in it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from queue_tasks.jobs import FetchedJob
from queue_tasks.worker.event_loop import start_task
from queue_tasks.worker.pace import Pace

logger = logging.getLogger("queue_tasks.worker")

LONGEST_TURN = 0.0005
"""Seconds for which jobs are started in one turn of the loop: where tasks start eagerly, they run as well, and whoever
sends the next fetch or writes outcomes waits for its turn."""


class Slots:
    """Made and used on the worker's loop. run_job runs one job; on_end is called after each, however it ended.

    waiting: jobs, each with the time at which it was fetched; the first is taken out as it starts.
    last_chance: crashes from which on a job runs with no other beside it: the next one fails it, and must be its own.
    pace is told of each that ran.
    """

    def __init__(
        self,
        count: int,
        waiting: deque[tuple[float, FetchedJob]],
        run_job: Callable[[FetchedJob], Awaitable[None]],
        *,
        last_chance: int,
        pace: Pace,
        on_end: Callable[[], None],
    ) -> None:
        self._count = count
        self._waiting = waiting
        self._run_job = run_job
        self._last_chance = last_chance
        self._pace = pace
        self._on_end = on_end
        self._running: dict[asyncio.Task[None] | None, int] = {}
        # Whether what runs bears no other beside it.
        self._alone = False
        self._next_turn: asyncio.Handle | None = None
        # Kept: to ask for the running loop costs a system call in Python 3.11.
        self._loop = asyncio.get_running_loop()
        # What a job sets in its own is not for the one that comes after it.
        self._context = contextvars.copy_context()

    @property
    def running(self) -> int:
        """Jobs whose bodies run."""
        return len(self._running)

    @property
    def free(self) -> int:
        """How many more jobs may run now."""
        return 0 if self._alone else self._count - len(self._running)

    @property
    def ids(self) -> list[int]:
        """The jobs that run."""
        return list(self._running.values())

    @property
    def lags(self) -> bool:
        """Whether what waits does so for the loop's next turn, and not for a slot."""
        return self._next_turn is not None

    def fill(self) -> None:
        """Start what waits, as far as slots are free and this turn of the loop is not too long already."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        waiting, running = self._waiting, self._running
        until = time.monotonic() + LONGEST_TURN
        while waiting and len(running) < self._count and not self._alone:
            _, job = waiting[0]
            if job.crashes >= self._last_chance:
                if running:
                    # It waits for the others to end, and they for it.
                    break
                self._alone = True
            waiting.popleft()
            task = start_task(self._loop, self._serve(job), f"queue_tasks job {job.id}", self._context.copy())
            if not task.done():
                running[task] = job.id
                task.add_done_callback(self._ended)
            else:
                self._alone = False
                self._note_end(task)
                if time.monotonic() >= until and waiting:
                    self._next_turn = self._loop.call_soon(self.fill)
                    break

    async def _serve(self, job: FetchedJob) -> None:
        started = time.monotonic()
        await self._run_job(job)
        self._pace.note_end(started, time.monotonic())
        # Now, and not when asyncio calls back, which is a turn of the loop later.
        self._free(asyncio.current_task(self._loop))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._free(task)
        self._note_end(task)

    def _free(self, task: asyncio.Task[None] | None) -> None:
        """Start the next job in the place of one that has ended, once; one that never waited has had no slot."""
        if self._running.pop(task, None) is not None:
            self._alone = False
            self.fill()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.error("a job's run broke off; it will be rescued", exc_info=task.exception())
        self._on_end()
