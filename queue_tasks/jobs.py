"""A job as values: the states it is shown in, and the row a worker is given."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple


class JobState(StrEnum):
    """The words in which a job's state is shown; see docs for the row behind each."""

    READY = "ready"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    PARKED = "parked"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"


FINISHED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.ABORTED})
"""States a job does not leave by itself."""


class FetchedJob(NamedTuple):
    """One row of `queue_tasks_fetch_jobs_v1`: a job that is ours under `lease`.

    JSON columns are text here: they are decoded within the execution's guard, so that a hostile row fails alone.
    Times are seconds since 1970, to the microsecond, by the database's clock: to make three datetimes costs as much as
    the rest of a row, and few jobs are asked for them.
    """

    id: int
    lease: int
    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: str
    attempts: int
    """Attempts spent before this one."""
    crashes: int
    """Deaths of a worker that had it in hand; see sql/functions/queue_tasks_rescue_jobs_v1.sql."""
    enqueued: float | None
    started: float
    """When the first attempt started."""
    attempted: float
    ephemeral: bool
    errors: str | None
    meta: str | None
    limited: bool = False
    """Whether its queue has a limit: its end lets another start."""

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.attempts + 1

    @property
    def enqueued_at(self) -> datetime | None:
        """When it was enqueued; None: its row does not tell."""
        return None if self.enqueued is None else _moment(self.enqueued)

    @property
    def started_at(self) -> datetime:
        """When its first attempt started."""
        return _moment(self.started)

    @property
    def attempted_at(self) -> datetime:
        """When this attempt's fetch gave it to the worker."""
        return _moment(self.attempted)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
