"""A job as values: the states it is shown in, and the row a worker is given."""

from __future__ import annotations

from datetime import datetime
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
    enqueued_at: datetime | None
    started_at: datetime
    """When the first attempt started."""
    attempted_at: datetime
    ephemeral: bool
    errors: str | None
    meta: str | None
    limited: bool = False
    """Whether its queue has a limit: its end lets another start."""

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.attempts + 1
