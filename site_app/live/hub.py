"""What changed, read once and handed to every open page. One hub per process; all of it runs on one event loop.

    Listener --heard--> _changed --_deliver--> Page.letters --follow--> stream

A page that may have missed something (it has just been opened, or the connection was lost for a while) is *stale*: it
reads everything it shows again. So nothing depends on a notification arriving, only on one arriving after the last
change, which Postgres promises to whoever is connected.
"""

import asyncio
import contextvars
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

from site_app.live.listener import Listener
from site_app.live.topic import Topic

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

OF_JOBS = ("queue_tasks_finished", "queue_tasks_progress")  # channels whose payloads are job ids
PULSE = 15.0  # seconds after which a silent page is sent a sign of life, so that a dead one is noticed
MOST_ROWS = 200  # rows one page may follow by name


class Page:
    """One open page: which rows it follows, and the newest text of those it has not been sent yet."""

    def __init__(self, topic: Topic, shown: Collection[int], *, takes_new: bool) -> None:
        self.topic = topic
        self.shown = set(shown)
        self.takes_new = takes_new
        self.letters: dict[int, str] = {}  # one per row, the newest wins: a slow page costs no memory
        self.stale = True
        self.closed = False
        self.woken = asyncio.Event()

    def wants(self, row: int) -> bool:
        """Whether the page shows this row, or would if it were new."""
        return self.takes_new or row in self.shown

    def put(self, row: int, letter: str) -> None:
        """Leave a row's newest text for the page."""
        self.shown.add(row)
        self.letters[row] = letter
        self.woken.set()

    def mark_stale(self) -> None:
        """Note that the page may have missed something."""
        self.stale = True
        self.woken.set()

    def close(self) -> None:
        """End the page's stream."""
        self.closed = True
        self.woken.set()

    def take_letters(self) -> list[str]:
        """What was left since the last time."""
        letters, self.letters = list(self.letters.values()), {}
        return letters


class Hub:
    """Every open page of this process, and the two loops that serve them: listening and delivering."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._pages: set[Page] = set()
        self._changed: defaultdict[str, set[int]] = defaultdict(set)  # written by _heard, emptied by _deliver
        self._jobs: set[str] = set()  # job ids, or "*", that went on; written by _heard, emptied by _deliver
        self._stirred = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live")

    async def follow(
        self, topic: Topic, shown: Collection[int], *, takes_new: bool = False
    ) -> AsyncGenerator[str | None]:
        """The texts one page needs, first of all rows it shows, then of each that changes; None is a sign of life.

        Ends when the hub is closed. Raises DatabaseError when the rows cannot be read: the browser comes back.
        """
        self._start()
        page = Page(topic, shown, takes_new=takes_new)
        self._pages.add(page)
        try:
            while not page.closed:
                page.woken.clear()
                if page.stale:
                    page.stale = False
                    await self._catch_up(page)
                for letter in page.take_letters():
                    yield letter
                if not await woken_within(PULSE, page.woken):
                    yield None
        finally:
            self._pages.discard(page)

    async def close(self) -> None:
        """End every page and both loops; returns when the database is left. May be called twice."""
        for page in self._pages:
            page.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        reader, self._reader = self._reader, ThreadPoolExecutor(max_workers=1, thread_name_prefix="live")
        await self.loop.run_in_executor(reader, connections.close_all)
        reader.shutdown()

    # ------------------------------------------------------------------------------------------------------- the loops

    def _start(self) -> None:
        """Start the loops with the first page.

        In a context of their own: a request's context ends with the request, and Django keeps per-request things in it.
        """
        if not self._tasks:
            listener = Listener(heard=self._heard, connected=self._connected)
            self._tasks = [
                self.loop.create_task(listener.run(), name="live listener", context=contextvars.Context()),
                self.loop.create_task(self._deliver(), name="live delivery", context=contextvars.Context()),
            ]

    def _heard(self, channel: str, payload: str) -> None:
        """Note what changed. A payload is a hint: what is not an id is left alone."""
        if channel in OF_JOBS:
            self._jobs.update(payload.split(","))
        elif payload.isdecimal():
            self._changed[channel].add(int(payload))
        self._stirred.set()

    def _connected(self) -> None:
        """Listening has begun, maybe again: whatever happened before was not heard."""
        for page in self._pages:
            page.mark_stale()

    async def _deliver(self) -> None:
        """Read what changed and hand it out, until cancelled. What piles up meanwhile goes into the next round."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            changed, self._changed = self._changed, defaultdict(set)
            jobs, self._jobs = self._jobs, set()
            try:
                for topic in {page.topic for page in self._pages}:
                    rows = changed[topic.channel]
                    if jobs:
                        rows = rows | set(await self._read(topic.rows_of_jobs, None if "*" in jobs else jobs))
                    await self._hand_out(topic, rows)
            except Exception:
                logger.exception("live updates could not be read; the open pages read again by themselves")
                self._connected()

    async def _hand_out(self, topic: Topic, rows: Collection[int]) -> None:
        """Render each of these rows once, and give it to the pages that want it."""
        pages = [page for page in self._pages if page.topic is topic]
        wanted = {row for row in rows if any(page.wants(row) for page in pages)}
        if wanted:
            for row, letter in (await self._read(topic.render, wanted)).items():
                for page in pages:
                    if page.wants(row):
                        page.put(row, letter)

    async def _catch_up(self, page: Page) -> None:
        """Give a stale page everything it follows, as it is now."""
        rows = set(page.shown)
        if page.takes_new:
            rows.update(await self._read(page.topic.newer, max(page.shown, default=0)))
        await self._read(page.topic.rows_of_jobs, None)
        for row, letter in (await self._read(page.topic.render, rows)).items():
            page.put(row, letter)

    async def _read(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `function` reads, in the one reading thread, whose connection stays open while it works."""

        def read() -> R:
            try:
                return function(*args, **kwargs)
            except Exception:
                connections.close_all()  # whatever is wrong with it, the next read has a new one
                raise

        return await self.loop.run_in_executor(self._reader, read)


async def woken_within(seconds: float, event: asyncio.Event) -> bool:
    """Whether the event came in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


_hub: Hub | None = None


def hub() -> Hub:
    """The hub of this process; made when a page first asks."""
    global _hub  # noqa: PLW0603  one per process is the point of it
    if _hub is None or _hub.loop is not asyncio.get_running_loop():
        _hub = Hub()
    return _hub


async def close_hub() -> None:
    """End the live pages, if there are any, so that the server can stop without waiting for them."""
    global _hub
    if _hub is not None and _hub.loop is asyncio.get_running_loop():
        closing, _hub = _hub, None
        await closing.close()
