"""What the worker tells of itself: one frozen value for each kind of event, and who listens.

Subscribers are called in the worker, on its event loop, after the fact is written: they must be quick and may not
block. An error in a subscriber is logged and harms nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome

logger = logging.getLogger("queue_tasks")


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events."""

    worker_id: int


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """A worker is registered and about to fetch."""

    name: str
    queues: tuple[str, ...] | None
    concurrency: int


@dataclass(frozen=True, slots=True)
class WorkerStopped(Event):
    """A worker has written its last outcome."""

    name: str
    jobs: int
    """Attempts it ended in its life."""


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    """The body of a job is about to run."""

    job: FetchedJob


@dataclass(frozen=True, slots=True)
class AttemptEnded(Event):
    """An attempt ended and is written."""

    job: FetchedJob
    outcome: Outcome
    status: str
    """The row's status after it, in procrastinate's words."""


@dataclass(frozen=True, slots=True)
class JobLost(Event):
    """An attempt ended but could not be written: the job had been given to another, or is gone."""

    job: FetchedJob
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class JobsRescued(Event):
    """Jobs were taken from a worker that is dead."""

    dead_worker_id: int | None
    """None: its row is gone."""
    job_ids: tuple[int, ...]
    failed_ids: tuple[int, ...]
    """Those of them that failed, since they had crashed a worker again and again."""


@dataclass(frozen=True, slots=True)
class ServiceFailed(Event):
    """A loop of the worker raised; it is started again after `wait` seconds."""

    service: str
    error: BaseException
    wait: float


@dataclass(frozen=True, slots=True)
class NotifyQueueFilling(Event):
    """The server's queue of notifications has become a quarter full or more; told again when it was less meanwhile."""

    used: float
    """The used part, 0 to 1."""


@dataclass(frozen=True, slots=True)
class LoopBlocked(Event):
    """The event loop did not turn for a while, and turns again."""

    who: str
    """The job and its task, or what else blocked it."""
    seconds: float


E = TypeVar("E", bound=Event)

_subscribers: dict[type[Event], list[Callable[[Any], None]]] = {}


def subscribe(kind: type[E], subscriber: Callable[[E], None]) -> Callable[[], None]:
    """Call `subscriber` with every event of this kind (exactly); gives the function that ends it."""
    listening = _subscribers.setdefault(kind, [])
    listening.append(subscriber)

    def unsubscribe() -> None:
        if subscriber in listening:
            listening.remove(subscriber)

    return unsubscribe


def wanted(kind: type[Event]) -> bool:
    """Whether anybody listens to this kind: a hot path need not make an event that nobody hears."""
    return bool(_subscribers.get(kind))


def publish(event: Event) -> None:
    """Tell the subscribers of the event's kind."""
    for subscriber in tuple(_subscribers.get(type(event), ())):
        try:
            subscriber(event)
        except Exception:
            logger.exception("A subscriber of %s raised; the worker goes on.", type(event).__name__)
