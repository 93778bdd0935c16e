"""Clock: resumes what waits for a time, from a thread of its own, however blocked the event loop is.

What waits is a course: a generator that gives the next time at which it is to be resumed, of `time.monotonic()`, and
does then what is due. It must be quick. The thread starts with the first one, one a process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

logger = logging.getLogger("queue_tasks.worker")

Course = Iterator[float]

NEVER = float("inf")


class Clock:
    """Few courses at a time, of jobs that run now: looking through them all costs nothing worth a heap."""

    def __init__(self) -> None:
        # Written by any thread; each operation on it is atomic.
        self._dues: dict[Course, float] = {}
        self._news = threading.Event()
        # Written by the clock's thread: when it wakes by itself.
        self._next = NEVER
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def watch(self, course: Course) -> None:
        """Follow a course until it ends, or is forgotten; from any thread."""
        due = self._dues[course] = next(course)
        if due < self._next:
            if self._thread is None:
                self._start()
            self._news.set()

    def forget(self, course: Course) -> None:
        """Leave a course where it is; from any thread. It may be resumed once more at this very moment."""
        self._dues.pop(course, None)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="queue_tasks clock", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            # What comes during the look must wake us again: it may have been passed already.
            self._next = NEVER
            self._news.clear()
            now = time.monotonic()
            for course, due in list(self._dues.items()):
                if due <= now:
                    self._resume(course)
            self._next = min(list(self._dues.values()), default=NEVER)
            self._news.wait(None if self._next == NEVER else max(0.0, self._next - time.monotonic()))

    def _resume(self, course: Course) -> None:
        try:
            due = next(course, NEVER)
        except Exception:
            logger.exception("what was due could not be done")
            due = NEVER
        if due == NEVER:
            self._dues.pop(course, None)
        elif course in self._dues:
            self._dues[course] = due


clock = Clock()
"""The process's."""
