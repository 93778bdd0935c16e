"""Signals: every event as a signal of Django's, for receivers that use the ORM, wait, or are coroutines.

A signal is sent with `sender`, the event's class, and `events`, one or more values of it in the order in which they
happened: under load many at once, so that a receiver costs a batch and not each job. What a worker tells is sent from a
thread of its own, in which nothing that a receiver does holds up a job; what an operator does, in the thread and the
transaction in which it is done. Nothing is made and nothing sent where nobody listens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from itertools import groupby
from typing import Any, Generic, Self, TypeVar

from django.dispatch import Signal

from queue_tasks import events
from queue_tasks.tending import close_all, tend_after_task, tend_before_task

logger = logging.getLogger("queue_tasks")

MAX_WAITING = 20_000
"""Events that wait for receivers which are slower than the worker; those beyond are dropped, and counted in the log."""

LINGER = 0.02
"""Seconds to gather more when the last ones were many: to wake the thread for each costs more than to tell it."""

LINGER_ABOVE = 16
"""Events told together from which lingering pays."""

E = TypeVar("E", bound=events.Event)


class EventSignal(Signal, Generic[E]):
    """The one signal of one kind of event. Receivers take `sender`, `events` and, as all of Django's, `**kwargs`."""

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind
        if _signals.setdefault(kind, self) is not self:
            # What waits for receivers says of which kind it is, and so by which signal it is sent.
            raise ValueError(f"{kind.__name__} has a signal, and a second would take its events: connect to the first.")
        self._carried = issubclass(kind, events.WorkerEvent)
        self._following = threading.Lock()
        self._end: Callable[[], None] | None = None

    def connect(
        self,
        receiver: Callable[..., Any],
        sender: object | None = None,
        weak: bool = True,  # noqa: FBT001, FBT002 - as Django's
        dispatch_uid: Hashable | None = None,
    ) -> None:
        """See Django's. sender: none but the event's class is ever sent."""
        super().connect(receiver, sender, weak, dispatch_uid)
        self._follow()

    def disconnect(
        self,
        receiver: Callable[..., Any] | None = None,
        sender: object | None = None,
        dispatch_uid: str | None = None,
    ) -> bool:
        """See Django's."""
        found = super().disconnect(receiver, sender, dispatch_uid)
        self._follow()
        return found

    def deliver(self, batch: Sequence[E]) -> None:
        """Call the receivers, one after the other; an Exception of one is logged under its name, and not raised."""
        try:
            answers = self.send_robust(sender=self.kind, events=tuple(batch))
        except Exception:  # of a receiver that Django cannot name
            logger.exception("A receiver of the signal of %s raised; what it was told of goes on.", self.kind.__name__)
            return
        for receiver, answer in answers:
            if isinstance(answer, Exception):
                logger.error(
                    "The receiver %s of the signal of %s raised %s; what it was told of goes on.",
                    _name_of(receiver),
                    self.kind.__name__,
                    type(answer).__name__,
                )
        if not answers:
            # The last was referred to weakly, and is gone.
            self._follow()

    def _follow(self) -> None:
        """Hear of the events as long as there are receivers, and no longer: then none is made for us."""
        with self._following:
            heard = self.has_listeners(self.kind)
            if heard and self._end is None:
                self._end = events.subscribe_to_batches(self.kind, self._told)
            elif not heard and self._end is not None:
                self._end()
                self._end = None

    def _told(self, batch: Sequence[E]) -> None:
        if self._carried and _couriers:
            _couriers[-1].take(batch)
        else:
            self.deliver(batch)


class Courier:
    """Takes what a worker tells to the receivers, in order, in a thread of its own, until it is closed.

    Entered once for each worker of the process; the newest serves all. The thread is started by the first event.
    """

    def __init__(self) -> None:
        # In order. Publishers add, the thread takes; each is one step of the interpreter, and needs no lock.
        self._waiting: deque[events.Event] = deque()
        # Guards the rest, which both write.
        self._lock = threading.Lock()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._closing = False
        # Set when something has come since the thread last took what there was, and for good when nothing more will.
        self._ring = threading.Event()

    def __enter__(self) -> Self:
        """Take what is told from now on."""
        _couriers.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Take nothing more; what waits is still told."""
        _couriers.remove(self)
        with self._lock:
            self._closing = True
            self._ring.set()

    @property
    def started(self) -> bool:
        """Whether anything was told."""
        return self._thread is not None

    def join(self, patience: float) -> None:
        """Wait until everything is told, so many seconds at most; that something is left then is said in the log."""
        if self._thread is None:
            return
        self._thread.join(patience)
        if self._thread.is_alive():
            logger.error(
                "receivers of signals did not return within %.1f s of stopping; %d events more were not told",
                patience,
                len(self._waiting),
            )

    def take(self, batch: Sequence[events.Event]) -> None:
        """Have events told soon. Of all that a receiver of starts costs a job, this is done once for each."""
        if len(self._waiting) >= MAX_WAITING:
            with self._lock:
                self._dropped += len(batch)
            return
        self._waiting.extend(batch)
        if not self._ring.is_set():
            self._wake()

    def _wake(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="queue_tasks signals", daemon=True)
                self._thread.start()
            self._ring.set()

    def _run(self) -> None:
        told: Sequence[events.Event] = ()
        while told := self._wait(linger=len(told) > LINGER_ABOVE):
            tend_before_task()
            for kind, batch in groupby(told, type):
                self._deliver(_signals[kind], list(batch))
            tend_after_task("a receiver of a signal")
        close_all()

    def _wait(self, *, linger: bool) -> Sequence[events.Event]:
        """All that waits, once there is anything; nothing when there will be nothing more."""
        waiting: list[events.Event] = []
        while not waiting:
            self._ring.wait()
            if linger and not self._closing:
                time.sleep(LINGER)
            with self._lock:
                if not self._closing:
                    self._ring.clear()
                over = self._closing
                dropped, self._dropped = self._dropped, 0
            # After the ring was cleared: whoever adds from now on rings again.
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if dropped:
                logger.error(
                    "receivers of signals are slower than the worker: %d events were not told, since %d waited. "
                    "Have them hand on what takes long, such as to a task.",
                    dropped,
                    MAX_WAITING,
                )
            if over:
                break
        return waiting

    def _deliver(self, signal: EventSignal[Any], batch: list[events.Event]) -> None:
        try:
            signal.deliver(batch)
        except BaseException:  # such as SystemExit: this thread goes on
            logger.exception("A receiver of the signal of %s raised; the worker goes on.", signal.kind.__name__)


_signals: dict[type[events.Event], EventSignal[Any]] = {}
"""By the kind of what they tell; one for each."""

_couriers: list[Courier] = []
"""Those of the workers of this process, the newest last."""


def _name_of(receiver: Any) -> str:
    """Where a receiver is written."""
    name = getattr(receiver, "__qualname__", None)
    return repr(receiver) if name is None else f"{receiver.__module__}.{name}"


worker_started = EventSignal(events.WorkerStarted)
worker_stopped = EventSignal(events.WorkerStopped)
job_started = EventSignal(events.JobStarted)
attempt_ended = EventSignal(events.AttemptEnded)
job_lost = EventSignal(events.JobLost)
jobs_rescued = EventSignal(events.JobsRescued)
service_failed = EventSignal(events.ServiceFailed)
notify_queue_filling = EventSignal(events.NotifyQueueFilling)
loop_blocked = EventSignal(events.LoopBlocked)

queue_paused = EventSignal(events.QueuePaused)
queue_resumed = EventSignal(events.QueueResumed)
queue_limited = EventSignal(events.QueueLimited)
worker_told = EventSignal(events.WorkerTold)
jobs_cancelled = EventSignal(events.JobsCancelled)
jobs_aborted = EventSignal(events.JobsAborted)
jobs_retried = EventSignal(events.JobsRetried)
jobs_deleted = EventSignal(events.JobsDeleted)
schedule_changed = EventSignal(events.ScheduleChanged)
