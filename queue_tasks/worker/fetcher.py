"""Fetcher: takes as many jobs as can start soon, hands them to slots, and waits for room, or until it is to look again.

Never more jobs than free slots, plus, when jobs are short, as many as will start within a tenth of a second: a job that
is fetched but cannot start is a job that another worker could be running.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from queue_tasks.exceptions import WorkerNotRegistered
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter
from queue_tasks.store import JobStore
from queue_tasks.worker.service import Service, wait_for

logger = logging.getLogger("queue_tasks.worker")

PREFETCH_WITHIN = 0.1
"""Seconds within which a prefetched job must be expected to start."""

STALE_AFTER = 1.0
"""Seconds after which a job that was fetched and has not started is given back: slow jobs are in its way."""

LAST_FETCH_WITHIN = 5.0
"""Seconds a stopping worker waits for the answer to its last fetch."""

MAX_BACKLOG = 3000
"""Outcomes waiting to be written above which nothing is fetched."""

LONGEST_TURN = 0.0005
"""Seconds for which jobs are started in one turn of the loop: where tasks start eagerly, they run as well, and whoever
sends the next fetch or writes outcomes waits for its turn."""

SMOOTHING = 0.05
"""The weight of the newest job in the running means."""


T = TypeVar("T")

Rest = Callable[[asyncio.Event, int, bool], Awaitable[None]]
"""Waits until the next look, at the longest until the event is set; told how many jobs the last one took, and whether
there may be more."""


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
        self._slots = slots
        self._max_prefetch = max_prefetch
        self._poll_interval = poll_interval
        self._rest = rest or self._poll
        self._run_job = run_job
        self._release = release
        self._backlog = backlog
        self._on_fetch = on_fetch
        self._on_unknown = on_unknown
        self._on_failed = on_failed
        self._last_chance = last_chance
        self._alone = False
        self._hushed = False
        self._left = max_jobs
        self._on_exhausted = on_exhausted
        self._on_idle = on_idle
        self._meter = meter or Meter()
        # With the time each was fetched.
        self._waiting: deque[tuple[float, FetchedJob]] = deque()
        self._stale_check: asyncio.TimerHandle | None = None
        self._running: dict[asyncio.Task[None] | None, int] = {}
        # What a job sets in its own is not for the one that comes after it.
        self._context: contextvars.Context
        self._next_turn: asyncio.Handle | None = None
        # Kept: to ask for the running loop costs a system call in Python 3.11.
        self._event_loop: asyncio.AbstractEventLoop
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        # The fetch that is under way, for how many jobs, and as which worker.
        self._fetching: asyncio.Task[list[FetchedJob]] | None = None
        self._asked_for = self._asked_as = 0
        # Whether it waits for nothing but the next look.
        self._resting = False
        # Seconds; a first guess that fetches no more than the slots.
        self._mean_duration = PREFETCH_WITHIN
        # Seconds from one end to the next, while jobs run: more than the slots explain, where bodies hold the loop.
        self._mean_interval = 0.0
        self._last_end = 0.0
        self.idle_fetches = 0
        """Fetches in a row that found nothing while nothing was in hand."""

    @property
    def in_hand(self) -> int:
        """Jobs fetched and not ended."""
        return len(self._waiting) + len(self._running)

    @property
    def running(self) -> int:
        """Jobs whose bodies run."""
        return len(self._running)

    @property
    def has_room(self) -> bool:
        """Whether a job that is fetched now can start at once."""
        return len(self._running) + len(self._waiting) < self._slots and not self._alone

    def wake(self) -> None:
        """Look for jobs now; any number of hints make one look."""
        self._wake.set()

    def look(self) -> None:
        """As `wake`, for who knows that it waits for this and for nothing else: at once."""
        self._wake.set()
        if self._resting and self._fetching is None and not self._must_wait() and self._left != 0:
            # Whoever rests has been woken by it all the same. What is heard from now on makes another look.
            self._wake.clear()
            self._begin_fetch()

    def reconsider(self) -> None:
        """Look anew at what may be fetched: what has not started may be of a queue that is paused now."""
        self._give_back_waiting()
        self._wake.set()

    @property
    def hushed(self) -> bool:
        """Whether it was told to fetch nothing."""
        return self._hushed

    def hush(self) -> None:
        """Fetch nothing more until `unhush`, and give back what has not started; what runs goes on."""
        self._hushed = True
        self._give_back_waiting()

    def unhush(self) -> None:
        """Fetch again."""
        self._hushed = False
        self._room.set()

    def relieve(self) -> None:
        """The backlog may have become shorter."""
        self._room.set()

    async def run(self) -> None:
        """Fetch whenever there is room and reason."""
        self._event_loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        while True:
            if self._left is not None and self._left <= 0:
                await self._quiet.wait()
                # What was given back meanwhile does not count.
                if self._left <= 0:
                    break
            if self._fetching is None:
                await self._until_room()
                self._wake.clear()
                self._begin_fetch()
            jobs = await self._fetched()
            if jobs is None:
                await wait_for(self._wake, self._poll_interval)
                continue
            if self._hushed:
                continue
            if not jobs and not self.in_hand and self._on_idle is not None:
                self.idle_fetches += 1
                await self._on_idle()
                continue
            self.idle_fetches = 0
            # Of jobs with locks there may be more than a fetch has found.
            full = len(jobs) == self._asked_for or any(job.lock is not None for job in jobs)
            if not jobs or self._on_idle is None:
                self._resting = True
                try:
                    await self._rest(self._wake, len(jobs), full)
                finally:
                    self._resting = False
        self._on_exhausted()

    def _begin_fetch(self) -> None:
        self._asked_for = self._wanted()
        self._asked_as = self.worker_id
        self._fetching = _start(self._event_loop, self._ask(self._asked_for), "queue_tasks fetch")
        # While the database is at it.
        self._on_fetch()

    async def _fetched(self) -> list[FetchedJob] | None:
        """What the fetch that was begun has found; None: this worker is not registered any more."""
        assert self._fetching is not None
        try:
            # Shielded: a fetch that is stopped half way may have taken jobs that nobody would know of.
            jobs = await asyncio.shield(self._fetching)
        except WorkerNotRegistered:
            self._fetching = None
            self._on_unknown(self._asked_as)
            return None
        except asyncio.CancelledError:
            if self._fetching.cancelled():
                # Not this loop: a task's body can cancel whatever it finds.
                self._fetching = None
                self._on_failed()
            raise
        except Exception:
            self._fetching = None
            self._on_failed()
            raise
        self._fetching = None
        return jobs

    async def _ask(self, wanted: int) -> list[FetchedJob]:
        """Take jobs, and start those that there are slots for: two turns of the loop before `run` has the answer."""
        asked_at = time.monotonic()
        jobs = await self._store.fetch_jobs(self._queues, wanted)
        now = time.monotonic()
        self._meter.note_fetch(now - asked_at, len(jobs))
        if self._left is not None:
            self._left -= len(jobs)
        self._waiting.extend((now, job) for job in jobs)
        if self._hushed:
            # Told so while the fetch was under way.
            self._give_back_waiting()
        elif self._loop is not None:
            # Not stopped meanwhile.
            self._fill_slots()
        return jobs

    async def _poll(self, wake: asyncio.Event, taken: int, full: bool) -> None:  # noqa: ARG002, FBT001 - a Rest
        if not full:
            await wait_for(wake, self._poll_interval)

    async def finish(self) -> None:
        """Give back what has not started."""
        if self._fetching is not None:
            # What it fails with is of no interest any more, least of all that the worker is not registered.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LAST_FETCH_WITHIN):
                    await self._fetching
        self._give_back_waiting()

    def forget_waiting(self) -> None:
        """Drop what has not started: it is another worker's now."""
        self._waiting.clear()
        self._note_quiet()

    @property
    def ids_in_hand(self) -> list[int] | None:
        """The jobs fetched and not ended; None while the answer to a fetch is on its way, and more may be."""
        if self._fetching is not None:
            return None
        return [*(job.id for _, job in self._waiting), *self._running.values()]

    async def until_quiet(self) -> None:
        """Return when no job is in hand."""
        await self._quiet.wait()

    def _limit(self) -> int:
        """How many jobs may be in hand."""
        interval = max(self._mean_interval, self._mean_duration / self._slots)
        prefetch = int(PREFETCH_WITHIN / interval) - self._slots
        return self._slots + max(0, min(prefetch, self._max_prefetch))

    def _enough(self) -> int:
        """How many in hand are not refilled yet: half of the surplus, for fewer and larger fetches."""
        # What waits for the loop's next turn gains nothing from a free slot.
        startable = 0 if self._next_turn is not None else self._slots
        return (self._limit() + startable) // 2

    def _wanted(self) -> int:
        room = self._limit() - self.in_hand
        return max(1, room if self._left is None else min(room, self._left))

    async def _until_room(self) -> None:
        while self._must_wait():
            self._room.clear()
            await self._room.wait()

    def _must_wait(self) -> bool:
        return (
            self._hushed
            or self.in_hand > self._enough()
            or self.in_hand >= self._limit()
            or self._backlog() > MAX_BACKLOG
        )

    def _give_back_waiting(self) -> None:
        if self._stale_check is not None:
            self._stale_check.cancel()
            self._stale_check = None
        if self._left is not None:
            self._left += len(self._waiting)
        while self._waiting:
            self._release(self._waiting.pop()[1])
        self._note_quiet()

    def _give_back_stale(self) -> None:
        """Slow jobs came after short ones, and what was prefetched waits behind them: others may be free."""
        self._stale_check = None
        if self._waiting and time.monotonic() - self._waiting[0][0] >= STALE_AFTER:
            self._mean_duration = max(self._mean_duration, PREFETCH_WITHIN)
            self._give_back_waiting()
        self._watch_waiting()

    def _watch_waiting(self) -> None:
        if self._waiting and self._stale_check is None:
            due_in = self._waiting[0][0] + STALE_AFTER - time.monotonic()
            self._stale_check = asyncio.get_running_loop().call_later(max(due_in, 0.01), self._give_back_stale)

    def _fill_slots(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        until = time.monotonic() + LONGEST_TURN
        while self._waiting and len(self._running) < self._slots and not self._alone:
            alone = self._waiting[0][1].crashes >= self._last_chance
            if alone and self._running:
                # It waits for the others to end, and they for it.
                break
            self._alone = alone
            _, job = self._waiting.popleft()
            task = _start(self._event_loop, self._serve(job), f"queue_tasks job {job.id}", self._context.copy())
            if not task.done():
                self._running[task] = job.id
                task.add_done_callback(self._ended)
                continue
            self._alone = False
            self._note_end(task)
            if time.monotonic() >= until and self._waiting:
                self._next_turn = self._event_loop.call_soon(self._fill_slots)
                break
        if self.in_hand:
            self._quiet.clear()
        if self._waiting:
            self._watch_waiting()

    async def _serve(self, job: FetchedJob) -> None:
        started = time.monotonic()
        await self._run_job(job)
        ended = time.monotonic()
        self._mean_duration += SMOOTHING * (max(ended - started, 1e-5) - self._mean_duration)
        self._mean_interval += SMOOTHING * (ended - max(started, self._last_end) - self._mean_interval)
        self._last_end = ended
        # Now, and not when asyncio calls back, which is a turn of the loop later.
        self._free_slot(asyncio.current_task(self._event_loop))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._free_slot(task)
        self._note_end(task)

    def _free_slot(self, task: asyncio.Task[None] | None) -> None:
        """Start the next job in the place of one that has ended, once; one that never waited has had no slot."""
        if self._running.pop(task, None) is not None:
            self._alone = False
            self._fill_slots()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.error("a job's run broke off; it will be rescued", exc_info=task.exception())
        if not self._room.is_set():
            self._room.set()
        self._note_quiet()

    def _note_quiet(self) -> None:
        if not self.in_hand:
            self._quiet.set()
            if self._on_idle is not None:
                self._wake.set()


def _start(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    name: str,
    context: contextvars.Context | None = None,
) -> asyncio.Task[T]:
    """A task for a coroutine; from Python 3.12 on it has run as far as it does without waiting, often to its end."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)
    return loop.create_task(coroutine, name=name, context=context)
