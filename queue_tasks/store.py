"""Store: every statement the worker sends, one method each. Asynchronous, on connections it makes or is given."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, Protocol

import psycopg

from queue_tasks.bridge import PeriodicTick
from queue_tasks.conf import Options
from queue_tasks.connections import WorkerConnection
from queue_tasks.cron import Plan
from queue_tasks.exceptions import WorkerNotRegistered
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome
from queue_tasks.statements import (
    ABORTING_JOBS,
    DUE_SCHEDULES,
    FETCH_JOBS,
    FIND_WRITTEN,
    FINISH_JOBS,
    FIRE_SCHEDULE,
    FORGET_LISTENER,
    HELD_JOBS,
    LIST_WRITERS,
    LOCK_SCHEDULE,
    NOTE_LISTENER,
    NOTE_START,
    NOTIFY_USAGE,
    PERIODIC_DEFER,
    PROGRESS_JOBS,
    PROMOTE_JOBS,
    PRUNE_FIGURES,
    PRUNE_JOBS,
    RECLAIM_JOBS,
    RECORD_FIGURES,
    REGISTER_WORKER,
    RESCUE_JOBS,
    SYNC_SCHEDULES,
    TELL_OTHERS,
    UNREGISTER_WORKER,
)

FINISH_LOCK_TIMEOUT = 0.2
"""Seconds a finish waits for a row that another session holds, and all outcomes of its batch with it."""

WORKER_UNKNOWN = "QT002"
"""The SQLSTATE of our functions for a worker that is not registered."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job taken back from a dead worker; one row of sql/queries/rescue_jobs.sql."""

    id: int
    status: str
    """todo, failed (a poison pill) or aborted."""
    worker_id: int | None
    crashes: int


@dataclass(frozen=True, slots=True)
class Promotion:
    """What was made ready and when there is more to do; one row of sql/queries/promote_jobs.sql."""

    promoted: int
    """Jobs."""
    next_due_in: float | None
    """Seconds until the next job is due; None: none is scheduled."""
    resumes_in: float | None
    """Seconds until the first pause of a queue ends that has an end; None: there is none."""
    resumes_at: float | None
    """When that is by the database's clock, not to be counted with: another one means that something has changed."""


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule that has ticked, or whose next tick is to be found; one row of sql/queries/due_schedules.sql."""

    id: int
    name: str
    revision: int
    cron: str | None
    every: float | None
    timezone: str
    last_tick: datetime
    missed: str
    max_missed: int


Written = tuple[FetchedJob, Outcome, str | None]
"""What the finisher writes: a job, how its attempt ended, and the error as JSON text."""


def schedule_as_json(row: Mapping[str, Any]) -> str:
    """A schedule's row as JSON text; its arguments, which are text already, as they are."""
    rest = json.dumps({name: value for name, value in row.items() if name != "args"})
    return f'{rest[:-1]}, "args": {row["args"]}}}'


class Connection(Protocol):
    """What a Store needs of a connection."""

    async def rows(
        self,
        statement: LiteralString,
        parameters: Mapping[str, Any] | None = None,
        *,
        under: LiteralString | None = None,
    ) -> Sequence[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and give its rows. Raises psycopg's errors.

        under: a statement with the same parameters that takes a lock first, in the same transaction.
        """

    async def close(self) -> None:
        """Let go of it."""

    def break_off(self) -> None:
        """Make the call that waits for an answer fail now; the next opens another."""


class Connect(Protocol):
    """Makes a connection to the database of an alias; name: what for, to be shown. WorkerConnection is one."""

    def __call__(
        self,
        alias: str,
        name: str,
        *,
        statement_timeout: float,
        lock_timeout: float | None = None,
        durable: bool = True,
    ) -> Connection:
        """See WorkerConnection."""


class Store:
    """The worker's side of the database.

    Three connections: leases need not be durable; finishes must be, and are not to wait behind a fetch; the rest are
    rare.
    Every method raises psycopg's errors; the caller decides whether to try again.
    """

    def __init__(self, options: Options, connect: Connect = WorkerConnection) -> None:
        timeout = options.statement_timeout
        database = options.database
        self._leasing = connect(database, "fetch", statement_timeout=timeout, durable=False)
        self._finishing = connect(database, "finish", statement_timeout=timeout, lock_timeout=FINISH_LOCK_TIMEOUT)
        self._tending = connect(database, "tend", statement_timeout=timeout)
        self.worker_id = 0

    async def close(self) -> None:
        """Close the connections."""
        for connection in (self._leasing, self._finishing, self._tending):
            await connection.close()

    def break_off_finish(self) -> None:
        """Make a finish that waits for its answer fail now: on another connection it may succeed."""
        self._finishing.break_off()

    async def register_worker(
        self,
        name: str,
        host: str,
        pid: int,
        queues: Sequence[str] | None,
        concurrency: int,
        told: str | None = None,
        version: str | None = None,
    ) -> int:
        """Make this worker known; its number, which every later call names.

        version: of queue_tasks. told: what an operator has told it before, under another number.
        SQL: sql/queries/register_worker.sql
        """
        parameters = {
            "name": name,
            "host": host,
            "pid": pid,
            "version": version,
            "queues": queues,
            "concurrency": concurrency,
            "told": told,
        }
        self.worker_id = (await self._tending.rows(REGISTER_WORKER, parameters))[0][0]
        return self.worker_id

    async def unregister_worker(self) -> None:
        """Forget this worker.

        SQL: sql/queries/unregister_worker.sql
        """
        await self._tending.rows(UNREGISTER_WORKER, {"worker_id": self.worker_id})

    async def note_listener(self, queues: Sequence[str] | None, *, asleep: bool) -> int | None:
        """Say whether this worker sleeps and is to be told of jobs, or looks by itself.

        Returns how many listening workers serve its queues, itself included; None: it is not registered any more.
        SQL: sql/queries/note_listener.sql
        """
        parameters = {"worker_id": self.worker_id, "queues": queues, "asleep": asleep}
        rows = await self._tending.rows(NOTE_LISTENER, parameters)
        return rows[0][0] if rows else None

    async def forget_listener(self) -> None:
        """Say that this worker listens no more.

        SQL: sql/queries/forget_listener.sql
        """
        await self._tending.rows(FORGET_LISTENER, {"worker_id": self.worker_id})

    async def list_writers(self, known: Sequence[str] | None = None) -> list[str]:
        """The open transactions that write jobs; known: only those of them.

        SQL: sql/queries/list_writers.sql
        """
        rows = await self._tending.rows(LIST_WRITERS, {"known": None if known is None else list(known)})
        return [row[0] for row in rows]

    async def tell_others(self, queues: Sequence[str] | None) -> None:
        """Have every other worker look that sleeps and serves some of these queues; None: all queues.

        SQL: sql/queries/tell_others.sql
        """
        await self._tending.rows(TELL_OTHERS, {"worker_id": self.worker_id, "queues": queues})

    async def fetch_jobs(self, queues: Sequence[str] | None, max_jobs: int) -> list[FetchedJob]:
        """Take up to `max_jobs` ready jobs and mark them running.

        queues: names, any order; None: every queue.
        Returns 0..max_jobs jobs, highest priority first, then oldest.
        Raises WorkerNotRegistered when this worker was taken for dead meanwhile.
        SQL: sql/queries/fetch_jobs.sql
        """
        parameters = {"worker_id": self.worker_id, "queues": queues, "max_jobs": max_jobs}
        try:
            rows = await self._leasing.rows(FETCH_JOBS, parameters)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            # Another fetch took a job of the same lock at the same moment: the next look sees it.
            return await self.fetch_jobs(queues, max_jobs)
        except psycopg.Error as exc:
            if exc.sqlstate == WORKER_UNKNOWN or isinstance(exc, psycopg.errors.ForeignKeyViolation):
                raise WorkerNotRegistered(str(exc)) from exc
            raise
        return [FetchedJob(*row) for row in rows]

    async def finish_jobs(self, batch: Sequence[Written]) -> dict[int, str]:
        """Write how attempts ended; job id -> the row's status, for the rows that were still ours.

        SQL: sql/queries/finish_jobs.sql
        """
        now = time.monotonic()
        outcomes = [outcome for _, outcome, _ in batch]
        untils = [outcome.until for outcome in outcomes]
        rows = await self._finishing.rows(
            FINISH_JOBS,
            {
                "worker_id": self.worker_id,
                "ids": _numbers([job.id for job, _, _ in batch]),
                "leases": _numbers([job.lease for job, _, _ in batch]),
                "outcomes": _texts([outcome.kind for outcome in outcomes]),
                "results": _texts([outcome.result for outcome in outcomes]),
                "errors": _texts([error for _, _, error in batch]),
                "started_ago": _numbers([None if o.started is None else now - o.started for o in outcomes]),
                "ended_ago": _numbers([now - outcome.ended for outcome in outcomes]),
                "waits": _numbers([outcome.wait or None for outcome in outcomes]),
                "untils": untils if any(untils) else None,
                "keeps": _numbers([outcome.keep for outcome in outcomes]),
                "priorities": _numbers([outcome.priority for outcome in outcomes]),
                "queue_names": _texts([outcome.queue_name for outcome in outcomes]),
                "locks": _texts([outcome.lock for outcome in outcomes]),
            },
        )
        return {row[0]: row[1] for row in rows}

    async def find_written(self, batch: Sequence[Written]) -> dict[int, str]:
        """Of finishes whose answer was lost, those that were written all the same: job id -> the row's status.

        SQL: sql/queries/find_written.sql
        """
        parameters = {
            "worker_id": self.worker_id,
            "ids": [job.id for job, _, _ in batch],
            "leases": [job.lease for job, _, _ in batch],
            "outcomes": [outcome.kind.value for _, outcome, _ in batch],
        }
        return {row[0]: row[1] for row in await self._finishing.rows(FIND_WRITTEN, parameters)}

    async def held_jobs(self, ids: Sequence[int]) -> set[int]:
        """Those of the jobs whose rows another session holds at this moment.

        SQL: sql/queries/held_jobs.sql
        """
        return {row[0] for row in await self._finishing.rows(HELD_JOBS, {"ids": list(ids)})}

    async def note_start(self, job: FetchedJob) -> bool:
        """Note that the body of a job with crashes is about to run; whether the job is still ours.

        SQL: sql/queries/note_start.sql
        """
        parameters = {"worker_id": self.worker_id, "id": job.id, "lease": job.lease}
        return bool(await self._finishing.rows(NOTE_START, parameters))

    async def rescue_jobs(
        self, *, dead_after: float, silent_after: float, max_crashes: int, keep: float | None, max_jobs: int
    ) -> list[Rescued]:
        """Take back up to `max_jobs` running jobs of dead workers; times in seconds.

        SQL: sql/queries/rescue_jobs.sql
        """
        parameters = {
            "dead_after": dead_after,
            "silent_after": silent_after,
            "max_crashes": max_crashes,
            "keep": keep,
            "max_jobs": max_jobs,
        }
        return [Rescued(*row) for row in await self._tending.rows(RESCUE_JOBS, parameters)]

    async def reclaim_jobs(self, in_hand: Sequence[int], *, older_than: float, keep: float | None) -> list[int]:
        """Take back what is running under this worker without its knowing; the ids.

        in_hand: what it does know of, as it is when this is called and no fetch is under way. older_than: seconds since
        the fetch. keep: seconds an aborted job's row stays.
        SQL: sql/queries/reclaim_jobs.sql
        """
        parameters = {
            "worker_id": self.worker_id,
            "in_hand": list(in_hand),
            "older_than": older_than,
            "keep": keep,
        }
        # Where fetches are sent, so that none of them comes in between.
        return [row[0] for row in await self._leasing.rows(RECLAIM_JOBS, parameters)]

    async def progress_jobs(self, notes: Sequence[tuple[FetchedJob, Mapping[str, Any]]]) -> set[int]:
        """Note how far running jobs have come; the ids of the rows that were still ours.

        SQL: sql/queries/progress_jobs.sql
        """
        rows = await self._tending.rows(
            PROGRESS_JOBS,
            {
                "worker_id": self.worker_id,
                "ids": [job.id for job, _ in notes],
                "leases": [job.lease for job, _ in notes],
                "progress": [json.dumps(note) for _, note in notes],
            },
        )
        return {row[0] for row in rows}

    async def promote_jobs(self, max_jobs: int) -> Promotion:
        """Make due jobs ready, and see when the next pause of a queue ends.

        SQL: sql/queries/promote_jobs.sql
        """
        return Promotion(*(await self._tending.rows(PROMOTE_JOBS, {"max_jobs": max_jobs}))[0])

    async def prune_jobs(self, max_jobs: int) -> int:
        """Delete up to `max_jobs` finished jobs whose time is over; how many.

        SQL: sql/queries/prune_jobs.sql
        """
        deleted: int = (await self._tending.rows(PRUNE_JOBS, {"max_jobs": max_jobs}))[0][0]
        return deleted

    async def record_figures(self, figures: Sequence[Mapping[str, Any]]) -> None:
        """Add what this worker did since it last said so to what is known of this minute, quarter and hour.

        SQL: sql/queries/record_figures.sql
        """
        await self._tending.rows(RECORD_FIGURES, {"figures": json.dumps(figures)})

    async def prune_figures(self) -> None:
        """Forget figures that are older than any chart.

        SQL: sql/queries/prune_figures.sql
        """
        await self._tending.rows(PRUNE_FIGURES)

    async def notify_usage(self) -> float:
        """The used part, 0 to 1, of the server's queue of notifications; to ask also keeps it moving.

        SQL: sql/queries/notify_usage.sql
        """
        used: float = (await self._tending.rows(NOTIFY_USAGE))[0][0]
        return used

    async def aborting_jobs(self) -> list[tuple[int, int]]:
        """(id, lease) of this worker's running jobs whose abort was asked for.

        SQL: sql/queries/aborting_jobs.sql
        """
        rows = await self._tending.rows(ABORTING_JOBS, {"worker_id": self.worker_id})
        return [(row[0], row[1]) for row in rows]

    async def defer_tick(self, tick: PeriodicTick) -> int | None:
        """Enqueue one tick of a procrastinate periodic task; the job's id, None when another worker was first.

        SQL: sql/queries/lock_schedule.sql, then sql/queries/periodic_defer.sql, which must see what others committed
        """
        parameters = {
            "queue_name": tick.queue_name,
            "lock": tick.lock,
            "queueing_lock": tick.queueing_lock,
            "task_name": tick.task_name,
            "priority": tick.priority,
            "periodic_id": tick.periodic_id,
            "timestamp": tick.timestamp,
            "args": json.dumps(tick.kwargs),
        }
        try:
            rows = await self._tending.rows(PERIODIC_DEFER, parameters, under=LOCK_SCHEDULE)
        except psycopg.errors.UniqueViolation:
            # A job with the same queueing lock is waiting: upstream's rule is to skip the tick.
            return None
        return rows[0][0] if rows else None

    async def sync_schedules(self, declared: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """Bring what the code declares to the database; (name, change) of those that were added, changed, back or gone.

        SQL: sql/queries/sync_schedules.sql
        """
        text = f"[{','.join(map(schedule_as_json, declared))}]"
        return [(row[0], row[1]) for row in await self._tending.rows(SYNC_SCHEDULES, {"declared": text})]

    async def due_schedules(self, max_schedules: int) -> tuple[datetime, float | None, list[DueSchedule]]:
        """The database's time, the seconds until the next tick that is not due (None: there is none), what is due.

        SQL: sql/queries/due_schedules.sql
        """
        rows = await self._tending.rows(DUE_SCHEDULES, {"max_schedules": max_schedules})
        return rows[0][0], rows[0][1], [DueSchedule(*row[2:]) for row in rows if row[2] is not None]

    async def fire_schedule(
        self, due: DueSchedule, plan: Plan, spread: float
    ) -> list[tuple[datetime, str, int | None]]:
        """See to the ticks of a schedule; (tick, outcome, job's id) of each, nothing when somebody else did.

        spread: seconds between the starts of several jobs.
        SQL: sql/queries/fire_schedule.sql
        """
        rows = await self._tending.rows(
            FIRE_SCHEDULE,
            {
                "id": due.id,
                "revision": due.revision,
                "last_tick": due.last_tick,
                "ticks": list(plan.ticks),
                "passed": plan.passed,
                "passed_tick": plan.passed_tick,
                "last": plan.last,
                "following": plan.following,
                "spread": spread,
            },
        )
        return [(row[0], row[1], row[2]) for row in rows]


# The arrays of a batch as Postgres writes them. psycopg would make the same text, looking at each element three times,
# which was a quarter of all that a worker did. A column in which nobody has anything is null, and so in each row.


def _numbers(values: Sequence[float | None]) -> str | None:
    """An array of numbers. Raises what `float` does for something else: it must not become two elements."""
    if all(value is None for value in values):
        return None
    written = ["NULL" if v is None else repr(v if type(v) is int else float(v)) for v in values]
    return f"{{{','.join(written)}}}"


def _texts(values: Sequence[str | None]) -> str | None:
    """An array of texts."""
    if all(value is None for value in values):
        return None
    written = ["NULL" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values]
    return f"{{{','.join(written)}}}"
