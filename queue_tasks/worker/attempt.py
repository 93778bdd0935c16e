"""Attempt: one run of one job while it is alive, and what may be told to it from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from queue_tasks.jobs import FetchedJob

Ended = tuple[Any, BaseException | None]
"""How a body ended: its return value, or the exception it raised. A value, because some exceptions (StopIteration)
cannot pass through a future."""


class StopReason(Enum):
    """Why a running attempt was told to stop."""

    ABORT = auto()
    """Somebody asked for it."""
    SHUTDOWN = auto()
    """The worker's time of grace is over."""
    LOST = auto()
    """The job was given to another."""


class Attempt:
    """One run of one job.

    Owned by the event loop; `stop_reason` and `deadline` are only read from the body's thread.
    """

    __slots__ = (
        "deadline",
        "durable",
        "ended",
        "job",
        "note_progress",
        "on_stop",
        "runner",
        "started",
        "stop_reason",
        "stoppable",
        "worker_id",
    )

    def __init__(
        self, job: FetchedJob, worker_id: int, note_progress: Callable[[FetchedJob, dict[str, Any]], None]
    ) -> None:
        self.job = job
        self.worker_id = worker_id
        self.note_progress = note_progress
        self.started = 0.0
        """When it began to be executed; monotonic."""
        self.deadline: float | None = None
        self.stop_reason: StopReason | None = None
        self.runner: asyncio.Task[Any] | None = None
        self.stoppable = False
        """Whether cancelling the runner stops the body: it does on the loop, it does not in a thread."""
        self.ended = False
        self.durable = True
        """False: in a test, whose own transaction is around this attempt's."""
        self.on_stop: Callable[[StopReason], None] | None = None
        """Tells a body in another process."""

    def stop(self, reason: StopReason) -> None:
        """Tell the body to stop: cancel it on the loop; elsewhere it sees it by `should_abort`."""
        if self.ended or self.stop_reason is not None:
            return
        self.stop_reason = reason
        if self.on_stop is not None:
            self.on_stop(reason)
        elif self.stoppable and self.runner is not None:
            self.runner.cancel()

    def should_abort(self) -> bool:
        """Whether the body was told to stop, or its time is over."""
        return self.stop_reason is not None or (self.deadline is not None and time.monotonic() >= self.deadline)

    def shutting_down(self) -> bool:
        """Whether it was told to stop for no reason of its own: it will run again elsewhere."""
        return self.stop_reason in (StopReason.SHUTDOWN, StopReason.LOST)
