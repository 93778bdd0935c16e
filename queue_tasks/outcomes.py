"""How one attempt of a job ended, as a value. Made by execution, written by the finisher, told by telemetry."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class OutcomeKind(StrEnum):
    """The ends an attempt can have; the words of `queue_tasks_finish_jobs_v1`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    RETRIED = "retried"
    """Failed, and tried again after `wait`."""
    SNOOZED = "snoozed"
    """Comes back after `wait`; no attempt is spent."""
    RELEASED = "released"
    """Given back as if it had never been fetched; no attempt is spent."""


FINAL = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.ABORTED})
"""The kinds after which a job is finished."""


class Outcome(NamedTuple):
    """What is written for one attempt. Times are of `time.monotonic()`, in seconds."""

    kind: OutcomeKind
    ended: float
    started: float | None = None
    """None: the body never ran."""
    result: str | None = None
    """The return value as JSON text."""
    error: BaseException | None = None
    wait: float = 0.0
    """Seconds until the job is ready again."""
    until: datetime | None = None
    """The time at which it is, in place of a wait: by the database's clock."""
    keep: float | None = None
    """Seconds the finished row stays; None: for ever; 0: deleted when it succeeded."""
    priority: int | None = None
    queue_name: str | None = None
    lock: str | None = None
    """What a retry changes; None: as before."""
    written: bool | None = None
    """True: it stands in the row already, False: it cannot, the job was no longer ours; None: it is to be written."""
    perhaps: Outcome | None = None
    """What stands in the row if a commit whose answer was lost has happened; this outcome is for the other case."""
