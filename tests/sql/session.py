"""One session on a test's database, with the shortest words for what these tests do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from queue_tasks import statements
from tests.postgres import PROJECT

OUTCOME_ARRAYS = (
    "results",
    "errors",
    "started_ago",
    "ended_ago",
    "waits",
    "untils",
    "keeps",
    "priorities",
    "queue_names",
    "locks",
)


class Job(NamedTuple):
    """What a fetch gives of a job, as far as these tests look."""

    id: int
    lease: int
    queue_name: str
    priority: int
    lock: str | None


class Session:
    """A psycopg connection in autocommit mode, or within a transaction of its own."""

    def __init__(self, url: str, name: str = "tests.sql", *, autocommit: bool = True) -> None:
        self.url = url
        self.name = name
        self.connection = psycopg.connect(url, autocommit=autocommit, application_name=name)

    def close(self) -> None:
        self.connection.close()

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def column(self, statement: str, *parameters: Any) -> list[Any]:
        return [row[0] for row in self.rows(statement, *parameters)]

    def value(self, statement: str, *parameters: Any) -> Any:
        return self.rows(statement, *parameters)[0][0]

    def worker(self) -> int:
        return int(self.value("insert into procrastinate_workers default values returning id"))

    def job(self, **columns: Any) -> int:
        """Insert one job; columns not given are those of the plainest one."""
        return self.jobs(1, **columns)[0]

    def jobs(self, count: int, **columns: Any) -> list[int]:
        """Insert equal jobs in one statement. A value that is psycopg.sql.SQL stands as it is, with `n` from 1."""
        columns = {"queue_name": "default", "task_name": "none", **columns}
        values = [value if isinstance(value, sql.Composable) else sql.Literal(value) for value in columns.values()]
        statement = sql.SQL(
            "insert into procrastinate_jobs ({}) select {} from generate_series(1, {}) n returning id"
        ).format(sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(values), sql.Literal(count))
        return [row[0] for row in self.connection.execute(statement).fetchall()]

    def row(self, job_id: int, *columns: str) -> Any:
        """Columns of a job: the value of one, a tuple of several."""
        found = self.rows(f"select {', '.join(columns)} from procrastinate_jobs where id = %s", job_id)[0]  # noqa: S608 - names from the test
        return found[0] if len(columns) == 1 else found

    def statuses(self) -> dict[int, str]:
        return dict(self.rows("select id, status::text from procrastinate_jobs order by id"))

    def events(self, job_id: int) -> list[str]:
        return self.column("select type::text from procrastinate_events where job_id = %s order by id", job_id)

    def fetch(self, worker: int, queues: Sequence[str] | None = None, max_jobs: int = 10) -> list[Job]:
        found = self.rows(
            "select id, lease, queue_name, priority, lock from queue_tasks_fetch_jobs_v1(%s, %s::text[], %s)",
            worker,
            None if queues is None else list(queues),
            max_jobs,
        )
        return [Job(*row) for row in found]

    def finish(self, worker: int, jobs: Sequence[Job], *outcomes: str, **arrays: Any) -> dict[int, str]:
        """Finish jobs; one outcome is meant for all, one value of an array too."""
        count = len(jobs)
        given = {name: arrays.get(name) for name in OUTCOME_ARRAYS}
        given = {name: value if isinstance(value, list) else [value] * count for name, value in given.items()}
        parameters = {
            "worker_id": worker,
            "ids": [job.id for job in jobs],
            "leases": [job.lease for job in jobs],
            "outcomes": list(outcomes) if len(outcomes) > 1 else list(outcomes) * count,
            **given,
        }
        return dict(self.connection.execute(statements.FINISH_JOBS, parameters).fetchall())

    def follow(self) -> None:
        """Want to hear what becomes of jobs, as long as the session lives."""
        self.connection.execute(statements.FOLLOW)

    def listen(self, *channels: str) -> Callable[[], list[tuple[str, str]]]:
        """Listen from now on; the function gives what has come since, as (channel, payload)."""
        for channel in channels:
            self.connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))

        def heard() -> list[tuple[str, str]]:
            # A notification is sent before the answer to the next statement.
            self.connection.execute("select 1")
            return [(notice.channel, notice.payload) for notice in self.connection.notifies(timeout=0)]

        return heard


def manage(url: str, *arguments: str) -> str:
    """Run a management command on a database, in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=PROJECT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": url, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments} on {urlsplit(url).path}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
