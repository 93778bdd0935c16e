"""What an operator does to jobs: cancel, abort, retry, prune. On Django's connection, in the caller's transaction.

Every change names the state it expects in SQL, so that it never overrules a worker that was quicker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import transaction

from queue_tasks.caller import rows
from queue_tasks.statements import (
    ABORT_JOBS,
    CANCEL_JOBS,
    COUNT_EXPIRED,
    DELETE_JOBS,
    POSTPONE_JOBS,
    PRUNE_JOBS,
    RETRY_JOBS,
)

PRUNE_CHUNK = 1000
"""Rows deleted in one statement."""

KEEP = timedelta(days=7)
"""How long a cancelled job's row stays unless the caller says otherwise."""


def cancel(ids: Sequence[int], *, database: str = "default", keep: timedelta | None = KEEP) -> list[int]:
    """Cancel jobs that have not started; the ids of those that were.

    SQL: sql/queries/cancel_jobs.sql
    """
    return [row[0] for row in rows(database, CANCEL_JOBS, {"ids": list(ids), "keep": _seconds(keep)})]


def abort(ids: Sequence[int], *, database: str = "default", keep: timedelta | None = KEEP) -> dict[int, str]:
    """Ask running jobs to stop and cancel those that have not started; id -> "doing" or "cancelled" for those changed.

    SQL: sql/queries/abort_jobs.sql
    """
    return dict(rows(database, ABORT_JOBS, {"ids": list(ids), "keep": _seconds(keep)}))


def retry(ids: Sequence[int], *, database: str = "default") -> list[int]:
    """Make finished or scheduled jobs ready now; the ids of those that are.

    SQL: sql/queries/retry_jobs.sql
    """
    return [row[0] for row in rows(database, RETRY_JOBS, {"ids": list(ids)})]


def retry_later(ids: Sequence[int], *, wait: timedelta, database: str = "default") -> list[int]:
    """Make finished or scheduled jobs due after `wait`; the ids of those that are. In one transaction.

    SQL: sql/queries/retry_jobs.sql, sql/queries/postpone_jobs.sql
    """
    with transaction.atomic(using=database):
        ready = retry(ids, database=database)
        postponed = rows(database, POSTPONE_JOBS, {"ids": ready, "wait": wait.total_seconds()})
    return [row[0] for row in postponed]


def delete(ids: Sequence[int], *, database: str = "default") -> list[int]:
    """Delete jobs that do not run, with their history; the ids of those that were.

    SQL: sql/queries/delete_jobs.sql
    """
    return [row[0] for row in rows(database, DELETE_JOBS, {"ids": list(ids)})]


def count_expired(*, database: str = "default") -> int:
    """How many jobs `prune` would delete now.

    SQL: sql/queries/count_expired.sql
    """
    jobs: int = rows(database, COUNT_EXPIRED, {})[0][0]
    return jobs


def _tell_nobody(_deleted: int) -> None:
    pass


def prune(*, database: str = "default", told: Callable[[int], None] = _tell_nobody) -> int:
    """Delete all finished jobs whose time to be kept is over, in chunks; how many there were.

    told: called after each chunk with the number deleted so far.
    SQL: sql/queries/prune_jobs.sql
    """
    total = 0
    while True:
        deleted: int = rows(database, PRUNE_JOBS, {"max_jobs": PRUNE_CHUNK})[0][0]
        total += deleted
        told(total)
        if deleted < PRUNE_CHUNK:
            return total


def _seconds(keep: timedelta | None) -> float | None:
    return None if keep is None else keep.total_seconds()
