"""What an operator does to jobs, queues and workers. On Django's connection, in the caller's transaction.

What is done to queues and workers is kept in the database and reaches running workers by a notification when it
commits; those that do not listen find it at their next poll. Every change of jobs names the state it expects in SQL, so
that it never overrules a worker that was quicker.

database: the alias of the one that the jobs live in; None: where TASKS says that they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString

from asgiref.sync import sync_to_async

from queue_tasks import bridge, events
from queue_tasks.arguments import encode_value
from queue_tasks.caller import rows
from queue_tasks.exceptions import LONGEST_WAIT, ControlInvalid, JobNotFound, TaskNotFound
from queue_tasks.specs import make_spec
from queue_tasks.statements import (
    ABORT_JOBS,
    CANCEL_JOBS,
    COUNT_EXPIRED,
    DELETE_JOBS,
    LIMIT_QUEUE,
    PAUSE_QUEUE,
    PRUNE_JOBS,
    RESUME_QUEUE,
    RETRY_JOBS,
    TELL_WORKER,
)
from queue_tasks.tasks import adopt, find_task, home_of_jobs

PRUNE_CHUNK = 1000
"""Rows deleted in one statement."""

KEEP = timedelta(days=7)
"""How long a cancelled job's row stays unless the caller says otherwise."""

MAX_NAME = 128
"""Characters of a queue's name, as upstream's column has it."""

MAX_CONCURRENCY = 2**31 - 1


def cancel(ids: Sequence[int], *, database: str | None = None, keep: timedelta | None = KEEP) -> list[int]:
    """Cancel jobs that have not started; the ids of those that were.

    SQL: sql/queries/cancel_jobs.sql
    """
    home, found = _run(database, CANCEL_JOBS, {"ids": list(ids), "keep": _seconds(keep)})
    done = [row[0] for row in found]
    if done:
        events.tell(events.JobsCancelled, home, tuple(done))
    return done


def abort(ids: Sequence[int], *, database: str | None = None, keep: timedelta | None = KEEP) -> dict[int, str]:
    """Ask running jobs to stop and cancel those that have not started; id -> "doing" or "cancelled" for those changed.

    SQL: sql/queries/abort_jobs.sql
    """
    home, found = _run(database, ABORT_JOBS, {"ids": list(ids), "keep": _seconds(keep)})
    done: dict[int, str] = dict(found)
    if done:
        running, cancelled = (tuple(job for job, to in done.items() if to == word) for word in ("doing", "cancelled"))
        events.tell(events.JobsAborted, home, running, cancelled)
    return done


def retry(ids: Sequence[int], *, wait: timedelta | None = None, database: str | None = None) -> list[int]:
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
    database: str | None = None,
) -> bool:
    """Make a finished or scheduled job ready with other arguments than it had; whether it is.

    args, kwargs: all that its task is given, checked as by `task.enqueue`. The lock that the task makes of its
        arguments is made anew. A task of procrastinate's has named ones only.
    wait: see `retry`.
    Raises JobNotFound, TaskNotFound when the code here does not know its task, TypeError or ValueError for arguments
    that the task cannot take or that cannot be stored.
    SQL: sql/queries/list_jobs.sql, sql/queries/retry_jobs.sql
    """
    from queue_tasks import overview  # noqa: PLC0415 - no worker has to hold it

    found = overview.list_jobs(ids=[job_id], database=database or home_of_jobs())
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
    spec = make_spec(adopt(task), args, kwargs)
    return spec.arguments, spec.lock


def delete(ids: Sequence[int], *, database: str | None = None) -> list[int]:
    """Delete jobs that do not run, with their history; the ids of those that were.

    SQL: sql/queries/delete_jobs.sql
    """
    home, found = _run(database, DELETE_JOBS, {"ids": list(ids)})
    done = [row[0] for row in found]
    if done:
        events.tell(events.JobsDeleted, home, tuple(done))
    return done


def count_expired(*, database: str | None = None) -> int:
    """How many jobs `prune` would delete now.

    SQL: sql/queries/count_expired.sql
    """
    _, found = _run(database, COUNT_EXPIRED, {})
    jobs: int = found[0][0]
    return jobs


def _tell_nobody(_deleted: int) -> None:
    pass


def prune(*, database: str | None = None, told: Callable[[int], None] = _tell_nobody) -> int:
    """Delete all finished jobs whose time to be kept is over, in chunks; how many there were.

    told: called after each chunk with the number deleted so far.
    SQL: sql/queries/prune_jobs.sql
    """
    total = 0
    while True:
        _, found = _run(database, PRUNE_JOBS, {"max_jobs": PRUNE_CHUNK})
        deleted: int = found[0][0]
        total += deleted
        told(total)
        if deleted < PRUNE_CHUNK:
            return total


# -------------------------------------------------------------------------------------------------------------- queues


def pause_queue(
    name: str, until: datetime | timedelta | None = None, *, by: str | None = None, database: str | None = None
) -> None:
    """Have no worker fetch jobs of a queue. What runs goes on, and jobs are enqueued as ever.

    name: also of a queue that has had no job yet.
    until: an aware time, or how long from now, by the database's clock; then it goes on by itself. None: until it is
    resumed. Of a queue that is paused already it takes the place of what was said before.
    by: who, for those who ask why a job does not run.
    Raises ControlInvalid, before any SQL but for a time that is past.
    SQL: sql/queries/pause_queue.sql
    """
    wait = until.total_seconds() if isinstance(until, timedelta) else None
    at = until if isinstance(until, datetime) else None
    if at is not None and at.utcoffset() is None:
        raise ControlInvalid(f"until is {at!r}, a naive time; expected an aware one, such as datetime.now(UTC) + ...")
    home, paused = _run(database, PAUSE_QUEUE, {"name": _queue(name), "until": at, "wait": wait, "by": by})
    if not paused:
        given = f"{wait:g} s" if at is None else f"{at:%Y-%m-%d %H:%M:%S %Z}"
        raise ControlInvalid(f"until is {given}, which is over by the database's clock; expected a time to come.")
    events.tell(events.QueuePaused, home, name, until, by)


def resume_queue(name: str, *, database: str | None = None) -> bool:
    """Have workers fetch jobs of a queue again, at once; whether it was paused.

    Raises ControlInvalid.
    SQL: sql/queries/resume_queue.sql
    """
    home, resumed = _run(database, RESUME_QUEUE, {"name": _queue(name)})
    if resumed:
        events.tell(events.QueueResumed, home, name)
    return bool(resumed)


def limit_queue(name: str, concurrency: int | None, *, by: str | None = None, database: str | None = None) -> None:
    """Set how many jobs of a queue may run at once, over all workers together.

    name: also of a queue that has had no job yet. concurrency: 1 or more; None: as many as there are slots.
    by: who, for those who ask why. What runs goes on, if it be more than that.
    Raises ControlInvalid, before any SQL.
    SQL: sql/queries/limit_queue.sql
    """
    fits = isinstance(concurrency, int) and not isinstance(concurrency, bool) and 1 <= concurrency <= MAX_CONCURRENCY
    if concurrency is not None and not fits:
        raise ControlInvalid(
            f"concurrency is {concurrency!r}; expected a whole number of 1 or more, or None for no limit. "
            "To have none run, pause the queue."
        )
    home, _ = _run(database, LIMIT_QUEUE, {"name": _queue(name), "concurrency": concurrency, "by": by})
    events.tell(events.QueueLimited, home, name, concurrency, by)


async def apause_queue(
    name: str, until: datetime | timedelta | None = None, *, by: str | None = None, database: str | None = None
) -> None:
    """See `pause_queue`; from async code, on the connection that async ORM calls here use."""
    await sync_to_async(pause_queue, thread_sensitive=True)(name, until, by=by, database=database)


async def aresume_queue(name: str, *, database: str | None = None) -> bool:
    """See `resume_queue`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(resume_queue, thread_sensitive=True)(name, database=database)


async def alimit_queue(
    name: str, concurrency: int | None, *, by: str | None = None, database: str | None = None
) -> None:
    """See `limit_queue`; from async code, on the connection that async ORM calls here use."""
    await sync_to_async(limit_queue, thread_sensitive=True)(name, concurrency, by=by, database=database)


def _queue(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME or "\x00" in name:
        raise ControlInvalid(
            f"the queue's name is {name[:60]!r}; expected text of 1 to {MAX_NAME} characters, without NUL."
        )
    return name


# ------------------------------------------------------------------------------------------------------------- workers


def quiet_worker(worker_id: int, *, database: str | None = None) -> bool:
    """Have a worker fetch nothing more; what it runs goes on, and it stays. Whether it was told.

    False: there is no such worker, it is stopping, or it is a stock procrastinate worker, which cannot be told. One
    that drains stops instead.
    SQL: sql/queries/tell_worker.sql
    """
    return _tell(worker_id, "quiet", database)


def resume_worker(worker_id: int, *, database: str | None = None) -> bool:
    """Have a quiet worker fetch again; False as of `quiet_worker`.

    SQL: sql/queries/tell_worker.sql
    """
    return _tell(worker_id, None, database)


def stop_worker(worker_id: int, *, database: str | None = None) -> bool:
    """Have a worker end as by SIGTERM: it fetches nothing more, and running jobs have its time of grace.

    Its process ends with exit code 0. Where a supervisor (`queue_worker --processes`) or a service manager keeps a
    number of processes, another takes its place: to have fewer, stop that.
    Returns whether it was told, as `quiet_worker`.
    SQL: sql/queries/tell_worker.sql
    """
    return _tell(worker_id, "stop", database)


async def aquiet_worker(worker_id: int, *, database: str | None = None) -> bool:
    """See `quiet_worker`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(quiet_worker, thread_sensitive=True)(worker_id, database=database)


async def aresume_worker(worker_id: int, *, database: str | None = None) -> bool:
    """See `resume_worker`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(resume_worker, thread_sensitive=True)(worker_id, database=database)


async def astop_worker(worker_id: int, *, database: str | None = None) -> bool:
    """See `stop_worker`; from async code, on the connection that async ORM calls here use."""
    return await sync_to_async(stop_worker, thread_sensitive=True)(worker_id, database=database)


def _tell(worker_id: int, what: str | None, database: str | None) -> bool:
    home, told = _run(database, TELL_WORKER, {"id": worker_id, "told": what})
    if told:
        events.tell(events.WorkerTold, home, worker_id, what)
    return bool(told)


def _run(database: str | None, statement: LiteralString, parameters: dict[str, Any]) -> tuple[str, list[Any]]:
    """Run one statement where the jobs live: the alias of that database, and the rows."""
    home = database or home_of_jobs()
    return home, rows(home, statement, parameters)


def _seconds(keep: timedelta | None) -> float | None:
    return None if keep is None else keep.total_seconds()


def _retry(
    ids: Sequence[int], wait: timedelta | None, args: str | None, lock: str | None, database: str | None
) -> list[int]:
    seconds = _seconds(wait)
    if seconds is not None and not 0 < seconds <= LONGEST_WAIT:
        raise ValueError(f"wait={wait!r}; expected more than 0 and at most {LONGEST_WAIT:g} seconds, or None for now.")
    home, found = _run(database, RETRY_JOBS, {"ids": list(ids), "wait": seconds, "args": args, "lock": lock})
    done = [row[0] for row in found]
    if done:
        events.tell(events.JobsRetried, home, tuple(done), wait)
    return done
