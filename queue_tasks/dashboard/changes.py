"""What an operator does on the dashboard: done once, against the state that was seen, and written down.

Each change is one transaction: the jobs are locked, looked at, changed, and the change is noted in queue_tasks_changes.
A form that is sent twice finds its own note and does nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest

from queue_tasks.caller import rows
from queue_tasks.dashboard.deeds import Deed
from queue_tasks.jobs import JobState
from queue_tasks.statements import BEGIN_CHANGE, END_CHANGE, LIST_CHANGES, LOCK_JOBS, LOCK_QUEUE

PAGE = 50
"""Changes on a page."""


class ConflictError(Exception):
    """Somebody, or a worker, was quicker; the text says what the job is now."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one form has done."""

    changed: list[int]
    skipped: int
    """Jobs that were in a state it is not for, or that are gone."""
    repeated: bool = False
    """The form had been sent before: nothing was done."""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One note; the columns of sql/queries/list_changes.sql."""

    id: int
    made_at: datetime
    user_id: str
    user_name: str
    address: str | None
    action: str
    target: str
    job_ids: list[int] | None
    """The first twenty."""
    jobs: int
    before: str | None
    """JSON text, cut at 500 characters."""
    after: str | None


def begin(request: HttpRequest, ticket: UUID, action: str, target: str, *, database: str) -> int | None:
    """Note who is about to do what, within the caller's transaction; None: this form was sent before.

    SQL: sql/queries/begin_change.sql
    """
    found = rows(
        database,
        BEGIN_CHANGE,
        {
            "ticket": str(ticket),
            "user_id": str(request.user.pk),
            "user_name": request.user.get_username(),
            "address": request.META.get("REMOTE_ADDR") or None,
            "action": action,
            "target": target[:2000],
        },
    )
    return found[0][0] if found else None


def end(change_id: int, ids: Sequence[int] | None, before: Any, after: Any, *, database: str) -> None:
    """Note what was done. SQL: sql/queries/end_change.sql."""
    rows(
        database,
        END_CHANGE,
        {
            "id": change_id,
            "job_ids": None if ids is None else list(ids),
            "before": json.dumps(before, default=str),
            "after": json.dumps(after, default=str),
        },
    )


def to_jobs(
    request: HttpRequest,
    deed: Deed,
    ids: Sequence[int],
    do: Callable[[Sequence[int]], Sequence[int]],
    *,
    ticket: UUID,
    target: str,
    seen: str | None = None,
    noted: Mapping[str, Any] | None = None,
    queues: Sequence[str] | None = None,
    database: str,
) -> Outcome:
    """Do something to jobs, in one transaction.

    ids: at most MAX_JOBS. do: does it to those that are in the deed's states; gives the ids of those it was done to.
    seen: of a single job, "state lease" as the page showed it. noted: what is written down beside their new states.
    queues: those whose jobs the visitor may see, others do not exist; None: all.
    Raises ConflictError when the job is not as it was seen any more.
    SQL: sql/queries/lock_jobs.sql and the statements of control
    """
    with transaction.atomic(using=database):
        change_id = begin(request, ticket, deed.name, target, database=database)
        if change_id is None:
            return Outcome([], 0, repeated=True)
        before = _states(ids, queues, database)
        if seen is not None:
            _require(deed, ids[0], before.get(ids[0]), seen)
        right = [job_id for job_id, (state, _) in before.items() if state in deed.states]
        changed = sorted(do(right))
        after = _states(changed, queues, database)
        end(
            change_id,
            changed,
            {job_id: before[job_id][0] for job_id in changed},
            {job_id: after[job_id][0] if job_id in after else "deleted" for job_id in changed} | dict(noted or {}),
            database=database,
        )
        return Outcome(changed, len(ids) - len(changed))


def to_named(
    request: HttpRequest,
    action: str,
    name: str,
    do: Callable[[], Any],
    look: Callable[[], Mapping[str, Any]],
    *,
    ticket: UUID,
    database: str,
) -> tuple[bool, Any]:
    """Do something to a schedule, a queue or a worker, in one transaction; whether it was new, and what `do` gave.

    action: with the word for what it is done to, as it is written down. look: reads what is noted as before and after.
    """
    with transaction.atomic(using=database):
        change_id = begin(request, ticket, action, name, database=database)
        if change_id is None:
            return False, None
        before = look()
        given = do()
        end(change_id, None, before, look(), database=database)
        return True, given


def lock_queue(name: str, *, database: str) -> None:
    """Have nobody else decide anything about a queue until the transaction ends. SQL: sql/queries/lock_queue.sql."""
    rows(database, LOCK_QUEUE, {"name": name})


def listed(
    *,
    before: int | None = None,
    job_id: int | None = None,
    user_id: str | None = None,
    limit: int = PAGE,
    database: str,
) -> list[ChangeLine]:
    """What people did, newest first. user_id: only what this one did. SQL: sql/queries/list_changes.sql."""
    parameters = {"before_id": before, "job_id": job_id, "user_id": user_id, "max_changes": limit}
    found = rows(database, LIST_CHANGES, parameters)
    return [ChangeLine(*row) for row in found]


def tally(states: Sequence[JobState]) -> list[tuple[JobState, int]]:
    """How many of each state, the most first."""
    return Counter(states).most_common()


def _states(ids: Sequence[int], queues: Sequence[str] | None, database: str) -> dict[int, tuple[JobState, int]]:
    parameters = {"ids": list(ids), "queues": None if queues is None else list(queues)}
    return {row[0]: (JobState(row[1]), row[2]) for row in rows(database, LOCK_JOBS, parameters)}


def _require(deed: Deed, job_id: int, now: tuple[JobState, int] | None, seen: str) -> None:
    if now is None:
        raise ConflictError(
            f"Job {job_id} does not exist any more: somebody deleted it, or its time to be kept is over."
        )
    if f"{now[0]} {now[1]}" == seen and now[0] in deed.states:
        return
    was = seen.partition(" ")[0]
    again = " again" if was == now[0] else ""
    raise ConflictError(
        f"Job {job_id} is {now[0]}{again} now; it was {was or 'something else'} when you looked. "
        "Nothing was done: look at it as it is, and decide anew."
    )
