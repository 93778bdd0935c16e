"""Shift: in which order a crew begins, and in which it ends, in the time that there is for it.

They begin from the tail of the flow to its mouth, so that nothing is fetched before it can be finished. They end mouth
first: no hints, no fetch, running jobs end, their outcomes are written; then whatever they ran in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from queue_tasks.worker.attempt import StopReason
from queue_tasks.worker.crew import Crew
from queue_tasks.worker.ending import STOP_MARGIN, Ending, together

logger = logging.getLogger("queue_tasks.worker")

HINTS_PATIENCE = 1.0
"""Seconds that the loops which nothing depends on have to end."""

THREADS_PATIENCE = 2.0
"""Seconds that each thread of the pool has to end when no job runs any more."""


class Shift:
    """The time in which a crew works. ending: says when it must be over."""

    def __init__(self, crew: Crew, ending: Ending) -> None:
        self._crew = crew
        self._ending = ending

    async def begin(self, stack: AsyncExitStack) -> bool:
        """Have all begin; False when the worker was told to stop before the database answered.

        stack: what has begun ends when it is left, in the reverse order.
        """
        crew = self._crew

        def at_end(what: str, step: Callable[[], Awaitable[None]]) -> None:
            stack.push_async_callback(self._ending.within, what, step)

        if not await crew.registration.begin():
            return False
        at_end("taking its leave", crew.registration.end)
        crew.number(crew.registration.worker_id)
        await crew.heartbeat.__aenter__()
        at_end("the heartbeat", crew.heartbeat.stop)
        crew.watchdog.start()
        at_end("the watchdog", crew.watchdog.stop)
        stack.callback(crew.loops.close)
        stack.push_async_callback(self._end_threads)
        at_end("a process of a task", crew.processes.close)
        for writer in crew.writers:
            await writer.__aenter__()
            at_end(f"the {writer.name}", writer.stop)
        stack.push_async_callback(self._end_running)
        stack.push_async_callback(self._end_looking)
        for looker in (crew.fetcher, *crew.hints):
            await looker.__aenter__()
        return True

    async def _end_looking(self) -> None:
        """End the loops that only give hints or tidy up, all at once; then the fetcher, so that nothing new begins."""
        ending, crew = self._ending, self._crew
        await ending.within("a loop", lambda: together(hint.stop() for hint in crew.hints), HINTS_PATIENCE)
        await ending.within("the last fetch", crew.fetcher.stop, max(ending.grace_left, STOP_MARGIN / 2))

    async def _end_running(self) -> None:
        """Let running jobs end within the grace time; then tell them to stop and give back those that do."""
        ending, crew = self._ending, self._crew
        hand = crew.fetcher.hand
        if hand.running and ending.grace_left:
            logger.info("stopping: %d running jobs have %g s to end", hand.running, ending.grace)
        if not await ending.wait(hand.until_quiet) and hand.size:
            logger.warning("%d jobs still run after the time of grace; they are given back", hand.running)
            crew.attempts.stop_all(StopReason.SHUTDOWN)
            if not await ending.wait(hand.until_quiet, STOP_MARGIN):
                crew.attempts.abandon_all()
        crew.finisher.patience = ending.time_left
        crew.announcer.patience = min(crew.announcer.patience, ending.time_left)

    async def _end_threads(self) -> None:
        threads = self._crew.threads
        threads.close()
        await asyncio.to_thread(threads.join, 0.0 if self._crew.attempts.any() else THREADS_PATIENCE)
