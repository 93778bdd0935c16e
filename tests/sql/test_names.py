"""Names of queues and locks in every language: however the database sorts them, nothing is passed over.

A fetch walks indexes from name to name, so what it finds must not hang on the order: databases of production sort by a
language (ICU's, or the C library's), those of most test runs by code point. TEST_LOCALE says how this one does.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queue_tasks import statements
from tests import postgres
from tests.sql.session import Session, manage

# Cases, accents, one letter written in two ways, what sorts as nothing or as two letters, numbers, other scripts.
ALPHABET = [*"aAbBzZäÄéßiIİ19-_. ", "\u0131", "e\u0301", "\u00ad", "\u200b", "日", "Ω", "\U0001f600", "\uffff"]
names = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=3).map("".join)


class Waiting(NamedTuple):
    """A job that is ready."""

    queue: str
    lock: str | None
    priority: int


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Waiting], list[str], list[str] | None]:
    """What waits, the locks that are held, and the queues that are fetched from."""
    queues = draw(st.lists(names, min_size=1, max_size=14, unique=True))
    locks = draw(st.lists(names | st.just(""), min_size=1, max_size=12, unique=True))
    waiting = draw(
        st.lists(
            st.builds(Waiting, st.sampled_from(queues), st.none() | st.sampled_from(locks), st.integers(0, 2)),
            max_size=30,
        )
    )
    held = draw(st.lists(st.sampled_from(locks), unique=True))
    return waiting, held, draw(st.none() | st.lists(st.sampled_from(queues), min_size=1, unique=True))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(situation=situations(), max_jobs=st.sampled_from([1, 3, 50]))
def test_whatever_the_names_the_right_jobs_are_fetched(
    session: Session, situation: tuple[list[Waiting], list[str], list[str] | None], max_jobs: int
) -> None:
    waiting, held, queues = situation
    session.rows("delete from procrastinate_jobs")
    worker = session.worker()
    for lock in held:
        session.job(queue_name="elsewhere", lock=lock, status="doing", worker_id=worker)
    ready = [(session.job(queue_name=job.queue, lock=job.lock, priority=job.priority), job) for job in waiting]
    in_order = sorted(ready, key=lambda one: (-one[1].priority, one[0]))
    heads = {job.lock: job_id for job_id, job in reversed(in_order) if job.lock not in held}
    may_start = [
        job_id
        for job_id, job in in_order
        if (job.lock is None or heads.get(job.lock) == job_id) and (queues is None or job.queue in queues)
    ]
    some_free = any(job.lock is not None and job.lock not in held for job in waiting)
    assert session.value("select queue_tasks_some_lock_free_v1()") == (some_free or not held)
    backlog = session.connection.execute(statements.MEASURE_BACKLOG, {"declared": [], "max_jobs": 100}).fetchall()
    counted = {row[0]: row[1] for row in backlog if row[1]}
    assert counted == {name: [job.queue for job in waiting].count(name) for name in {job.queue for job in waiting}}
    assert [job.id for job in session.fetch(worker, queues, max_jobs)] == may_start[:max_jobs]


@pytest.mark.skipif(not postgres.LOCALE, reason="TEST_LOCALE is not set: the server's own order")
def test_the_databases_sort_as_test_locale_says(dsn: str, fresh_database: str) -> None:
    for url in (dsn, fresh_database):
        session = Session(url)
        assert session.value("select datlocprovider from pg_database where datname = current_database()") == (
            "i" if postgres.LOCALE.startswith("icu") else "c"
        )
        assert session.value("select 'a' < 'B'")
        session.close()


def test_queues_and_schedules_are_listed_as_python_sorts(session: Session) -> None:
    listed = ["a b", "a-b", "ab", "apple", "B", "Zebra", "äpfel", "\u00ad", "日"]
    for name in listed:
        session.job(queue_name=name)
        session.rows(
            "insert into queue_tasks_schedules (name, task_name, queue_name, args, cron, timezone, missed, overlap) "
            "values (%s, 'none', 'default', '{}', '0 0 * * *', 'UTC', 'skip', 'allow')",
            name,
        )
    backlog = session.connection.execute(statements.MEASURE_BACKLOG, {"declared": [], "max_jobs": 9}).fetchall()
    schedules = session.connection.execute(statements.LIST_SCHEDULES, {"name": None}).fetchall()
    assert [row[0] for row in backlog] == [row[0] for row in schedules] == sorted(listed)


def test_a_search_minds_no_case_also_in_a_turkish_database() -> None:
    with psycopg.connect(postgres.server_url()) as connection:
        if connection.execute("select from pg_collation where collname = 'tr-x-icu'").fetchone() is None:
            pytest.skip("this server was built without ICU")
    with postgres.database(f"{postgres.PREFIX}_turkish", locale="icu:tr") as url:
        manage(url, "migrate", "--verbosity=0")
        session = Session(url)
        assert session.value("select lower('I')") == "\u0131"
        job = session.job(status="failed", qt_errors='[{"exception": "IndexError", "message": "Ünlü ILIK"}]')
        names = "before statuses ids states queue_name task_name worker_id lock since fingerprint queues positions"
        nothing = dict.fromkeys(names.split())
        for text in ("indexerror", "INDEXERROR", "IndexError", "ünlü", "ÜNLÜ", "ilik"):
            wanted = {**nothing, "error": text, "with_args": True, "few": True, "look": 9, "max_jobs": 9}
            found = session.connection.execute(statements.SEARCH_JOBS, {**wanted, "keys": [], "texts": []}).fetchall()
            assert [row[0] for row in found] == [job], text
        session.close()
