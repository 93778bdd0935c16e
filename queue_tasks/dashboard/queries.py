"""What the pages read, as values. Each statement's cost is bounded, whatever is in the tables.

Counts end at CAP, searches look at LOOK jobs at a time: an operator who needs more asks for the next page.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import Parameter

from queue_tasks import overview, tasks
from queue_tasks.caller import rows
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.exceptions import JobNotFound
from queue_tasks.jobs import JobState
from queue_tasks.overview import STATUSES, JobLine
from queue_tasks.signatures import signature
from queue_tasks.statements import (
    INSPECT_JOB,
    LIST_EVENTS,
    SEARCH_END,
    SEARCH_JOBS,
)

CAP = 10_000
"""Where counts end: shown as "10,000+"."""

LOOK = 20_000
"""Jobs that one search looks at."""

MAX_BYTES = 262_144
"""A value of more bytes is not read."""

MAX_ERRORS = 20
MAX_EVENTS = 100

FEW = {JobState.FAILED, JobState.CANCELLED, JobState.ABORTED}
"""States that an index leads to by id."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first."""

    jobs: list[JobLine]
    next: int | None
    """The next page has the jobs before this id; None: there are no more."""
    looked: bool
    """False: the page is full. True: it ended because enough jobs were looked at."""


@dataclass(frozen=True, slots=True)
class Inside:
    """The rest of one job; the columns of sql/queries/inspect_job.sql. JSON is text here."""

    queueing_lock: str | None
    ephemeral: bool
    lease: int
    crashes: int
    args: str | None
    args_bytes: int
    result: str | None
    result_bytes: int | None
    errors: str | None
    meta: str | None
    expires_at: datetime | None
    worker_name: str | None
    worker_host: str | None
    worker_pid: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's history; the columns of sql/queries/list_events.sql."""

    type: str
    at: datetime


def search(
    wanted: JobFilter,
    *,
    before: int | None,
    with_args: bool,
    limit: int,
    queues: Sequence[str] | None = None,
    database: str,
    look: int = LOOK,
) -> Page:
    """A page of the jobs that a filter finds.

    queues: only jobs of these, whatever the filter says; None: of all.
    SQL: sql/queries/search_jobs.sql, sql/queries/search_end.sql
    """
    few = bool(wanted.states) and FEW.issuperset(wanted.states)
    place = {
        "look": look,
        "before": before,
        "few": few,
        "statuses": sorted({status for state in wanted.states for status in STATUSES[state]}) if few else None,
        "ids": list(wanted.ids) or None,
    }
    found = rows(
        database,
        SEARCH_JOBS,
        {
            **place,
            "states": [state.value for state in wanted.states] or None,
            "queue_name": wanted.queue,
            "task_name": wanted.task,
            "worker_id": wanted.worker,
            "lock": wanted.lock,
            "since": None if wanted.since is None else wanted.since.total_seconds(),
            "error": wanted.error,
            "fingerprint": wanted.fingerprint,
            "queues": None if queues is None else list(queues),
            "with_args": with_args,
            "keys": [name for name, _ in wanted.args],
            "texts": [text for _, text in wanted.args],
            "positions": json.dumps([positions(name) for name, _ in wanted.args]),
            "max_jobs": limit,
        },
    )
    jobs = [JobLine(row[0], JobState(row[1]), *row[2:]) for row in found]
    if len(jobs) == limit:
        return Page(jobs, jobs[-1].id, looked=False)
    end = rows(database, SEARCH_END, place)
    return Page(jobs, end[0][0] if end else None, looked=True)


def positions(name: str) -> dict[str, int]:
    """Where each declared task takes an argument of this name when it is given without it."""
    found = {}
    for path, task in list(tasks.declared.items()):
        with contextlib.suppress(TypeError, ValueError):
            names = list(signature(task.func, takes_context=task.takes_context).parameters)
            if name in names:
                found[path] = names.index(name)
    return found


def names_of(task_name: str, count: int) -> list[str]:
    """Names for so many positional arguments of a task: its parameters', `rest[0]` of `*rest`, else their number."""
    task = tasks.declared.get(task_name)
    names: list[str] = []
    rest = None
    if task is not None:
        with contextlib.suppress(TypeError, ValueError):
            for parameter in signature(task.func, takes_context=task.takes_context).parameters.values():
                if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
                    names.append(parameter.name)
                elif parameter.kind is Parameter.VAR_POSITIONAL:
                    rest = parameter.name
    beyond = range(len(names), count)
    return names[:count] + [str(place) if rest is None else f"{rest}[{place - len(names)}]" for place in beyond]


def inspect(job_id: int, *, queues: Sequence[str] | None = None, database: str) -> tuple[JobLine, Inside]:
    """All there is of one job. queues: those that may be seen; None: all. Raises JobNotFound.

    SQL: sql/queries/list_jobs.sql, sql/queries/inspect_job.sql
    """
    lines = overview.list_jobs(ids=[job_id], database=database)
    found = rows(database, INSPECT_JOB, {"id": job_id, "max_bytes": MAX_BYTES, "max_errors": MAX_ERRORS})
    if not lines or not found or (queues is not None and lines[0].queue_name not in queues):
        raise JobNotFound(job_id)
    return lines[0], Inside(*found[0])


def events(job_id: int, *, database: str) -> list[Event]:
    """What happened to a job, oldest first. SQL: sql/queries/list_events.sql."""
    return [Event(*row) for row in rows(database, LIST_EVENTS, {"job_id": job_id, "max_events": MAX_EVENTS})]
