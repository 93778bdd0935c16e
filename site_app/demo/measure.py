"""How fast, by the database's own clock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from django.db import connection as django_connection

from queue_tasks import enqueue_many
from site_app.demo.screen import Bar
from site_app.demo.stage import DemoError
from site_app.demo.tasks import nothing
from site_app.sql import read_sql

SQL = Path(__file__).parent / "sql"
PATIENCE = 30.0  # seconds one job that does nothing may take, all in all


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds under which half, 95 and 99 of a hundred lie."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class TaskCount:
    """The jobs of one task by state."""

    task: str
    succeeded: int
    failed: int
    other: int


def commit_to_start(listener: psycopg.Connection, count: int, bar: Bar) -> Latency:
    """How long after its commit a job starts, on an idle worker.

    Jobs one at a time: each is enqueued on Django's connection as a request would, and has finished before the next.
    listener: a connection that LISTENs (see `hear_finished`).
    """
    committed: dict[int, datetime] = {}
    django_connection.set_autocommit(False)
    try:
        for number in range(count):
            result = nothing.enqueue()
            committed[int(result.id)] = commit_and_clock()
            wait_for(listener, result.id)
            bar.reach(number + 1)
    finally:
        django_connection.rollback()
        django_connection.set_autocommit(True)
    rows = listener.execute(read_sql(SQL / "starts.sql"), {"ids": list(committed)}).fetchall()
    return latency([(started - committed[job]).total_seconds() for job, started in rows])


def commit_and_clock() -> datetime:
    """Commit Django's transaction; the database's time right after it."""
    with django_connection.cursor() as cursor:
        cursor.execute(read_sql(SQL / "commit_and_clock.sql"))
        cursor.nextset()
        (now,) = cursor.fetchone() or (None,)
    assert isinstance(now, datetime)
    return now


def hear_finished(listener: psycopg.Connection) -> None:
    """Begin to hear which jobs have finished."""
    listener.execute(read_sql(SQL / "listen_finished.sql"))


def wait_for(listener: psycopg.Connection, job: str) -> None:
    """Wait until the job has finished. Raises DemoError when it does not."""
    for notification in listener.notifies(timeout=PATIENCE):
        if job in notification.payload.split(","):
            return
    raise DemoError(f"Job {job} has not finished within {PATIENCE:.0f} s.")


def burst(listener: psycopg.Connection, count: int) -> float:
    """Jobs per second, from the enqueue of the first to the end of the last, of many enqueued at once."""
    ids = [int(result.id) for result in enqueue_many(nothing.bind() for _ in range(count))]
    while True:
        finished, seconds = span(listener, ids)
        if finished == count:
            return count / seconds
        for _ in listener.notifies(timeout=PATIENCE, stop_after=1):
            break
        else:
            raise DemoError(f"{finished} of {count} jobs have finished, and nothing more for {PATIENCE:.0f} s.")


def span(connection: psycopg.Connection, ids: Sequence[int]) -> tuple[int, float]:
    """How many of these jobs are finished, and the seconds from the first enqueue to the last end."""
    row = connection.execute(read_sql(SQL / "span.sql"), {"ids": list(ids)}).fetchone()
    finished, seconds = row or (0, None)
    return finished, float(seconds or 0)


def by_state(connection: psycopg.Connection) -> list[TaskCount]:
    """The jobs of each task."""
    rows = connection.execute(read_sql(SQL / "jobs_by_state.sql")).fetchall()
    return [TaskCount(task.rpartition(".")[2], succeeded, failed, other) for task, succeeded, failed, other in rows]


def latency(seconds: Sequence[float]) -> Latency:
    """Where half, 95 and 99 of a hundred lie."""
    ordered = sorted(seconds)

    def percentile(part: float) -> float:
        return 1000 * ordered[math.ceil(part * len(ordered)) - 1]

    return Latency(percentile(0.50), percentile(0.95), percentile(0.99))
