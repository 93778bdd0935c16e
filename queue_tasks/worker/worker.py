"""Worker: has its crew begin, waits until it is to stop, and has them end. One is one process's one event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack

from queue_tasks import events, signals
from queue_tasks.conf import Options
from queue_tasks.meter import Meter
from queue_tasks.store import Store
from queue_tasks.worker.consequences import Tally
from queue_tasks.worker.crew import Crew
from queue_tasks.worker.ending import Ending
from queue_tasks.worker.metering import counting
from queue_tasks.worker.settings import WorkerSettings
from queue_tasks.worker.shift import Shift

RECEIVERS_PATIENCE = 10.0
"""Seconds for which a stopping worker waits for receivers of signals, at the most."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether the heartbeat's thread lives."""


class Worker:
    """Runs jobs until it is stopped.

    on_ready is called once it fetches and, if it may and does not only drain, listens.
    """

    def __init__(
        self, options: Options, settings: WorkerSettings, on_ready: Callable[[Worker], None] | None = None
    ) -> None:
        self.options = options
        self.settings = settings
        self.tally = Tally()
        self.meter = Meter()
        self.crew: Crew | None = None
        """Its roles, once they have begun; they stay when they have ended."""
        self.ready = False
        """Whether it has begun to fetch and, if it may, to listen."""
        self._on_ready = on_ready
        self._ending = Ending(options.grace, self.call_soon)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> int:
        """Work until stopped, drained, or out of `max_jobs`; then end what was begun.

        Returns the exit code: 0, or 1 when a loop died, something is stuck or, while draining, a job failed for good.
        """
        self._loop = asyncio.get_running_loop()
        courier = signals.Courier()
        try:
            with courier, counting(self.meter):
                if await self._work():
                    events.publish(events.WorkerStopped(self.worker_id, self.settings.name, self.tally.ended))
        finally:
            if courier.started:
                patience = min(RECEIVERS_PATIENCE, 0.9 * self._ending.time_left)
                await self._ending.within("telling of signals", lambda: asyncio.to_thread(courier.join, patience))
        return 1 if self._ending.stuck or (self.settings.drain and self.tally.failed) else 0

    async def _work(self) -> bool:
        """See `run`. False when it was told to stop before it began."""
        settings = self.settings
        store = Store(self.options)
        try:
            async with AsyncExitStack() as stack:
                crew = Crew(
                    store,
                    self.options,
                    settings,
                    self._ending,
                    tally=self.tally,
                    meter=self.meter,
                    on_ready=self._note_ready,
                )
                if not await Shift(crew, self._ending).begin(stack):
                    return False
                self.crew = crew
                queues = None if settings.queues is None else tuple(settings.queues)
                events.publish(events.WorkerStarted(self.worker_id, settings.name, queues, settings.concurrency))
                if not settings.is_told:
                    # Who drains may have ended before its listener hears.
                    self._note_ready()
                await self._until_stopped(crew)
        finally:
            await self._ending.within("closing connections", store.close)
        return True

    async def _until_stopped(self, crew: Crew) -> None:
        """Return when it is to stop, or one of its loops is dead."""
        stopping = asyncio.create_task(self._ending.told.wait())
        try:
            while not stopping.done():
                await asyncio.wait([stopping, *crew.running], timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                if dead := self.dead:
                    self._ending.fail(f"the worker's {dead[0]} died and could not be started again")
                    return
        finally:
            stopping.cancel()
            self._ending.begin()

    def _note_ready(self) -> None:
        """Tell once: the listener comes here again after each reconnection."""
        if not self.ready and self._on_ready is not None:
            self._on_ready(self)
        self.ready = True

    # ------------------------------------------------------------------------------------------------ from any thread

    def stop(self, grace: float | None = None) -> None:
        """Stop fetching, let running jobs end within the grace time, then give the rest back.

        grace: seconds instead of the option's; also when it is stopping already, if that is sooner.
        At any time, also before it runs and after it has stopped.
        """
        self._ending.stop(grace)

    def recycle(self, why: str, *, stuck: bool = True) -> None:
        """Stop gracefully because the process should be replaced. The first reason counts.

        stuck: because of something that should not be, and not because it was told to: the exit code is 1.
        """
        self._ending.recycle(why, stuck=stuck)

    def call_soon(self, function: Callable[[], None]) -> bool:
        """Have the event loop call a function at its next turn; False when there is no loop."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            # Closed: it has stopped.
            return False
        return self._loop is not None

    def answers(self, within: float) -> bool:
        """Whether the event loop takes a turn within so many seconds, or there is none; asked from another thread."""
        turned = threading.Event()
        return not self.call_soon(turned.set) or turned.wait(within)

    @property
    def worker_id(self) -> int:
        """Its number in the database; another one when it was taken for dead; 0 before it has one."""
        return 0 if self.crew is None else self.crew.worker_id

    @property
    def listening(self) -> bool:
        """Whether notifications reach it now, as far as it knows."""
        return self.crew is not None and self.crew.hears()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop, and has noticed."""
        return self._ending.told.is_set()

    @property
    def recycled(self) -> str | None:
        """Why it asked for its process to be replaced, once it has."""
        return self._ending.recycled

    @property
    def dead(self) -> list[str]:
        """The loops that have ended and will not begin anew; none once it was told to stop."""
        return [] if self.stopping or self.crew is None else self.crew.dead
