"""What an operator sees: jobs, queues, workers and figures, as values. Reads only, on Django's connection.

Ages are counted by the database's clock, never by the reader's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from queue_tasks.arguments import decode
from queue_tasks.caller import rows
from queue_tasks.exceptions import JobNotFound
from queue_tasks.jobs import JobState
from queue_tasks.statements import (
    COUNT_QUEUES,
    COUNT_STATES,
    DESCRIBE_JOB,
    LIST_CONTROLS,
    LIST_JOBS,
    LIST_WORKERS,
    MEASURE_BACKLOG,
    MEASURE_JOBS,
)

SAMPLE = 10_000
"""Jobs whose latency is looked at."""

STATUSES = {
    JobState.READY: ("todo",),
    JobState.SCHEDULED: ("todo",),
    JobState.RETRYING: ("todo",),
    JobState.PARKED: ("todo",),
    JobState.RUNNING: ("doing", "aborting"),
    JobState.SUCCEEDED: ("succeeded",),
    JobState.FAILED: ("failed",),
    JobState.CANCELLED: ("cancelled",),
    JobState.ABORTED: ("aborted",),
}
"""The row statuses that each state may have."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in a list; the columns of sql/queries/list_jobs.sql."""

    id: int
    state: JobState
    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    attempts: int
    """Spent so far."""
    args: str | None
    """JSON text; None where the list was asked for without."""
    worker_id: int | None
    enqueued_at: datetime | None
    run_after: datetime | None
    """When a scheduled or retrying job is due."""
    started_at: datetime | None
    attempted_at: datetime | None
    finished_at: datetime | None
    error: str | None
    """Dotted path of the latest attempt's exception."""
    message: str | None
    abort_requested: bool
    now: datetime
    """The database's clock as it was read."""


@dataclass(frozen=True, slots=True)
class JobStory:
    """All there is to tell of one job."""

    job: JobLine
    queueing_lock: str | None
    ephemeral: bool
    result: Any
    """The return value."""
    errors: list[dict[str, Any]]
    """One for each failed attempt, oldest first; see sql/tables/procrastinate_jobs.sql."""
    meta: dict[str, Any]
    expires_at: datetime | None
    """When the row may be deleted; None: never."""
    worker_name: str | None
    worker_host: str | None
    worker_pid: int | None


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One queue; the columns of sql/queries/count_queues.sql."""

    name: str
    ready: int = 0
    scheduled: int = 0
    retrying: int = 0
    parked: int = 0
    running: int = 0
    failed: int = 0
    oldest_ready: float | None = None
    """Seconds the oldest ready job has been ready."""


@dataclass(frozen=True, slots=True)
class QueueControl:
    """What an operator has decided about one queue; the columns of sql/queries/list_controls.sql."""

    name: str
    paused: bool = False
    """Whether no worker fetches its jobs now."""
    paused_until: datetime | None = None
    """When that ends by itself; None: when it is resumed."""
    resumes_in: float | None = None
    """Seconds until then."""
    paused_at: datetime | None = None
    paused_by: str | None = None
    """For people."""
    concurrency: int | None = None
    """How many of its jobs may run at once; None: as many as there are slots."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What there is in one queue, counted up to a limit; the columns of sql/queries/measure_backlog.sql."""

    name: str
    ready: int
    scheduled: int
    retrying: int
    parked: int
    running: int
    failed: int
    oldest_ready: float | None
    """Seconds that the job which has waited longest has been ready; None when none is."""
    mean_run: float | None
    """Seconds that a job of this queue took of late; None when no row tells."""

    @property
    def work(self) -> float | None:
        """Seconds of one slot's work that are ready: what an autoscaler wants to know."""
        return None if self.mean_run is None else self.ready * self.mean_run


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One registered worker; the columns of sql/queries/list_workers.sql."""

    id: int
    name: str | None
    """None: a stock procrastinate worker, of which nothing else is known."""
    host: str | None
    pid: int | None
    queues: list[str] | None
    """None: all."""
    concurrency: int | None
    running: int
    heartbeat_age: float
    """Seconds."""
    started_at: datetime | None
    told: str | None = None
    """What an operator has told it: quiet or stop."""
    version: str | None = None
    """Of queue_tasks."""
    memory: int | None = None
    """Bytes that its process held at its last heartbeat, without those of its task processes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How the whole does. Jobs that were deleted, ephemeral ones among them, are not in it."""

    states: Mapping[JobState, int]
    """Jobs in each state, every state named."""
    finished_last_minute: int
    finished_last_hour: int
    sampled: int
    """Jobs whose latency was looked at: seconds from when a job could start to when it did."""
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    table_bytes: int
    index_bytes: int
    event_bytes: int


def list_jobs(
    *,
    states: Sequence[JobState] | None = None,
    queue_name: str | None = None,
    task_name: str | None = None,
    before: int | None = None,
    ids: Sequence[int] | None = None,
    with_args: bool = False,
    limit: int = 20,
    database: str = "default",
) -> list[JobLine]:
    """Jobs, newest first.

    task_name: a dotted path, or the end of one.
    before: only jobs with a smaller id, for the next page.
    SQL: sql/queries/list_jobs.sql
    """
    found = rows(
        database,
        LIST_JOBS,
        {
            "states": None if states is None else [state.value for state in states],
            "statuses": None if states is None else sorted({s for state in states for s in STATUSES[state]}),
            "queue_name": queue_name,
            "task_name": task_name,
            "before": before,
            "ids": None if ids is None else list(ids),
            "with_args": with_args,
            "max_jobs": limit,
        },
    )
    return [JobLine(row[0], JobState(row[1]), *row[2:]) for row in found]


def describe_job(job_id: int, *, database: str = "default") -> JobStory:
    """All there is to tell of one job. Raises JobNotFound.

    SQL: sql/queries/list_jobs.sql, sql/queries/describe_job.sql
    """
    lines = list_jobs(ids=[job_id], with_args=True, database=database)
    found = rows(database, DESCRIBE_JOB, {"id": job_id})
    if not lines or not found:
        raise JobNotFound(job_id)
    queueing_lock, ephemeral, result, errors, meta, expires_at, *worker = found[0]
    return JobStory(
        lines[0],
        queueing_lock,
        ephemeral,
        None if result is None else decode(result),
        [error for error in _decoded(errors, []) if isinstance(error, dict)],
        _decoded(meta, {}),
        expires_at,
        *worker,
    )


def count_queues(*, declared: Sequence[str] = (), database: str = "default") -> list[QueueLine]:
    """The queues that have jobs, and those that are declared, by name.

    SQL: sql/queries/count_queues.sql
    """
    lines = {name: QueueLine(name) for name in declared}
    for row in rows(database, COUNT_QUEUES, {}):
        lines[row[0]] = QueueLine(*row)
    return [lines[name] for name in sorted(lines)]


def measure_backlog(*, declared: Sequence[str] = (), most: int, database: str = "default") -> list[Backlog]:
    """The queues that have jobs which are not over, or failed, and those that are declared, by name.

    most: jobs of one kind beyond which they are not counted; what this costs does not grow with the tables.
    SQL: sql/queries/measure_backlog.sql
    """
    parameters = {"declared": list(declared), "max_jobs": most}
    return [Backlog(*row) for row in rows(database, MEASURE_BACKLOG, parameters)]


def list_controls(*, database: str = "default") -> dict[str, QueueControl]:
    """The queues that are paused or limited now, by name.

    SQL: sql/queries/list_controls.sql
    """
    return {row[0]: QueueControl(*row) for row in rows(database, LIST_CONTROLS, {})}


def list_workers(*, database: str = "default") -> list[WorkerLine]:
    """The registered workers, ours and stock ones, oldest first.

    SQL: sql/queries/list_workers.sql
    """
    return [WorkerLine(*row) for row in rows(database, LIST_WORKERS, {})]


def measure(*, database: str = "default") -> Figures:
    """Counts, throughput, latency and sizes. Reads every row of the table.

    SQL: sql/queries/count_states.sql, sql/queries/measure_jobs.sql
    """
    counted = dict(rows(database, COUNT_STATES, {}))
    states = {state: counted.get(state.value, 0) for state in JobState}
    return Figures(states, *rows(database, MEASURE_JOBS, {"max_jobs": SAMPLE})[0])


def as_dict(line: Any) -> dict[str, Any]:
    """The fields of a value of this module, by name."""
    return {field.name: getattr(line, field.name) for field in fields(line)}


def _decoded(text: str | None, default: Any) -> Any:
    """JSON of the kind that the default is; anything else was not written by us."""
    value = default if text is None else decode(text)
    return value if isinstance(value, type(default)) else default
