"""What workers do, and what operators do to them: one value for each kind of event, and who listens.

Subscribers are called where the event happens, after the fact is written: for a worker's on its event loop, where they
must be quick and may not block; for an operator's in the thread that made the change, within its transaction. An error
in a subscriber is logged and harms nobody. For receivers that take their time there are signals (signals.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, ParamSpec, TypeVar, dataclass_transform

from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome

logger = logging.getLogger("queue_tasks")

RAISED = "A subscriber of %s raised; what it was told of goes on."

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A dataclass that is frozen for type checkers only: one that is frozen takes eight times as long to make."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


@value
class Event:
    """Root of all events."""


# ------------------------------------------------------------------------------------------------------------- workers


@value
class WorkerEvent(Event):
    """Root of what a worker tells of itself."""

    worker_id: int


@value
class WorkerStarted(WorkerEvent):
    """A worker is registered and about to fetch."""

    name: str
    queues: tuple[str, ...] | None
    concurrency: int


@value
class WorkerStopped(WorkerEvent):
    """A worker has written its last outcome."""

    name: str
    jobs: int
    """Attempts it ended in its life."""


@value
class JobStarted(WorkerEvent):
    """The body of a job is about to run."""

    job: FetchedJob


@value
class AttemptEnded(WorkerEvent):
    """An attempt ended and is written."""

    job: FetchedJob
    outcome: Outcome
    status: str
    """The row's status after it, in procrastinate's words."""


@value
class JobLost(WorkerEvent):
    """An attempt ended but could not be written: the job had been given to another, or is gone."""

    job: FetchedJob
    outcome: Outcome


@value
class JobsRescued(WorkerEvent):
    """Jobs were taken from a worker that is dead."""

    dead_worker_id: int | None
    """None: its row is gone."""
    job_ids: tuple[int, ...]
    failed_ids: tuple[int, ...]
    """Those of them that failed, since they had crashed a worker again and again."""


@value
class ServiceFailed(WorkerEvent):
    """A loop of the worker raised; it is started again after `wait` seconds."""

    service: str
    error: BaseException
    wait: float


@value
class NotifyQueueFilling(WorkerEvent):
    """The server's queue of notifications has become a quarter full or more; told again when it was less meanwhile."""

    used: float
    """The used part, 0 to 1."""


@value
class LoopBlocked(WorkerEvent):
    """The event loop did not turn for a while, and turns again."""

    who: str
    """The job and its task, or what else blocked it."""
    seconds: float


# ------------------------------------------------------------------------------------------------------------- control


@value
class ControlEvent(Event):
    """Root of what an operator does, by control.py, schedules.py, the command `queue` or the dashboard.

    Told in the transaction in which it is done, which may still be rolled back.
    """

    database: str
    """Django's alias of it."""


@value
class QueuePaused(ControlEvent):
    """No worker fetches jobs of a queue any more."""

    name: str
    until: datetime | timedelta | None
    """A time, or how long from then; None: until it is resumed."""
    by: str | None
    """Who, as the caller says."""


@value
class QueueResumed(ControlEvent):
    """Workers fetch jobs of a queue that was paused."""

    name: str


@value
class QueueLimited(ControlEvent):
    """Another number of a queue's jobs may run at once."""

    name: str
    concurrency: int | None
    """None: no limit."""
    by: str | None


@value
class WorkerTold(ControlEvent):
    """A worker was told something, which it does when it hears of it."""

    worker_id: int
    told: str | None
    """"quiet", "stop"; None: to go on."""


@value
class JobsCancelled(ControlEvent):
    """Jobs that had not started were cancelled."""

    job_ids: tuple[int, ...]


@value
class JobsAborted(ControlEvent):
    """Running jobs were asked to stop, and those that had not started cancelled."""

    job_ids: tuple[int, ...]
    """Those that ran."""
    cancelled_ids: tuple[int, ...]


@value
class JobsRetried(ControlEvent):
    """Finished or scheduled jobs were made ready."""

    job_ids: tuple[int, ...]
    wait: timedelta | None
    """How long from then; None: at once."""


@value
class JobsDeleted(ControlEvent):
    """The rows of jobs were deleted, with their history."""

    job_ids: tuple[int, ...]


@value
class ScheduleChanged(ControlEvent):
    """When a schedule ticks was changed."""

    name: str
    change: str
    """"added", "paused", "resumed", "overridden", "reset" or "removed"."""


# ------------------------------------------------------------------------------------------------------- who listens

E = TypeVar("E", bound=Event)
P = ParamSpec("P")


class _Listeners(NamedTuple):
    """Who listens to one kind of event."""

    of_each: tuple[Callable[[Any], None], ...] = ()
    of_batches: tuple[Callable[[Sequence[Any]], None], ...] = ()


_listeners: dict[type[Event], _Listeners] = {}
"""Of the kinds that somebody listens to. A value is never changed: whoever publishes need not copy it."""

_changing = threading.Lock()


def subscribe(kind: type[E], subscriber: Callable[[E], None]) -> Callable[[], None]:
    """Call `subscriber` with every event of this kind (exactly); gives the function that ends it."""
    return _add(kind, _Listeners(of_each=(subscriber,)))


def subscribe_to_batches(kind: type[E], subscriber: Callable[[Sequence[E]], None]) -> Callable[[], None]:
    """As `subscribe`, with one or more at a time, in order: all that became known together."""
    return _add(kind, _Listeners(of_batches=(subscriber,)))


def wanted(kind: type[Event]) -> bool:
    """Whether anybody listens to this kind: a hot path need not make an event that nobody hears."""
    return kind in _listeners


def tell(kind: Callable[P, Event], *values: P.args, **named: P.kwargs) -> None:
    """Publish an event of a kind; it is only made when somebody listens to it."""
    if kind in _listeners:
        publish(kind(*values, **named))


def tell_all(kind: type[E], made: Iterable[E]) -> None:
    """Publish events of one kind that became known together; they are only made when somebody listens to them.

    Each is told before the next is made: hundreds at once would have Python look for garbage twice as often.
    """
    listeners = _listeners.get(kind)
    if listeners is None:
        return
    of_each, of_batches = listeners
    if not of_batches:
        _call(of_each, kind, made)
    elif batch := tuple(made):
        _call(of_each, kind, batch)
        _call(of_batches, kind, (batch,))


def publish(event: Event) -> None:
    """Tell the subscribers of the event's kind."""
    tell_all(type(event), (event,))


def _call(listeners: tuple[Callable[[T], None], ...], kind: type[Event], told: Iterable[T]) -> None:
    """Call each listener with each of what is told; what one raises is logged."""
    for each in told:
        for listener in listeners:
            try:
                listener(each)
            except Exception:
                logger.exception(RAISED, kind.__name__)


def _add(kind: type[Event], more: _Listeners) -> Callable[[], None]:
    """Have them listen too; gives the function that ends it."""
    with _changing:
        earlier = _listeners.get(kind, _Listeners())
        _listeners[kind] = _Listeners(earlier.of_each + more.of_each, earlier.of_batches + more.of_batches)
    ended = False

    def end() -> None:
        nonlocal ended
        with _changing:
            if ended:
                return
            ended = True
            there = _listeners[kind]
            left = _Listeners(_without(there.of_each, more.of_each), _without(there.of_batches, more.of_batches))
            if any(left):
                _listeners[kind] = left
            else:
                del _listeners[kind]

    return end


def _without(functions: tuple[T, ...], gone: tuple[T, ...]) -> tuple[T, ...]:
    """All but one of each that is gone: the same function may listen twice."""
    left = list(functions)
    for function in gone:
        left.remove(function)
    return tuple(left)
