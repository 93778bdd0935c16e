"""What the tests of roles are made of."""

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.worker.attempt import Attempt
from queue_tasks.worker.lookout import Sight
from tests.waiting import wait_until

NOOP = "tests.testapp.tasks.noop"
NOTHING = '{"args": [], "kwargs": {}}'
NOTHING_SEEN = Sight(
    silence=0,
    running=False,
    told=None,
    ready=False,
    due=False,
    ticks=False,
    lost=False,
    expired=False,
    next_due_at=None,
    used=0,
)
"""By who looks around where nothing is to be done."""


class Rows:
    """Job rows, by SQL."""

    def __init__(self, db: psycopg.Connection[dict[str, Any]]) -> None:
        self.db = db

    def add(self, count: int = 1, /, **columns: Any) -> list[int]:
        """Insert jobs, ready unless the columns say otherwise; their ids."""
        columns = {"task_name": NOOP, "queue_name": "default", "args": NOTHING, **columns}
        statement = sql.SQL(
            "insert into procrastinate_jobs ({}) select {} from generate_series(1, {}) returning id"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.SQL("{}").format(value) for value in columns.values()),
            count,
        )
        return [row["id"] for row in self.db.execute(statement)]

    def due_in(self, count: int, seconds: float) -> list[int]:
        """Insert jobs scheduled by the database's clock."""
        found = self.db.execute(
            "insert into procrastinate_jobs (task_name, queue_name, args, scheduled_at) "
            "select %s, 'default', %s, clock_timestamp() + make_interval(secs => %s) from generate_series(1, %s) "
            "returning id",
            [NOOP, NOTHING, seconds, count],
        )
        return [row["id"] for row in found]

    def get(self, job_id: int) -> dict[str, Any]:
        found = self.db.execute("select *, status::text as status from procrastinate_jobs where id = %s", [job_id])
        return found.fetchone() or {}

    def statuses(self) -> dict[str, int]:
        """How many jobs there are of each status."""
        found = self.db.execute("select status::text, count(*) from procrastinate_jobs group by 1")
        return {row["status"]: row["count"] for row in found}

    def sessions(self, name: str) -> list[int]:
        """The backends of this database with an application name."""
        found = self.db.execute(
            "select pid from pg_stat_activity where application_name = %s and datname = current_database()", [name]
        )
        return [row["pid"] for row in found]

    def terminate(self, name: str) -> list[int]:
        """End the backends with an application name, and wait until they are gone."""
        pids = self.sessions(name)
        for pid in pids:
            self.db.execute("select pg_terminate_backend(%s, 5000)", [pid])
        return pids

    def waits_for_lock(self, name: str) -> bool:
        """Whether a session with this application name waits for a lock."""
        found = self.db.execute(
            "select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock' "
            "and datname = current_database()",
            [name],
        )
        return found.fetchone() is not None


class Gates:
    """Advisory locks that queries wait for, numbered from 1; all are closed at first."""

    def __init__(self, rows: Rows, count: int = 1) -> None:
        self._rows = rows
        rows.db.execute("select pg_advisory_lock(number) from generate_series(1, %s) number", [count])

    def open(self, number: int = 1) -> None:
        self._rows.db.execute("select pg_advisory_unlock(%s)", [number])

    def sessions_at(self, number: int = 1) -> list[int]:
        """Who waits."""
        found = self._rows.db.execute(
            "select pid from pg_locks where locktype = 'advisory' and objid = %s and not granted "
            "and database = (select oid from pg_database where datname = current_database())",
            [number],
        )
        return [row["pid"] for row in found]


def fetched(task_name: str = NOOP, args: Any = None, **values: Any) -> FetchedJob:
    """A job as the fetcher gives it, without a row."""
    now = time.time()
    text = args if isinstance(args, str) else json.dumps({"args": args or [], "kwargs": {}})
    defaults: dict[str, Any] = {
        "id": 1,
        "lease": 1,
        "queue_name": "default",
        "task_name": task_name,
        "priority": 0,
        "lock": None,
        "queueing_lock": None,
        "args": text,
        "attempts": 0,
        "crashes": 0,
        "enqueued": now,
        "started": now,
        "attempted": now,
        "ephemeral": False,
        "errors": None,
        "meta": None,
    }
    return FetchedJob(**{**defaults, **values})


def attempt_of(job: FetchedJob, note: Callable[..., None] = lambda *_: None) -> Attempt:
    return Attempt(job, 1, note)


def outcome(kind: OutcomeKind = OutcomeKind.SUCCEEDED, **values: Any) -> Outcome:
    return Outcome(kind, time.monotonic(), time.monotonic(), **values)


class Calls:
    """A neighbour that counts how often it is called, and with what."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def __call__(self, *args: Any) -> None:
        self.all.append(args)

    def __len__(self) -> int:
        return len(self.all)

    def __bool__(self) -> bool:
        return bool(self.all)


def gone(rows: Rows, name: str) -> None:
    wait_until(lambda: not rows.sessions(name), message=f"sessions {name!r} remain")
