"""Worker: puts the roles together, and says what follows what. One worker is one process's one event loop.

enqueue -> LISTEN -> listener -> waking -> fetcher -> execution -> finisher -> the row, and beside them: heartbeat,
promoter, aborter, scheduler, pruner, progress, announcer, recorder.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from queue_tasks import bridge, events, signals
from queue_tasks.conf import Options
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.store import Store, Written
from queue_tasks.worker import joblog
from queue_tasks.worker.announcer import Announcer
from queue_tasks.worker.attempt import Attempt, StopReason
from queue_tasks.worker.ending import STOP_MARGIN, Ending, end_process, together
from queue_tasks.worker.execution import Execution
from queue_tasks.worker.fetcher import Fetcher
from queue_tasks.worker.finisher import Finisher
from queue_tasks.worker.heartbeat import Heartbeat
from queue_tasks.worker.limits import Limit
from queue_tasks.worker.listener import Listener
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.maintenance import PROMOTE_CHUNK, Aborter, Promoter, Pruner, Rescuer
from queue_tasks.worker.metering import counting, note
from queue_tasks.worker.processes import ProcessExecutor
from queue_tasks.worker.progress import ProgressWriter
from queue_tasks.worker.recorder import Recorder
from queue_tasks.worker.registration import QUIET, STOP, Registration
from queue_tasks.worker.scheduler import Scheduler
from queue_tasks.worker.service import Service, brief
from queue_tasks.worker.threads import ThreadExecutor
from queue_tasks.worker.waking import Waking
from queue_tasks.worker.watchdog import Watchdog

logger = logging.getLogger("queue_tasks.worker")

LOOPS_PATIENCE = 1.0
"""Seconds that the loops which nothing depends on have to end."""

RECEIVERS_PATIENCE = 10.0
"""Seconds for which a stopping worker waits for receivers of signals, at the most."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether the heartbeat's thread lives."""


@dataclass(slots=True)
class Tally:
    """What a worker has done in its life."""

    ended: int = 0
    """Attempts whose outcome was written."""
    succeeded: int = 0
    failed: int = 0
    """Jobs that failed for good."""
    lost: int = 0
    """Attempts whose outcome could not be written: the job was another's by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What one worker is told; the rest is in the backend's options."""

    queues: Sequence[str] | None = None
    """Names; None: every queue."""
    concurrency: int
    """Jobs run at a time."""
    name: str
    """For people."""
    listen: bool = True
    drain: bool = False
    """Run what is ready and due, then stop."""
    max_jobs: int | None = None
    """Stop after this many."""


class Worker:
    """Runs jobs until it is stopped.

    on_ready is called once it fetches and, if it may, listens.
    """

    def __init__(
        self, options: Options, settings: WorkerSettings, on_ready: Callable[[Worker], None] | None = None
    ) -> None:
        self.options = options
        self.settings = settings
        self.tally = Tally()
        self.meter = Meter()
        self.worker_id = 0
        self.stuck = False
        """Whether something that a task left running on the loop did not end: only the process's end will."""
        self._on_ready = on_ready
        self.ready = False
        """Whether it has begun to fetch and, if it may, to listen."""
        self.registered = False
        """Whether its loops have been started."""
        self._attempts: dict[int, Attempt] = {}
        self._stopping = asyncio.Event()
        self._error: str | None = None
        self.recycled: str | None = None
        """Why the worker asked for its process to be replaced, once it has."""
        self._stuck = False
        self._ending = Ending()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> int:
        """Work until stopped, drained, or out of `max_jobs`; then end what was begun.

        Returns the exit code: 0, or 1 when a loop died, something is stuck or, while draining, a job failed for good.
        """
        courier = signals.Courier()
        try:
            with courier:
                return await self._work()
        finally:
            if courier.started:
                patience = min(RECEIVERS_PATIENCE, 0.9 * self._ending.time_left)
                await self._ending.within("telling of signals", lambda: asyncio.to_thread(courier.join, patience))

    async def _work(self) -> int:
        """See `run`.

        Roles are entered from the tail of the flow to its mouth, so that nothing is fetched before it can be finished.
        Leaving the stack stops them mouth first: no hints, no fetch, running jobs end, their outcomes are written.
        """
        self._loop = asyncio.get_running_loop()
        options, settings = self.options, self.settings
        store = Store(options)
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(counting(self.meter))
                self.registration = Registration(
                    store,
                    name=settings.name,
                    queues=settings.queues,
                    concurrency=settings.concurrency,
                    stopping=self._stopping,
                    on_lost=self._lost,
                    on_renewed=self._go_on,
                )
                if not await self.registration.begin():
                    return 0
                self.worker_id = self.registration.worker_id
                stack.push_async_callback(self._ending.within, "taking its leave", self.registration.end)
                self.heartbeat = Heartbeat(
                    options,
                    self.worker_id,
                    self.registration.taken_for_dead,
                    self._note_silence,
                    self._obey,
                )
                await self.heartbeat.__aenter__()
                stack.push_async_callback(self._ending.within, "the heartbeat", self.heartbeat.stop)
                self.watchdog = Watchdog(options.block_warning, self.worker_id, self._name_of)
                self.watchdog.start()
                stack.push_async_callback(self._ending.within, "the watchdog", self.watchdog.stop)
                self._services = services = self._make_services(store, stack)
                for service in services:
                    service.worker_id = self.worker_id
                    if service is self.fetcher:
                        # Left after the fetcher, that is: when nothing new is fetched any more.
                        stack.push_async_callback(self._end_running)
                    await service.__aenter__()
                    stack.push_async_callback(self._ending.within, f"the {service.name}", service.stop)
                stack.push_async_callback(self._end_loops)
                self.registered = True
                events.publish(
                    events.WorkerStarted(
                        self.worker_id,
                        settings.name,
                        None if settings.queues is None else tuple(settings.queues),
                        settings.concurrency,
                    )
                )
                if not settings.listen:
                    self._ready()
                await self._until_stopped(services)
        finally:
            await self._ending.within("closing connections", store.close)
        events.publish(events.WorkerStopped(self.worker_id, settings.name, self.tally.ended))
        if self._error is not None:
            logger.critical(self._error)
            return 1
        return 1 if self._stuck or (settings.drain and self.tally.failed) else 0

    def stop(self, grace: float | None = None) -> None:
        """Stop fetching, let running jobs end within the grace time, then give the rest back.

        grace: seconds instead of the option's; also when it is stopping already, if that is sooner.
        From any thread, at any time, also before it runs and after it has stopped.
        """
        self._ending.begin(self.options.grace if grace is None else grace, asked=True)
        self._tell_to_stop()

    def recycle(self, why: str, *, stuck: bool = True) -> None:
        """Stop gracefully because the process should be replaced; from any thread. The first reason counts.

        stuck: because of something that should not be, and not because it was told to: the exit code is 1.
        """
        if self.recycled is None:
            self.recycled = why
            logger.log(logging.WARNING if stuck else logging.INFO, "this process is to be replaced: %s", why)
        self._stuck = self._stuck or stuck
        self._ending.begin(self.options.grace)
        self._tell_to_stop()

    def _tell_to_stop(self) -> None:
        if self._loop is None:
            self._stopping.set()
        else:
            self.call_soon(self._stopping.set)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop, and has noticed."""
        return self._stopping.is_set()

    @property
    def dead(self) -> list[str]:
        """The loops that have ended and will not begin anew; none once it was told to stop."""
        if self.stopping:
            return []
        dead = [service.name for service in self._services if service.failed]
        return dead if self.heartbeat.alive else [*dead, self.heartbeat.name]

    def call_soon(self, function: Callable[[], None]) -> bool:
        """Have the event loop call a function at its next turn; False when there is no loop. From any thread."""
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
    def listening(self) -> bool:
        """Whether notifications reach it now, as far as it knows."""
        return self.settings.listen and self.listener.hears

    def _stuck_loop(self, limit: Limit) -> None:
        """A coroutine keeps the loop, whatever was done: nothing goes on until the process ends."""
        end_process(
            f"{limit.name} blocks the event loop, {self.options.timeout_patience:g} s after its timeout of "
            f"{limit.seconds:g} s; ending at once; running jobs will be rescued. It is here:\n{limit.stack()}"
        )

    def _name_of(self, task: asyncio.Task[object]) -> str | None:
        """The job whose body an asyncio task is; from the watchdog's thread."""
        for attempt in tuple(self._attempts.values()):
            if attempt.runner is task:
                return f"job {attempt.job.id} ({attempt.job.task_name})"
        return None

    def _make_services(self, store: Store, stack: AsyncExitStack) -> list[Service]:
        """Every role, tail of the flow first."""
        options, settings = self.options, self.settings
        threads, loops = ThreadExecutor(settings.concurrency, options.timeout_patience), LoopExecutor()
        threads.on_stuck, loops.on_stuck = self.recycle, self._stuck_loop
        self.recorder = Recorder(store, self.meter)
        self.announcer = Announcer(loops)
        self.finisher = Finisher(store, self._written)
        self.progress = ProgressWriter(store)
        stack.callback(loops.close)
        stack.push_async_callback(self._close_threads, threads)
        self._facade = facade = bridge.WorkerFacade(settings.name, self.worker_id, settings.queues, self.stop)
        processes = ProcessExecutor(options, settings.name)
        stack.push_async_callback(self._ending.within, "a process of a task", processes.close)
        self.execution = Execution(options, threads, loops, facade, processes)
        self.waking = Waking(
            store,
            settings.queues,
            options.poll_interval,
            wake=self._wake_fetcher,
            has_room=lambda: self.fetcher.has_room,
        )
        # Who only drains leaves by itself: nobody is to count on it.
        is_told = settings.listen and not settings.drain
        self.promoter = Promoter(store, options.poll_interval, self._wake_fetcher, lambda: self.listening)
        self.fetcher = Fetcher(
            store,
            queues=settings.queues,
            slots=settings.concurrency,
            max_prefetch=options.max_prefetch,
            poll_interval=options.poll_interval,
            run_job=lambda job: self._run_job(job, store),
            release=self._release,
            backlog=lambda: self.finisher.backlog,
            on_unknown=self.registration.taken_for_dead,
            on_failed=self._fetch_failed,
            last_chance=max(1, options.max_crashes - 1),
            max_jobs=settings.max_jobs,
            meter=self.meter,
            rest=self.waking.rest if is_told else None,
        )
        self.fetcher.on_exhausted = lambda: self.recycle(f"it has fetched {settings.max_jobs} jobs", stuck=False)
        if settings.drain:
            self.fetcher.on_idle = lambda: self._drained(store)
        self.aborter = Aborter(store, options.poll_interval, self._abort, lambda: bool(self._attempts))
        self.rescuer = Rescuer(store, options, self._in_hand)
        services: list[Service] = [
            self.recorder,
            self.announcer,
            self.finisher,
            self.progress,
            self.fetcher,
            self.promoter,
            self.aborter,
            self.rescuer,
        ]
        self.scheduler = Scheduler(store, options, lambda: self.listening)
        if not settings.drain:
            services += [self.scheduler, Pruner(store, lambda: self.listening)]
        if is_told:
            services.append(self.waking)
        if settings.listen:
            self.listener = Listener(
                options,
                self.worker_id,
                settings.queues,
                on_ready=self.waking.hear if is_told else lambda _: self.fetcher.wake(),
                on_scheduled=self.promoter.wake,
                on_schedules=self.scheduler.wake,
                on_abort=self.aborter.wake,
                on_control=self._reconsider,
                on_listening=self._hears if is_told else self._ready,
                on_deaf=self._ready,
                meter=self.meter,
            )
            services.append(self.listener)
        return services

    async def _run_job(self, job: FetchedJob, store: Store) -> None:
        if job.crashes and not await self._note_start(job, store):
            return
        attempt = Attempt(job, self.worker_id, self.progress.note)
        # Of this loop: without a name Python 3.11 asks the system for the process's number, each time.
        attempt.runner = asyncio.current_task(self._loop)
        self._attempts[job.id] = attempt
        if events.wanted(events.JobStarted):
            events.publish(events.JobStarted(self.worker_id, job))
        try:
            outcome = await self.execution.run(attempt)
        finally:
            if self._attempts.get(job.id) is attempt:
                del self._attempts[job.id]
            self.progress.forget(job.id)
        if outcome.written is not None:
            # An atomic task's: in its own transaction.
            self._written([(job, outcome, None)], {job.id: "succeeded"} if outcome.written else {})
        elif attempt.stop_reason is not StopReason.LOST:
            self.finisher.put(job, outcome)

    async def _note_start(self, job: FetchedJob, store: Store) -> bool:
        """Before a job that is suspected of killing its worker; whether it may run."""
        try:
            return await store.note_start(job)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the job must not run unnoted
            logger.warning(
                "the start of job %d, suspected of crashing its worker, could not be noted: %s",
                job.id,
                brief(exc),
                extra=joblog.fields(job, self.worker_id),
            )
            self._release(job)
            return False

    def _in_hand(self) -> list[int] | None:
        """The jobs that are this worker's by its own knowledge; None while it waits for more."""
        fetched = self.fetcher.ids_in_hand
        return None if fetched is None else [*fetched, *self._attempts, *self.finisher.pending_ids]

    def _fetch_failed(self) -> None:
        self.rescuer.note_failed_fetch()

    def _release(self, job: FetchedJob) -> None:
        """Give a job back that was fetched and never started."""
        assert self._loop is not None
        self.finisher.put(job, Outcome(OutcomeKind.RELEASED, ended=self._loop.time()))

    def _written(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        """What follows from outcomes that are in the database now."""
        note(self.meter, batch, statuses)
        joblog.note(self.worker_id, batch, statuses)
        tally = self.tally
        for job, outcome, _ in batch:
            status = statuses.get(job.id)
            if status is None:
                tally.lost += 1
                logger.warning(
                    "the outcome of job %d (%s) was not written: the job is no longer ours",
                    job.id,
                    outcome.kind.value,
                    extra=joblog.fields(job, self.worker_id),
                )
                if events.wanted(events.JobLost):
                    events.publish(events.JobLost(self.worker_id, job, outcome))
                continue
            if outcome.kind is not OutcomeKind.RELEASED:
                tally.ended += 1
            if status == "succeeded":
                tally.succeeded += 1
            elif status == "failed":
                tally.failed += 1
            if status == "todo" or job.lock is not None or job.limited:
                # Ready again, or its lock, or its share of a limit, is free: sooner than the notification, and also
                # without one.
                self.fetcher.wake()
                self.promoter.wake()
        if statuses and events.wanted(events.AttemptEnded):
            events.publish_batch(
                [
                    events.AttemptEnded(self.worker_id, job, outcome, statuses[job.id])
                    for job, outcome, _ in batch
                    if job.id in statuses
                ]
            )
        self.fetcher.relieve()
        self.announcer.tell(batch, statuses)

    def _abort(self, job_id: int, lease: int) -> None:
        attempt = self._attempts.get(job_id)
        if attempt is not None and attempt.job.lease == lease:
            attempt.stop(StopReason.ABORT)

    async def _drained(self, store: Store) -> None:
        """Nothing was ready and nothing runs: stop, unless something is due or was made ready by what just ended."""
        await self.finisher.flush()
        found = await store.promote_jobs(PROMOTE_CHUNK)
        if found.promoted == 0 and self.fetcher.idle_fetches > 1:
            self._stopping.set()
            await asyncio.Event().wait()

    async def _until_stopped(self, services: Sequence[Service]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not stopping.done():
                loops = [service._loop for service in services if service._loop is not None]  # noqa: SLF001 - our own roles
                await asyncio.wait(
                    [stopping, *(loop for loop in loops if not loop.done())],
                    timeout=LOOK_EVERY,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if dead := self.dead:
                    self._error = f"the worker's {dead[0]} died and could not be started again"
                    self._ending.begin(0)
                    return
        finally:
            stopping.cancel()
            self._ending.begin(self.options.grace)

    async def _end_loops(self) -> None:
        """End the loops that only give hints or tidy up, all at once; then the fetcher, so that nothing new begins."""
        last = (self.recorder, self.announcer, self.finisher, self.progress, self.fetcher)
        others = [service for service in self._services if service not in last]
        ending = self._ending
        await ending.within("a loop", lambda: together(service.stop() for service in others), LOOPS_PATIENCE)
        await ending.within("the last fetch", self.fetcher.stop, max(ending.grace_left, STOP_MARGIN / 2))

    async def _end_running(self) -> None:
        """Let running jobs end within the grace time; then tell them to stop and give back those that do."""
        ending, fetcher = self._ending, self.fetcher
        if fetcher.running and ending.grace_left:
            logger.info("stopping: %d running jobs have %g s to end", fetcher.running, ending.grace)
        if not await ending.wait(fetcher.until_quiet) and fetcher.in_hand:
            logger.warning("%d jobs still run after the time of grace; they are given back", fetcher.running)
            for attempt in list(self._attempts.values()):
                attempt.stop(StopReason.SHUTDOWN)
            if not await ending.wait(fetcher.until_quiet, STOP_MARGIN):
                # Bodies that did not obey: their jobs are given back all the same, under the fence.
                for attempt in list(self._attempts.values()):
                    attempt.stop_reason = StopReason.LOST
                    self._release(attempt.job)
        self.finisher.patience = ending.time_left
        self.announcer.patience = min(self.announcer.patience, ending.time_left)

    async def _close_threads(self, threads: ThreadExecutor) -> None:
        threads.close()
        await asyncio.to_thread(threads.join, 0.0 if self._attempts else 2.0)

    def _lost(self) -> None:
        """Our row is gone, and our jobs are others' now: tell the bodies to stop, forget what waits in our hand."""
        logger.warning(
            "worker %d was taken for dead (silent for too long); its %d jobs belong to others now; registering anew",
            self.worker_id,
            self.fetcher.in_hand,
        )
        for attempt in list(self._attempts.values()):
            attempt.stop(StopReason.LOST)
        self.fetcher.forget_waiting()

    async def _go_on(self, worker_id: int) -> None:
        """After it was lost, under a new number."""
        self.worker_id = worker_id
        for service in self._services:
            service.worker_id = worker_id
        self.heartbeat.worker_id = self.watchdog.worker_id = self._facade.worker_id = worker_id
        if self.settings.listen:
            # It takes the new number's lock.
            await self.listener.restart()
        # What was in our hand has no owner now, or is under the number that is dead.
        self.rescuer.note_silence(float("inf"))
        self.fetcher.wake()

    def _reconsider(self) -> None:
        """An operator has decided something about queues, or about some worker."""
        self.fetcher.reconsider()
        self.promoter.reconsider()
        self.heartbeat.beat_now()

    def _obey(self, worker_id: int, told: str | None) -> None:
        """Do what an operator has told this worker; called at each beat of its heart."""
        if not self.registered or worker_id != self.worker_id or self._stopping.is_set():
            return
        if told == STOP or (told == QUIET and self.settings.drain):
            # Of several processes another one takes its place: who wants fewer stops their supervisor.
            self.recycle("an operator told it to stop", stuck=False)
        elif told == QUIET and not self.registration.quiet:
            self.registration.quiet = True
            logger.info("told to be quiet: fetching nothing more; %d jobs still run", self.fetcher.running)
            self.fetcher.hush()
            self.waking.leave()
        elif told is None and self.registration.quiet:
            self.registration.quiet = False
            logger.info("told to go on: fetching again")
            self.waking.come_back(hears=self.listening)
            self.fetcher.unhush()

    def _note_silence(self, seconds: float) -> None:
        self.rescuer.note_silence(seconds)

    def _wake_fetcher(self) -> None:
        self.fetcher.wake()

    def _hears(self) -> None:
        self.waking.begin()
        self._ready()

    def _ready(self) -> None:
        """Tell once: the listener comes here again after each reconnection."""
        if not self.ready and self._on_ready is not None:
            self._on_ready(self)
        self.ready = True
