"""What the pages of the dashboard read: by which index, and how many rows, whatever else is in the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from queue_tasks import statements
from queue_tasks.dashboard import queries
from tests import postgres
from tests.sql.session import Session

PKEY, FAILED = "procrastinate_jobs_pkey", "procrastinate_jobs_qt_failed_idx"
JOBS = 60_000
ANYTHING: dict[str, Any] = {
    "look": 2_000,
    "before": None,
    "few": False,
    "statuses": None,
    "ids": None,
    "states": None,
    "queue_name": None,
    "task_name": None,
    "worker_id": None,
    "lock": None,
    "since": None,
    "error": None,
    "fingerprint": None,
    "queues": None,
    "with_args": True,
    "keys": [],
    "texts": [],
    "positions": "[]",
    "max_jobs": 50,
}
"""A search for whatever there is."""


@pytest.fixture(scope="module")
def stocked(template_database: str) -> Iterator[Session]:
    """A database with a lot of everything that a page reads: the newest jobs are of one queue, a few failed."""
    with postgres.database(f"{postgres.PREFIX}_page_plans", template_database) as url:
        session = Session(url)
        # As much as a long history, but not by the triggers: their cost is not in question here.
        session.rows("set session_replication_role = replica")
        session.jobs(JOBS - 1, queue_name="busy", status=sql.SQL(STATUS), worker_id=sql.SQL("n % 50 + 1"))
        session.jobs(1, queue_name="rare", status="failed", lock="one")
        session.rows(STOCK)
        session.rows("set session_replication_role = origin")
        session.rows("vacuum analyze")
        yield session
        session.close()


STATUS = """
(case when n % 100 = 0 then 'failed' when n % 1000 = 1 then 'doing' when n % 10 = 3 then 'todo' else 'succeeded' end
)::procrastinate_job_status
"""
STOCK = """
insert into procrastinate_workers (qt_name) select 'w' || n from generate_series(1, 50) n;
insert into procrastinate_events (job_id, type, at)
    select n % 200 + 1, 'deferred', now() from generate_series(1, 40000) n;
insert into queue_tasks_changes (ticket, user_id, user_name, action, target, job_ids)
    select gen_random_uuid(), n % 100, 'ada', 'retry', 'job', array[n] from generate_series(1, 30000) n;
insert into queue_tasks_schedules
    (name, declared, task_name, queue_name, args, every, timezone, missed, overlap, last_tick)
    select 's' || n, true, 't', 'q', '{}', 60, 'UTC', 'latest', 'allow', now() from generate_series(1, 100) n;
insert into queue_tasks_ticks (schedule_id, tick, outcome, job_id)
    select s.id, now() - make_interval(mins => n), 'enqueued', n
    from queue_tasks_schedules s, generate_series(1, 100) n
"""


def rows_read(session: Session, statement: LiteralString, **parameters: Any) -> dict[str, int]:
    """The rows that each scan of a statement looked at, by the name of its index; of a table read whole by its own.

    The values stand in the statement, as they do when Django sends it.
    """
    with psycopg.ClientCursor(session.connection) as cursor:
        cursor.execute(b"explain (analyze, format json, timing off) " + statement.encode(), parameters)
        ((plan,),) = cursor.fetchall()
    read: Counter[str] = Counter()
    nodes = [plan[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        name = node.get("Index Name") or (node.get("Relation Name") if node["Node Type"] == "Seq Scan" else None)
        if name is not None:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            read[name] += round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return dict(read)


@pytest.mark.parametrize("before", [None, JOBS // 2], ids=["first page", "page far back"])
def test_a_page_of_jobs_reads_itself(stocked, before):
    read = rows_read(stocked, statements.SEARCH_JOBS, **ANYTHING | {"before": before})
    assert read == {PKEY: 50}


@pytest.mark.parametrize(
    "wanted",
    [
        {"queue_name": "none"},
        {"task_name": "x"},
        {"worker_id": 99},
        {"lock": "x"},
        {"error": "x"},
        {"queues": ["none"]},
    ],
    ids=str,
)
def test_a_search_in_vain_looks_at_so_many_and_no_more(stocked, wanted):
    assert rows_read(stocked, statements.SEARCH_JOBS, **ANYTHING | wanted) == {PKEY: 2_000}
    end = {name: ANYTHING[name] for name in ("look", "before", "few", "statuses", "ids")}
    assert rows_read(stocked, statements.SEARCH_END, **end) == {PKEY: 2_000}


def test_failed_jobs_are_found_among_the_failed(stocked):
    failed = {"few": True, "statuses": ["failed"]}
    assert rows_read(stocked, statements.SEARCH_JOBS, **ANYTHING | failed | {"states": ["failed"]}) == {FAILED: 50}
    # Of one kind: each of those 601 that failed is looked at, and none that did not.
    kind = {"states": ["failed"], "fingerprint": "x"}
    assert rows_read(stocked, statements.SEARCH_JOBS, **ANYTHING | failed | kind) == {FAILED: JOBS // 100}
    end = {"look": 500, "before": None, "ids": None, **failed}
    assert rows_read(stocked, statements.SEARCH_END, **end) == {FAILED: 500}


def test_jobs_that_are_named_are_read_by_their_number(stocked):
    ids = list(range(1, 30_000, 60))
    assert rows_read(stocked, statements.SEARCH_JOBS, **ANYTHING | {"ids": ids, "max_jobs": 1_000}) == {PKEY: 500}
    assert rows_read(stocked, statements.LOCK_JOBS, ids=ids, queues=None) == {PKEY: 500}
    names = ("states", "statuses", "queue_name", "task_name", "before")
    listed = dict.fromkeys(names) | {"ids": ids[:1], "with_args": False, "max_jobs": 1}
    assert rows_read(stocked, statements.LIST_JOBS, **listed) == {PKEY: 1}


def test_a_job_is_read_with_its_worker_and_its_own_history(stocked):
    limits = {"max_bytes": queries.MAX_BYTES, "max_errors": queries.MAX_ERRORS}
    read = rows_read(stocked, statements.INSPECT_JOB, id=5, **limits)
    assert read.pop(PKEY) == 1
    # Of fifty workers, on one page of the disk, no index is quicker.
    assert sum(read.values()) <= 50, read
    read = rows_read(stocked, statements.LIST_EVENTS, job_id=5, max_events=100)
    # Of 40,000: its own 200, of which the newest are wanted.
    assert sum(read.values()) <= 200, read
    assert set(read) <= {"procrastinate_events_job_id_fkey_v1", "procrastinate_events_pkey"}


def test_why_a_job_waits_is_found_by_looking_at_so_many(stocked):
    """The line before it is counted to an end, and the rate of its queue is that of the newest jobs."""
    read = rows_read(stocked, statements.EXPLAIN_JOB, id=59_993, cap=300, look=1_000)
    assert read.pop(PKEY) <= 1_001 + 1
    assert sum(read.values()) <= 400, read
    assert not {"procrastinate_jobs", "procrastinate_events"} & read.keys(), read


def test_a_page_of_changes_reads_itself_and_one_persons_so_many(stocked):
    key = "queue_tasks_changes_pkey"
    page = {"before_id": None, "job_id": None, "user_id": None, "max_changes": 50}
    assert rows_read(stocked, statements.LIST_CHANGES, **page) == {key: 50}
    assert rows_read(stocked, statements.LIST_CHANGES, **page | {"before_id": 10_000}) == {key: 50}
    for one in ({"job_id": 1}, {"user_id": "nobody"}):
        assert rows_read(stocked, statements.LIST_CHANGES, **page | one) == {key: 10_000}


def test_each_schedule_is_read_with_its_newest_tick_and_one_with_its_own(stocked):
    read = rows_read(stocked, statements.LIST_SCHEDULES, name=None)
    assert read.pop("queue_tasks_ticks_pkey") == 100, "one of each schedule, of its hundred"
    assert read.pop(PKEY) <= 100
    assert sum(read.values()) <= 100, read
    read = rows_read(stocked, statements.LIST_TICKS, name="s7", max_ticks=20)
    # Its own hundred, of which twenty are wanted, and the job of each; none of another schedule's 9,900.
    assert read.pop("queue_tasks_ticks_pkey") <= 100
    assert read.pop(PKEY) <= 101
    assert sum(read.values()) <= 100, read


def test_workers_are_read_with_the_jobs_that_run(stocked):
    read = rows_read(stocked, statements.LIST_WORKERS)
    assert "procrastinate_jobs" not in read
    # Of 60,000 jobs the 60 that run, and the fifty workers.
    assert sum(read.values()) <= 60 + 50, read
