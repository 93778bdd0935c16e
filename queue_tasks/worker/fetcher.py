"""Fetcher: takes as many jobs as can start soon, hands them to slots, and waits for room, or until it is to look again.

Never more jobs than free slots, plus, when jobs are short, as many as will start within a tenth of a second: a job that
is fetched but cannot start is a job that another worker could be running.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from queue_tasks.exceptions import WorkerNotRegistered
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter
from queue_tasks.store import JobStore
from queue_tasks.worker.event_loop import start_task
from queue_tasks.worker.hand import Hand
from queue_tasks.worker.service import Service, wait_for

LAST_FETCH_WITHIN = 5.0
"""Seconds a stopping worker waits for the answer to its last fetch."""

MAX_BACKLOG = 3000
"""Outcomes waiting to be written above which nothing is fetched."""

Rest = Callable[[asyncio.Event, int, bool], Awaitable[None]]
"""Waits until the next look, at the longest until the event is set; told how many jobs the last one took, and whether
there may be more."""


class Fetch(NamedTuple):
    """One that is under way, for so many jobs, and as which worker."""

    task: asyncio.Task[list[FetchedJob]]
    wanted: int
    worker_id: int


class Fetcher(Service):
    """The worker's mouth. run_job runs one job and hands its outcome over; release gives one back unstarted.

    backlog tells how many outcomes wait to be written: when the database cannot follow, nothing more is taken from it.
    on_fetch is called while the answer to a fetch is awaited, for what is looked at once for all its jobs.
    rest waits, after a fetch that was not full, until the next look; without it, for a hint or the poll.
    on_unknown is called with the worker's number when it is not registered any more; on_failed after each fetch that
    failed otherwise and may have taken jobs all the same.
    on_exhausted is called when max_jobs have been fetched and have ended.
    on_idle is awaited, in place of the rest, after a fetch that found nothing while nothing was in hand: who drains has
    it end the worker.
    last_chance: crashes from which on a job runs with no other beside it: the next one fails it, and must be its own.
    """

    name = "fetcher"

    def __init__(
        self,
        store: JobStore,
        *,
        queues: Sequence[str] | None,
        slots: int,
        max_prefetch: int,
        poll_interval: float,
        run_job: Callable[[FetchedJob], Awaitable[None]],
        release: Callable[[FetchedJob], None],
        backlog: Callable[[], int],
        on_fetch: Callable[[], None] = lambda: None,
        on_unknown: Callable[[int], None],
        on_failed: Callable[[], None] = lambda: None,
        last_chance: int,
        max_jobs: int | None = None,
        on_exhausted: Callable[[], None] = lambda: None,
        on_idle: Callable[[], Awaitable[None]] | None = None,
        meter: Meter | None = None,
        rest: Rest | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._queues = queues
        self._poll_interval = poll_interval
        self._release = release
        self._backlog = backlog
        self._on_fetch = on_fetch
        self._on_unknown = on_unknown
        self._on_failed = on_failed
        self._on_exhausted = on_exhausted
        self._on_idle = on_idle
        self._meter = meter or Meter()
        self._rest = rest or self._poll
        # How many jobs may still be fetched.
        self._left = math.inf if max_jobs is None else max_jobs
        self._hushed = False
        self._fetch: Fetch | None = None
        # Whether the loop waits for nothing but the next look.
        self._resting = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.hand = Hand(
            slots,
            max_prefetch,
            run_job,
            self._let_go,
            last_chance=last_chance,
            on_end=self._room.set,
            on_quiet=self._note_quiet,
        )
        """What was fetched and has not ended."""
        self.idle_fetches = 0
        """Fetches in a row that found nothing while nothing was in hand."""

    @property
    def ids_in_hand(self) -> list[int] | None:
        """The jobs fetched and not ended; None while the answer to a fetch is on its way, and more may be."""
        return None if self._fetch is not None else self.hand.ids

    # ------------------------------------------------------------------------------------------------- what it is told

    def wake(self) -> None:
        """Look for jobs now; any number of hints make one look."""
        self._wake.set()

    def look(self) -> None:
        """As `wake`, for who knows that it waits for this and for nothing else: at once."""
        self._wake.set()
        if self._resting and self._fetch is None and not self._must_wait() and self._left:
            # Whoever rests has been woken by it all the same. What is heard from now on makes another look.
            self._wake.clear()
            self._begin_fetch()

    def reconsider(self) -> None:
        """Look anew at what may be fetched: what has not started may be of a queue that is paused now."""
        self.hand.give_back()
        self._wake.set()

    @property
    def hushed(self) -> bool:
        """Whether it was told to fetch nothing."""
        return self._hushed

    def hush(self) -> None:
        """Fetch nothing more until `unhush`, and give back what has not started; what runs goes on."""
        self._hushed = True
        self.hand.give_back()

    def unhush(self) -> None:
        """Fetch again."""
        self._hushed = False
        self._room.set()

    def relieve(self) -> None:
        """The backlog may have become shorter."""
        self._room.set()

    # ------------------------------------------------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Fetch whenever there is room and reason."""
        while not await self._is_exhausted():
            fetch = self._fetch
            if fetch is None:
                await self._until_room()
                self._wake.clear()
                fetch = self._begin_fetch()
            jobs = await self._answer(fetch)
            if jobs is None:
                await wait_for(self._wake, self._poll_interval)
            elif not self._hushed:
                await self._until_reason(jobs, fetch.wanted)
        self._on_exhausted()

    async def finish(self) -> None:
        """Give back what has not started."""
        if self._fetch is not None:
            # What it fails with is of no interest any more, least of all that the worker is not registered.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LAST_FETCH_WITHIN):
                    await self._fetch.task
        self.hand.give_back()

    async def _is_exhausted(self) -> bool:
        """Whether all that it may fetch has been fetched, and has ended."""
        if not self._left:
            await self.hand.until_quiet()
        # What was given back meanwhile does not count.
        return not self._left

    async def _until_room(self) -> None:
        while self._must_wait():
            self._room.clear()
            await self._room.wait()

    def _must_wait(self) -> bool:
        return self._hushed or not self.hand.wants_more or self._backlog() > MAX_BACKLOG

    def _begin_fetch(self) -> Fetch:
        wanted = max(1, int(min(self.hand.room, self._left)))
        task = start_task(asyncio.get_running_loop(), self._ask(wanted), "queue_tasks fetch")
        self._fetch = Fetch(task, wanted, self.worker_id)
        # While the database is at it.
        self._on_fetch()
        return self._fetch

    async def _ask(self, wanted: int) -> list[FetchedJob]:
        """Take jobs, and start those that there are slots for: two turns of the loop before `run` has the answer."""
        asked_at = time.monotonic()
        jobs = await self._store.fetch_jobs(self._queues, wanted)
        now = time.monotonic()
        self._meter.note_fetch(now - asked_at, len(jobs))
        if self._hushed or self._loop is None:
            # Told so, or stopped, while the fetch was under way.
            for job in jobs:
                self._release(job)
        else:
            self._left -= len(jobs)
            self.hand.take(jobs, now)
        return jobs

    async def _answer(self, fetch: Fetch) -> list[FetchedJob] | None:
        """What a fetch has found; None: this worker is not registered any more."""
        # It goes on when this wait is broken off: stopped half way it may have taken jobs that nobody would know of.
        await asyncio.wait([fetch.task])
        self._fetch = None
        try:
            return fetch.task.result()
        except WorkerNotRegistered:
            self._on_unknown(fetch.worker_id)
            return None
        except BaseException:
            # Also when it was cancelled: a task's body can cancel whatever it finds on the loop.
            self._on_failed()
            raise

    async def _until_reason(self, jobs: list[FetchedJob], wanted: int) -> None:
        """Wait, after a fetch that found so many of those that it wanted, until it is to look again."""
        idle = not jobs and not self.hand.size
        self.idle_fetches = self.idle_fetches + 1 if idle else 0
        if idle and self._on_idle is not None:
            await self._on_idle()
        elif self._on_idle is None or not jobs:
            # Of jobs with locks there may be more than a fetch has found.
            full = len(jobs) == wanted or any(job.lock is not None for job in jobs)
            self._resting = True
            try:
                await self._rest(self._wake, len(jobs), full)
            finally:
                self._resting = False

    def _let_go(self, job: FetchedJob) -> None:
        self._left += 1
        self._release(job)

    def _note_quiet(self) -> None:
        if self._on_idle is not None:
            self._wake.set()

    async def _poll(self, wake: asyncio.Event, taken: int, full: bool) -> None:  # noqa: ARG002, FBT001 - a Rest
        if not full:
            await wait_for(wake, self._poll_interval)
