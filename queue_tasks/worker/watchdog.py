"""Watchdog: notices from a thread of its own that the event loop does not turn, and says who blocks it, and where.

Once for each blockage, and again, with how long it took, when it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from queue_tasks.events import LoopBlocked, publish

logger = logging.getLogger("queue_tasks.worker")

BETWEEN_LOOKS = 0.5
"""Seconds at the most: a blockage is noticed that much later, and an idle worker wakes that often."""


class Watchdog:
    """limit: seconds the loop may take for one turn.

    name_of gives the name of the job whose body is the given asyncio task, None when it is none's; it is called in the
    watchdog's thread. `worker_id` may be changed.
    """

    def __init__(self, limit: float, worker_id: int, name_of: Callable[[asyncio.Task[object]], str | None]) -> None:
        self._limit = limit
        self._name_of = name_of
        self.worker_id = worker_id
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop_thread = 0

    def start(self) -> None:
        """Watch the running loop."""
        self._loop_thread = threading.get_ident()
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, args=(loop,), name="queue_tasks watchdog", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the watch. May be called twice."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 5)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        # A closed loop has stopped without us.
        with contextlib.suppress(RuntimeError):
            while not self._stopping.wait(min(BETWEEN_LOOKS, self._limit / 2)):
                asked, turned = time.monotonic(), threading.Event()
                loop.call_soon_threadsafe(turned.set)
                if turned.wait(self._limit):
                    continue
                who = self._say(loop)
                while not turned.wait(1):
                    if loop.is_closed():
                        return
                took = time.monotonic() - asked
                logger.warning("the event loop turns again; %s blocked it for %.1f s", who, took)
                loop.call_soon_threadsafe(publish, LoopBlocked(self.worker_id, who, took))

    def _say(self, loop: asyncio.AbstractEventLoop) -> str:
        task = asyncio.current_task(loop)
        who = "no task"
        if task is not None:
            who = self._name_of(task) or f"the asyncio task {task.get_name()!r} ({task.get_coro()!r:.200})"
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - documented, for debuggers
        logger.warning(
            "the event loop is blocked for %.1f s by %s; no other job of this worker goes on. Let a plain function do "
            "what takes long: as a task of its own, or by asyncio.to_thread. It is here:\n%s",
            self._limit,
            who,
            "".join(traceback.format_stack(frame)),
        )
        return who
