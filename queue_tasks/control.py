"""What an operator does to jobs: cancel, abort, retry, prune. On Django's connection, in the caller's transaction.

Every change names the state it expects in SQL, so that it never overrules a worker that was quicker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from queue_tasks import bridge, overview
from queue_tasks.arguments import encode_value
from queue_tasks.caller import rows
from queue_tasks.exceptions import LONGEST_WAIT, JobNotFound, TaskNotFound
from queue_tasks.statements import (
    ABORT_JOBS,
    CANCEL_JOBS,
    COUNT_EXPIRED,
    DELETE_JOBS,
    PRUNE_JOBS,
    RETRY_JOBS,
)
from queue_tasks.tasks import find_task, make_spec

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


def retry(ids: Sequence[int], *, wait: timedelta | None = None, database: str = "default") -> list[int]:
    """Make finished or scheduled jobs ready, now or after `wait`; the ids of those that are.

    wait: from now by the database's clock, up to about 31 years; None: now. Raises ValueError for another.
    SQL: sql/queries/retry_jobs.sql
    """
    return _retry(ids, wait, None, None, database)


def retry_job(
    job_id: int,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    wait: timedelta | None = None,
    database: str = "default",
) -> bool:
    """Make a finished or scheduled job ready with other arguments than it had; whether it is.

    args, kwargs: all that its task is given, checked as by `task.enqueue`. The lock that the task makes of its
        arguments is made anew. A task of procrastinate's has named ones only.
    wait: see `retry`.
    Raises JobNotFound, TaskNotFound when the code here does not know its task, TypeError or ValueError for arguments
    that the task cannot take or that cannot be stored.
    SQL: sql/queries/list_jobs.sql, sql/queries/retry_jobs.sql
    """
    found = overview.list_jobs(ids=[job_id], database=database)
    if not found:
        raise JobNotFound(job_id)
    text, lock = check_arguments(found[0].task_name, args, kwargs or {})
    return bool(_retry([job_id], wait, text, lock, database))


def check_arguments(task_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str | None]:
    """What a row of this task has for these arguments: JSON text, and the lock that they make, if they make one.

    Raises TaskNotFound, TypeError, ValueError; see `retry_job`.
    """
    try:
        task = find_task(task_name)
    except TaskNotFound:
        bridge.import_stock_tasks()
        if bridge.find_stock_task(task_name) is None:
            raise
        if args:
            raise TypeError(f"{task_name}: a task of procrastinate's has named arguments only.") from None
        return encode_value(task_name, "arguments", dict(kwargs)), None
    spec = make_spec(task, args, kwargs)
    return spec.arguments, spec.lock


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


def _retry(ids: Sequence[int], wait: timedelta | None, args: str | None, lock: str | None, database: str) -> list[int]:
    seconds = _seconds(wait)
    if seconds is not None and not 0 < seconds <= LONGEST_WAIT:
        raise ValueError(f"wait={wait!r}; expected more than 0 and at most {LONGEST_WAIT:g} seconds, or None for now.")
    return [
        row[0] for row in rows(database, RETRY_JOBS, {"ids": list(ids), "wait": seconds, "args": args, "lock": lock})
    ]
