"""How long a worker's statements take, one after the other on sessions like its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql

from queue_tasks import statements
from tests.chaos.accounting import percentile
from tests.sql.session import Job, Session


class Stopwatch:
    """One worker's session. Times are in milliseconds, by what was done."""

    def __init__(self, url: str) -> None:
        self.session = Session(url, "chaos stopwatch")
        # As a worker's sessions have it: a plan is made once, whatever comes later.
        self.session.rows("set plan_cache_mode = force_generic_plan")
        self.worker = self.session.worker()
        self.times: dict[str, list[float]] = {}

    def close(self) -> None:
        self.session.close()

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.times.setdefault(what, []).append((time.perf_counter() - begun) * 1000)

    def forget(self) -> None:
        """Begin to count anew."""
        self.times.clear()

    def percentile(self, what: str, percent: float) -> float:
        return percentile(self.times[what], percent)

    def fetch(self, queues: Sequence[str] | None, count: int) -> list[Job]:
        with self.timing("fetch"):
            return self.session.fetch(self.worker, queues, count)

    def finish(self, jobs: Sequence[Job], outcome: str = "succeeded") -> None:
        with self.timing("finish"):
            written = self.session.finish(self.worker, jobs, outcome)
        assert len(written) == len(jobs)

    def enqueue(self) -> None:
        """One job in a transaction of its own, as most come."""
        one = {"queue_name": "default", "task_name": "none", "priority": 0, "lock": None, "args": "{}"}
        with self.timing("enqueue"):
            self.session.connection.execute(
                statements.ENQUEUE_JOB, {**one, "run_after": None, "ephemeral": False, "trace": None}
            )

    def fill(self, count: int, **columns: object) -> None:
        """Insert rows that are only there, without the triggers: their cost is not in question."""
        self.session.rows("set session_replication_role = replica")
        for done in range(0, count, 100_000):
            self.session.connection.execute(filling(min(100_000, count - done), columns))
        self.session.rows("set session_replication_role = origin")


def filling(count: int, columns: dict[str, object]) -> sql.Composed:
    """The statement that inserts so many rows; a value that is psycopg.sql.SQL stands as it is, with `n` from 1."""
    columns = {"queue_name": "default", "task_name": "none", **columns}
    values = [value if isinstance(value, sql.Composable) else sql.Literal(value) for value in columns.values()]
    return sql.SQL("insert into procrastinate_jobs ({}) select {} from generate_series(1, {}) n").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(values), sql.Literal(count)
    )
