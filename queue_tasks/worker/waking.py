"""Waking: decides when the fetcher looks for jobs: when it is told, or, while it is told often, by itself.

    asleep    a notification wakes it. Of several workers one is named in it and looks; the second named looks a little
              later; the others only know. Who is named and has no room, or not for all there is, tells the others.
    awake     told more than sixty times a second, by several writers at once, it has the database know that nobody need
              tell it, and looks every few milliseconds. Enqueues are silent while no worker that serves their queue
              is asleep.
    settling  nothing has come for a while: it says that it sleeps. A transaction that is open at that moment may have
              kept silent, so it goes on looking until each of these has ended, and looks once more.

Whatever goes wrong here costs time, never a job: the poll finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence

from queue_tasks.database_errors import StatementRefused
from queue_tasks.following import Writers
from queue_tasks.store import WorkerStore
from queue_tasks.worker.lookout import Find, Lookout
from queue_tasks.worker.service import Service, wait_for

CALLS = 15
"""Notifications within WINDOW from which on it is less work, for all, to look without being told. Not many more: a disk
that needs 10 ms for a commit lets only 100 a second through."""

WINDOW = 0.25
"""Seconds."""

CROWD = 4
"""Open transactions that write jobs, a worker's own among them, from which on it is worth it: writers wait for each
other's notifications only when several commit at a time, and a job of one that writes alone starts sooner when told."""

LOOK_EVERY = 0.005
"""Seconds between the looks of a worker that is awake, while they find jobs."""

LOOK_TOGETHER = 0.01
"""Seconds between the looks of all that are awake, while they find nothing."""

LOOK_AT_LEAST_EVERY = 0.1
"""Seconds between the looks of one that is awake, however many there are."""

QUIET_LOOKS = 10
"""Looks of the slowest pace that find nothing before it goes to sleep."""

QUIET = 0.2
"""Seconds that must pass without a job, at the least, before it goes to sleep."""

SETTLE_SHARE = 8
"""Between two looks for what an open transaction may hold passes this part of the time it has kept us waiting."""

SECOND_AFTER = 0.1
"""Seconds after which the second who is named looks."""

TELL_EVERY = 0.1
"""Seconds between two tellings of the others."""


class Waking(Service):
    """See the module. `rest` is what the fetcher waits in, `hear` is told of every notification that jobs are ready.

    wake makes the fetcher look; look, which is for one that is asleep, does so in this very moment.
    has_room tells whether it could start a job at once.
    """

    name = "waking"

    def __init__(
        self,
        store: WorkerStore,
        queues: Sequence[str] | None,
        poll_interval: float,
        *,
        wake: Callable[[], None],
        look: Callable[[], None],
        has_room: Callable[[], bool],
        lookout: Lookout | None = None,
    ) -> None:
        super().__init__()
        self._lookout = lookout or Lookout()
        self._lookout.call(Find.READY, wake)
        self._store = store
        self._queues = queues
        self._poll_interval = poll_interval
        self._wake = wake
        self._look_now = look
        self._has_room = has_room
        self._noting = asyncio.Lock()
        self._duty = asyncio.Event()
        self._stopped = False
        # What the database was last made to know.
        self._awake = False
        # The transactions that may not know that it sleeps; each time it lies down there are others.
        self._writers = Writers([])
        self._lay_down_at = 0.0
        # Awake: how often it looks, at the seldomest, and since when it has found nothing.
        self._look_every = LOOK_EVERY
        self._slowest = LOOK_TOGETHER
        self._quiet_since = 0.0
        # Notifications since the window opened.
        self._calls = 0
        self._window = 0.0
        # When the crowd may be counted again.
        self._count_at = 0.0
        # To be done by the loop.
        self._begin = False
        self._get_up = False
        self._tell = False
        self._leave = False
        self._told_at = -TELL_EVERY
        self._owes = False
        self._second: asyncio.TimerHandle | None = None

    @property
    def awake(self) -> bool:
        """Whether nobody need tell this worker of jobs."""
        return self._awake

    @property
    def asleep(self) -> bool:
        """Whether it sleeps, and every transaction knows it."""
        return not self._awake and self._writers.ended

    # ------------------------------------------------------------------------------------------------------- the loop

    async def run(self) -> None:
        """Tell the database, or the others, what is to be told."""
        while True:
            if self._leave:
                await self._say_gone()
            if self._begin:
                await self._say_asleep()
                self._wake()
            if self._get_up:
                await self._say_awake()
            if self._tell:
                await asyncio.sleep(max(0.0, self._told_at + TELL_EVERY - time.monotonic()))
                self._tell = False
                self._told_at = time.monotonic()
                await self._store.tell_others(self._queues)
            await self._duty.wait()
            self._duty.clear()

    async def finish(self) -> None:
        """Have nobody tell this worker any more."""
        self._stopped = True
        if self._second is not None:
            self._second.cancel()
        async with self._noting:
            with contextlib.suppress(StatementRefused, OSError):
                await self._store.forget_listener()

    def leave(self) -> None:
        """This worker looks for jobs no more, until `come_back`: nobody is to count on it."""
        self._stopped = self._leave = True
        self._duty.set()

    def come_back(self, *, hears: bool) -> None:
        """It looks for jobs again. hears: whether the listener does; else it says so when it does."""
        self._stopped = self._leave = False
        if hears:
            self.begin()

    async def _say_gone(self) -> None:
        """Have others told instead, of what this one was told of last, too."""
        async with self._noting:
            if self._leave:
                await self._store.forget_listener()
                self._awake, self._writers = False, Writers([])
                self._leave = False
        await self._store.tell_others(self._queues)

    # -------------------------------------------------------------------------------------------------- what is heard

    def begin(self) -> None:
        """The listener hears from now on."""
        self._begin = True
        self._duty.set()

    def hear(self, workers: Sequence[int] | None) -> None:
        """Jobs are ready; workers: those that are to look, in turn; None: all."""
        now = time.monotonic()
        if now - self._window > WINDOW:
            self._window, self._calls = now, 0
        self._calls += 1
        if self._awake:
            return
        if self._calls >= CALLS and not self._get_up and now >= self._count_at:
            self._get_up = True
            self._duty.set()
        if workers is None:
            self._look(others=False)
        elif self.worker_id == workers[0]:
            self._look(others=len(workers) > 1)
        elif self.worker_id in workers and self._second is None:
            after = SECOND_AFTER * random.uniform(1, 1.5)  # noqa: S311 - jitter
            self._second = asyncio.get_running_loop().call_later(after, self._look_second)

    def _look_second(self) -> None:
        self._second = None
        if not self._awake:
            self._look(others=True)

    def _look(self, *, others: bool) -> None:
        if self.asleep:
            self._look_now()
        else:
            # It may have to look again, after the transactions that it waits for.
            self._wake()
        if not others:
            return
        if self._has_room():
            self._owes = True
        else:
            self._tell_others()

    def _tell_others(self) -> None:
        self._owes = False
        self._tell = True
        self._duty.set()

    # ------------------------------------------------------------------------------------------------ what it waits in

    async def rest(self, wake: asyncio.Event, taken: int, full: bool) -> None:  # noqa: FBT001 - a fetcher.Rest
        """Wait, after a look that took so many jobs, until the next; full: there may be more, and no room for them."""
        now = time.monotonic()
        if taken:
            self._quiet_since = now
        if full:
            if self._owes:
                self._tell_others()
            return
        self._owes = False
        if self._stopped or self.asleep:
            await self._lookout.poll(Find.READY, wake, self._poll_interval)
        elif not self._awake:
            await self._settle(wake)
        elif now - self._quiet_since < max(QUIET, QUIET_LOOKS * self._slowest):
            pace = self._look_every * (0.7 if taken else 1.5)
            self._look_every = min(max(pace, LOOK_EVERY), self._slowest)
            await wait_for(wake, min(self._look_every, self._poll_interval))
        else:
            await self._lie_down(wake)

    async def _lie_down(self, wake: asyncio.Event) -> None:
        try:
            await self._say_asleep()
        except (StatementRefused, OSError):
            # Still awake, for all that anybody knows.
            await wait_for(wake, LOOK_AT_LEAST_EVERY)

    async def _settle(self, wake: asyncio.Event) -> None:
        writers = self._writers
        if writers.known:
            waited = time.monotonic() - self._lay_down_at
            await wait_for(wake, min(max(waited / SETTLE_SHARE, LOOK_EVERY), self._poll_interval))
        try:
            writers.known = await self._store.list_writers(writers.known)
        except (StatementRefused, OSError):
            await wait_for(wake, LOOK_AT_LEAST_EVERY)

    async def _say_asleep(self) -> None:
        async with self._noting:
            if self._stopped:
                return
            self._begin = False
            try:
                await self._store.note_listener(self._queues, asleep=True)
            except BaseException:
                self._begin = True
                raise
            self._awake = self._get_up = False
            self._calls = 0
            self._writers = Writers()
            self._lay_down_at = time.monotonic()

    async def _say_awake(self) -> None:
        async with self._noting:
            self._get_up = False
            if self._stopped:
                return
            self._count_at = time.monotonic() + WINDOW
            if len(await self._store.list_writers()) < CROWD:
                return
            listeners = await self._store.note_listener(self._queues, asleep=False)
            if listeners is None:
                return
            self._awake = True
            self._look_every = LOOK_EVERY
            self._slowest = min(LOOK_TOGETHER * listeners, LOOK_AT_LEAST_EVERY)
            self._quiet_since = time.monotonic()
        # Out of its sleep.
        self._wake()
