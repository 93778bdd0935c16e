"""News: that something changed in the queue, heard once per process and told to whoever waits, in any thread or loop.

One connection of the process LISTENs while anybody waits. What is told has no content: it is a hint to look again, and
whoever must not miss anything looks now and then without it.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable

import psycopg

from queue_tasks.connections import connect_synchronously, within
from queue_tasks.database_errors import brief
from queue_tasks.following import Looks
from queue_tasks.sockets import cut
from queue_tasks.statements import NOTIFY_USAGE

logger = logging.getLogger("queue_tasks")

CHANNELS = (
    "procrastinate_any_queue_v1",
    "queue_tasks_scheduled",
    "queue_tasks_schedules",
    "queue_tasks_finished",
    "queue_tasks_progress",
    "queue_tasks_changes",
    "queue_tasks_workers",
    "queue_tasks_control",
)
"""What is listened to: jobs that are ready, due later, finished, under way; schedules; operators' changes; workers;
decisions about queues and workers."""

ANSWER_WITHIN = 5.0
"""Seconds that the answer to a look may take, which also shows whether the connection still lives."""

LINGER = 20.0
"""Seconds that the connection is kept when nobody waits any more: a visitor goes from page to page."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds before a connection that was lost is tried again."""

TRY_AGAIN_EVERY = 60.0
"""Seconds until LISTEN is tried again through a pooler, where nothing would be heard."""

Tell = Callable[[], None]
"""Called from the listening thread: it must be quick and must not raise."""


class News:
    """What there is to hear in one database of DATABASES; the connection comes and goes with who waits."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.deaf = False
        """Whether a pooler stands in between, so that nothing is heard."""
        self._lock = threading.Lock()
        # Under the lock, as the next three.
        self._waiting: dict[object, Tell] = {}
        self._thread: threading.Thread | None = None
        self._left_at = 0.0
        self._ended = False
        self._stirred = threading.Event()
        # Written by the thread; others only cut it.
        self._connection: psycopg.Connection[object] | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def follow(self, tell: Tell, *, most: int) -> Callable[[], None] | None:
        """Have `tell` called when something changed; returns what ends that, None when `most` wait already."""
        key = object()
        with self._lock:
            if len(self._waiting) >= most or self._ended:
                return None
            self._waiting[key] = tell
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="queue_tasks news", daemon=True)
                self._thread.start()

        def leave() -> None:
            with self._lock:
                if self._waiting.pop(key, None) is not None:
                    self._left_at = time.monotonic()

        return leave

    def close(self) -> None:
        """End the connection and tell those who wait once more; returns when the thread has ended."""
        with self._lock:
            self._ended, thread, connection = True, self._thread, self._connection
        self._tell()
        self._stirred.set()
        if connection is not None:
            cut(connection)
        if thread is not None:
            thread.join(ANSWER_WITHIN)

    @property
    def hears(self) -> bool:
        """Whether it listens at this moment."""
        return self._connection is not None

    @property
    def ended(self) -> bool:
        """Whether it was closed: nothing will be told any more."""
        return self._ended

    def _wanted(self) -> bool:
        return not self._ended and (bool(self._waiting) or time.monotonic() - self._left_at < LINGER)

    def _run(self) -> None:
        wait = FIRST_WAIT
        while True:
            with self._lock:
                if not self._wanted():
                    self._thread = None
                    return
            begun = time.monotonic()
            try:
                self._hear()
            except (psycopg.Error, OSError) as exc:
                if self._ended:
                    continue
                if time.monotonic() - begun > LONGEST_WAIT:
                    wait = FIRST_WAIT
                logger.info("open pages are told of no change (%s); trying again in %.1f s", brief(exc), wait)
                self._stirred.wait(wait * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
                wait = min(LONGEST_WAIT, 2 * wait)

    def _hear(self) -> None:
        """One connection's life: until nobody waits, or it is lost."""
        connection, direct = connect_synchronously(self.database, "news", statement_timeout=ANSWER_WITHIN)
        try:
            self.deaf = not direct
            if self.deaf:
                # The session is the pooler's: it would listen for others, and go on when we are gone.
                self._tell()
                connection.close()
                self._stirred.wait(TRY_AGAIN_EVERY)
                return
            looks = Looks((NOTIFY_USAGE, None), CHANNELS, hears=True)
            with within(connection, ANSWER_WITHIN):
                for statement in looks.first:
                    connection.execute(statement)
            self._connection = connection
            while self._wanted():
                # What was said before was not heard; and what is done by those who write already may not be told.
                settled = looks.settled
                with within(connection, ANSWER_WITHIN):
                    looks.note([connection.execute(*question).fetchall() for question in looks.questions])
                if not settled:
                    self._tell()
                for _ in connection.notifies(timeout=looks.pause()):
                    self._tell()
        finally:
            self._connection = None
            connection.close()

    def _tell(self) -> None:
        for tell in list(self._waiting.values()):
            tell()


_found: dict[tuple[int, str], News] = {}
_finding = threading.Lock()


def news(database: str) -> News:
    """What there is to hear in a database, one for the process: a fork of it has its own."""
    with _finding:
        key = (os.getpid(), database)
        if key not in _found or _found[key].ended:
            _found[key] = News(database)
        return _found[key]


def close_news() -> None:
    """End all listening of this process: for a server that stops, and would wait for the streams of open pages."""
    with _finding:
        mine = [_found.pop(key) for key in list(_found) if key[0] == os.getpid()]
    for one in mine:
        one.close()
