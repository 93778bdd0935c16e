"""What an operator can do to jobs: for jobs in which states, with which permission, and what to say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest

from queue_tasks import control
from queue_tasks.dashboard.access import Permission, may
from queue_tasks.jobs import FINISHED, JobState

MAX_JOBS = 1000
"""Jobs that one form changes."""

MAX_SELECTED = 500
"""Jobs that may be ticked one by one: as many as a page has; Django reads a thousand fields of a form."""

DELAYS = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
"""How much later a retry may be."""

WAITING = frozenset({JobState.READY, JobState.SCHEDULED, JobState.RETRYING, JobState.PARKED})


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that can be done to jobs."""

    name: str
    title: str
    """In the imperative, for buttons."""
    done: str
    """What has become of a job it was done to."""
    permission: Permission
    states: frozenset[JobState]
    """The states a job may be in for it."""
    note: str
    """What to know before it is confirmed."""

    def run(self, ids: Sequence[int], *, wait: timedelta | None, keep: timedelta | None, database: str) -> list[int]:
        """Do it; the ids of the jobs it was done to."""
        match self.name:
            case "retry":
                return control.retry(ids, wait=wait, database=database)
            case "cancel":
                return control.cancel(ids, database=database, keep=keep)
            case "abort":
                return list(control.abort(ids, database=database, keep=keep))
            case "delete":
                return control.delete(ids, database=database)
        raise AssertionError(self.name)


DEEDS = {
    deed.name: deed
    for deed in (
        Deed(
            "retry",
            "Retry",
            "queued again",
            Permission.RETRY,
            FINISHED | {JobState.SCHEDULED, JobState.RETRYING},
            "They run once more, with the arguments they had. Jobs that succeeded do their work a second time.",
        ),
        Deed(
            "cancel", "Cancel", "cancelled", Permission.CANCEL, WAITING, "They do not run. They can be retried later."
        ),
        Deed(
            "abort",
            "Abort",
            "told to stop",
            Permission.CANCEL,
            WAITING | {JobState.RUNNING},
            "Running jobs are told to stop, which they do when they next look; waiting ones are cancelled.",
        ),
        Deed(
            "delete",
            "Delete",
            "deleted",
            Permission.DELETE,
            WAITING | FINISHED,
            "Their rows, results and history are gone for good.",
        ),
    )
}
"""By name."""


def allowed_deeds(request: HttpRequest) -> list[Deed]:
    """What the visitor may do to jobs."""
    return [deed for deed in DEEDS.values() if may(request, deed.permission)]
