"""The failed jobs by what they have in common: one line for each kind of failure, whatever the number of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from queue_tasks.caller import rows
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.jobs import JobState
from queue_tasks.statements import GROUP_FAILURES

LOOK = 5_000
"""Failed jobs that are looked at, the newest."""

MAX_GROUPS = 100
"""Groups that are shown, the largest."""


@dataclass(frozen=True, slots=True)
class Group:
    """Failed jobs of one kind; the columns of sql/queries/group_failures.sql."""

    fingerprint: str
    jobs: int
    first_at: datetime | None
    last_at: datetime | None
    task_names: list[str]
    """Five at most, by name."""
    tasks: int
    newest: int
    """The id of its newest job, of which the rest is."""
    exception: str | None
    """None: a stock worker failed it, which writes no errors."""
    place: str | None
    message: str | None
    looked: int
    """Failed jobs that were looked at for all groups."""
    now: datetime

    @property
    def title(self) -> str:
        """Its exception's own name, for people."""
        return "No error was written" if self.exception is None else self.exception.rpartition(".")[2]

    @property
    def filter(self) -> str:
        """The filter that finds its failed jobs."""
        return str(JobFilter(states=(JobState.FAILED,), fingerprint=self.fingerprint))

    @property
    def retrying(self) -> str:
        """The filter that finds jobs of its kind that wait for their next attempt."""
        return str(JobFilter(states=(JobState.RETRYING,), fingerprint=self.fingerprint))


def grouped(*, queues: Sequence[str] | None = None, with_args: bool, database: str) -> list[Group]:
    """The kinds of failures among the newest LOOK failed jobs, the largest first; MAX_GROUPS at most.

    queues: only jobs of these; None: of all. with_args: whether messages may be shown.
    SQL: sql/queries/group_failures.sql
    """
    parameters = {
        "look": LOOK,
        "queues": None if queues is None else list(queues),
        "with_args": with_args,
        "max_groups": MAX_GROUPS,
    }
    return [Group(*row) for row in rows(database, GROUP_FAILURES, parameters)]
