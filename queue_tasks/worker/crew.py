"""Crew: every role of one worker: who there is, and who tells whom what. In which order they work is in shift.py.

    listener -> waking -> fetcher -> attempts -> execution -> finisher -> consequences -> announcer

and beside them: registration, heartbeat, orders, watchdog; promoter, aborter, rescuer, scheduler, pruner; progress,
recorder.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from queue_tasks import bridge
from queue_tasks.conf import Options
from queue_tasks.meter import Meter
from queue_tasks.store import Store, Written
from queue_tasks.worker.announcer import Announcer
from queue_tasks.worker.attempt import StopReason
from queue_tasks.worker.attempts import Attempts
from queue_tasks.worker.consequences import Consequences, Tally
from queue_tasks.worker.ending import Ending, end_process
from queue_tasks.worker.execution import Execution
from queue_tasks.worker.fetcher import Fetcher
from queue_tasks.worker.finisher import Finisher
from queue_tasks.worker.heartbeat import Heartbeat
from queue_tasks.worker.limits import Limit
from queue_tasks.worker.listener import Listener
from queue_tasks.worker.lookout import Lookout
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.maintenance import PROMOTE_CHUNK, Aborter, Promoter, Pruner, Rescuer
from queue_tasks.worker.orders import Orders
from queue_tasks.worker.processes import ProcessExecutor
from queue_tasks.worker.progress import ProgressWriter
from queue_tasks.worker.recorder import Recorder
from queue_tasks.worker.registration import Registration
from queue_tasks.worker.scheduler import Scheduler
from queue_tasks.worker.service import Service
from queue_tasks.worker.settings import WorkerSettings
from queue_tasks.worker.threads import ThreadExecutor
from queue_tasks.worker.waking import Waking
from queue_tasks.worker.watchdog import Watchdog

logger = logging.getLogger("queue_tasks.worker")


class Crew:
    """Made on the worker's loop, and used there where nothing else is said.

    on_ready is called each time the listener begins to hear, or finds that it never will.
    """

    def __init__(
        self,
        store: Store,
        options: Options,
        settings: WorkerSettings,
        ending: Ending,
        *,
        tally: Tally,
        meter: Meter,
        on_ready: Callable[[], None],
    ) -> None:
        self._maintenance = store.maintenance
        self._options = options
        self._ending = ending
        self._on_ready = on_ready

        # What the worker is in the database, and what it is told there.
        self.orders = Orders(ending, drain=settings.drain, on_quiet=self._be_quiet, on_go_on=self._go_on)
        self.registration = Registration(
            store.workers,
            name=settings.name,
            queues=settings.queues,
            concurrency=settings.concurrency,
            stopping=ending.told,
            standing=lambda: self.orders.standing,
            on_lost=self._lose_jobs,
            on_renewed=self._renew,
        )

        # What bodies run in.
        self.threads = ThreadExecutor(settings.concurrency, options.timeout_patience, ending.recycle)
        self.loops = LoopExecutor(self._end_blocked)
        self.processes = ProcessExecutor(options, settings.name)
        self.facade = bridge.WorkerFacade(settings.name, 0, settings.queues, ending.stop)
        self.execution = Execution(options, self.threads, self.loops, self.facade, self.processes)

        # What becomes of an outcome, its end first.
        self.recorder = Recorder(store.figures, meter)
        self.announcer = Announcer(self.loops)
        self.consequences = Consequences(tally, meter, on_freed=self._look_again, announce=self.announcer.tell)
        self.finisher = Finisher(store.jobs, self._written)
        self.progress = ProgressWriter(store.jobs)
        self.attempts = Attempts(
            store.jobs,
            execute=self.execution.run,
            finish=self.finisher.put,
            on_written=self._written,
            note_progress=self.progress.note,
            forget_progress=self.progress.forget,
        )

        # Where jobs come from.
        self.lookout = Lookout()
        self.waking = Waking(
            store.workers,
            settings.queues,
            options.poll_interval,
            wake=self._look,
            look=self._look_at_once,
            has_room=lambda: self.fetcher.hand.has_free_slot,
            lookout=self.lookout,
        )
        self.rescuer = Rescuer(store.maintenance, options, self._ids_in_hand, self.lookout)
        self.fetcher = Fetcher(
            store.jobs,
            queues=settings.queues,
            slots=settings.concurrency,
            max_prefetch=options.max_prefetch,
            poll_interval=options.poll_interval,
            run_job=self.attempts.run,
            release=self.attempts.release,
            backlog=lambda: self.finisher.backlog,
            on_fetch=self.execution.look_for_listeners,
            on_unknown=self.registration.taken_for_dead,
            on_failed=self.rescuer.note_failed_fetch,
            last_chance=max(1, options.max_crashes - 1),
            max_jobs=settings.max_jobs,
            on_exhausted=lambda: ending.recycle(f"it has fetched {settings.max_jobs} jobs", stuck=False),
            on_idle=self._end_if_drained if settings.drain else None,
            meter=meter,
            rest=self.waking.rest if settings.is_told else None,
        )

        # Signs of life.
        self.heartbeat = Heartbeat(
            options,
            0,
            on_unknown=self.registration.taken_for_dead,
            on_late=self.rescuer.note_silence,
            on_told=self.orders.obey,
            queues=settings.queues,
            busy=self._has_jobs,
            carries=self.hears,
            lookout=self.lookout,
        )
        self.watchdog = Watchdog(options.block_warning, 0, self.attempts.name_of)

        # What gives hints, or tidies up.
        self.promoter = Promoter(store.maintenance, options.poll_interval, self._look, self.hears, self.lookout)
        self.aborter = Aborter(store.maintenance, options.poll_interval, self.attempts.abort, self.attempts.any)
        self.scheduler = Scheduler(store.schedules, options, self.hears, self.lookout)
        self.pruner = Pruner(store.maintenance, self.hears, self.lookout)
        self.listener = Listener(
            options,
            0,
            settings.queues,
            on_ready=self.waking.hear if settings.is_told else lambda _: self._look(),
            on_scheduled=self.promoter.wake,
            on_schedules=self.scheduler.wake,
            on_abort=self.aborter.wake,
            on_control=self._reconsider,
            on_listening=self._note_hearing if settings.is_told else on_ready,
            on_deaf=on_ready,
            meter=meter,
            errand=self.heartbeat,
        )

        self.writers: list[Service] = [self.recorder, self.announcer, self.finisher, self.progress]
        """The loops that write and tell what jobs did; each may be needed until those after it have ended."""
        self.hints: list[Service] = [self.promoter, self.aborter, self.rescuer]
        """The loops that give hints or tidy up; nothing that is begun depends on them."""
        if not settings.drain:
            self.hints += [self.scheduler, self.pruner]
        if settings.is_told:
            self.hints.append(self.waking)
        if settings.listen:
            self.hints.append(self.listener)
        self._services = [*self.writers, self.fetcher, *self.hints]

    # ------------------------------------------------------------------------------------------------- how they all do

    @property
    def worker_id(self) -> int:
        """The number that all work under; 0 before the worker is registered."""
        return self.registration.worker_id

    def hears(self) -> bool:
        """Whether notifications reach the worker now, as far as it knows. From any thread."""
        return self.listener.hears

    @property
    def running(self) -> list[asyncio.Task[None]]:
        """The loops that have not ended."""
        return [loop for service in self._services if (loop := service.loop) is not None and not loop.done()]

    @property
    def dead(self) -> list[str]:
        """The names of the loops that have ended and will not begin anew. From any thread."""
        dead = [service.name for service in self._services if service.failed]
        return dead if self.heartbeat.alive else [*dead, self.heartbeat.name]

    def number(self, worker_id: int) -> None:
        """Have all work under a number."""
        for service in self._services:
            service.worker_id = worker_id
        for other in (self.orders, self.heartbeat, self.watchdog, self.facade, self.attempts, self.consequences):
            other.worker_id = worker_id

    # --------------------------------------------------------------------------------------------- who tells whom what

    def _written(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        self.consequences.follow(batch, statuses)
        self.fetcher.relieve()

    def _look(self) -> None:
        """There may be jobs to fetch."""
        self.fetcher.wake()

    def _look_at_once(self) -> None:
        """The same, while it is asleep."""
        self.fetcher.look()

    def _look_again(self) -> None:
        """Jobs may have become ready, or due sooner, by what this worker has written."""
        self.fetcher.wake()
        self.promoter.wake()

    def _has_jobs(self) -> bool:
        """Whether jobs are in hand; from any thread."""
        return bool(self.fetcher.hand.size or self.finisher.backlog)

    def _ids_in_hand(self) -> list[int] | None:
        """The jobs that are this worker's by its own knowledge; None while it waits for more."""
        fetched = self.fetcher.ids_in_hand
        return None if fetched is None else [*fetched, *self.attempts.ids, *self.finisher.pending_ids]

    def _note_hearing(self) -> None:
        self.waking.begin()
        self._on_ready()

    async def _end_if_drained(self) -> None:
        """Nothing was ready and nothing runs: stop, unless something is due or was made ready by what just ended."""
        await self.finisher.flush()
        found = await self._maintenance.promote_jobs(PROMOTE_CHUNK)
        if found.promoted == 0 and self.fetcher.idle_fetches > 1:
            self._ending.told.set()
            await asyncio.Event().wait()

    def _reconsider(self) -> None:
        """An operator has decided something about queues, or about some worker."""
        self.fetcher.reconsider()
        self.promoter.reconsider()
        self.heartbeat.beat_now()

    def _be_quiet(self) -> None:
        logger.info("told to be quiet: fetching nothing more; %d jobs still run", self.fetcher.hand.running)
        self.fetcher.hush()
        self.waking.leave()

    def _go_on(self) -> None:
        logger.info("told to go on: fetching again")
        self.waking.come_back(hears=self.hears())
        self.fetcher.unhush()

    def _lose_jobs(self) -> None:
        """Our row is gone, and our jobs are others' now: tell the bodies to stop, forget what waits in our hand."""
        logger.warning(
            "worker %d was taken for dead (silent for too long); its %d jobs belong to others now; registering anew",
            self.worker_id,
            self.fetcher.hand.size,
        )
        self.attempts.stop_all(StopReason.LOST)
        self.fetcher.hand.forget()

    async def _renew(self, worker_id: int) -> None:
        """After it was lost, under a new number."""
        self.number(worker_id)
        # It takes the new number's lock.
        await self.listener.restart()
        # What was in our hand has no owner now, or is under the number that is dead.
        self.rescuer.note_silence(float("inf"))
        self.fetcher.wake()

    def _end_blocked(self, limit: Limit) -> None:
        """A coroutine keeps the loop, whatever was done: nothing goes on until the process ends. From any thread."""
        end_process(
            f"{limit.name} blocks the event loop, {self._options.timeout_patience:g} s after its timeout of "
            f"{limit.seconds:g} s; ending at once; running jobs will be rescued. It is here:\n{limit.stack()}"
        )
