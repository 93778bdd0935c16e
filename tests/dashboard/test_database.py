"""The page of the database, and what it advises."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from queue_tasks import diagnosis
from queue_tasks.diagnosis import Server, Snapshot, Table, diagnose
from queue_tasks.statements import MEASURE_TABLES
from tests.aliases import alias
from tests.dashboard.visitors import address, text_of

FINE = Server("18.1", True, True, 0.0, False, 5, 100, 1000)
JOBS = Table("procrastinate_jobs", 1_000_000, 1_000, 2**30, 2**30, 2**20, None, None, True)


def test_it_looks_at_the_database_that_jobs_live_in(db, settings):
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": {"database": "jobs"}}}
    with alias("jobs"), CaptureQueriesContext(connections["default"]) as elsewhere:
        assert {table.name for table in diagnose().tables} >= {"procrastinate_jobs"}
        assert list(elsewhere) == []
        diagnose(database="default")
        assert len(elsewhere) > 0


def test_a_database_that_is_well_is_said_to_be(viewer, db):
    found = diagnose()
    # The tests' server is not to vacuum by itself, so what other tests left dead stays; nothing else is wrong with it.
    grave = [finding.text for finding in found.findings if finding.grave]
    assert [text for text in grave if not text.startswith("Autovacuum is off:") and " dead rows " not in text] == []
    assert found.drift == []
    named = {table.name for table in found.tables}
    assert {"procrastinate_jobs", "procrastinate_events", "queue_tasks_figures"} <= named
    assert all(table.autovacuum for table in found.tables)
    text = text_of(viewer.get(address("database")))
    # A phone may break the line after each part of a name, and nowhere else.
    assert "procrastinate_<wbr>periodic_<wbr>defers" in text
    assert found.server.version.partition(" ")[0] in text


def test_the_size_dead_rows_and_bloat_of_a_table_are_told(migrated_database):
    with psycopg.connect(migrated_database, autocommit=True, application_name="tests.database") as session:
        session.execute(
            "insert into procrastinate_jobs (queue_name, task_name, args, status)"
            " select 'q', 't', jsonb_build_object('note', repeat('x', 500)), 'succeeded' from generate_series(1, 4000)"
        )
        session.execute("alter table procrastinate_jobs set (autovacuum_enabled = off)")
        session.execute("delete from procrastinate_jobs where id % 10 > 0")
        session.execute("select pg_stat_force_next_flush()")
        session.execute("vacuum analyze procrastinate_jobs")
        session.execute("select pg_stat_force_next_flush()")
        with session.cursor() as cursor:
            cursor.execute(MEASURE_TABLES)
            found = {row[0]: Table(*row) for row in cursor.fetchall()}
    jobs = found["procrastinate_jobs"]
    assert not jobs.autovacuum
    assert jobs.live == 400
    assert jobs.vacuumed_at is not None
    assert jobs.bloat_bytes is not None
    assert 0.6 < jobs.bloat_bytes / jobs.table_bytes < 0.95


def test_who_holds_an_old_snapshot_is_named(viewer, transactional_db, dsn, monkeypatch):
    monkeypatch.setattr(diagnosis, "OLD", 0.0)
    with psycopg.connect(dsn, application_name="a <forgotten> report") as session:
        session.execute("set transaction isolation level repeatable read")
        session.execute("select count(*) from procrastinate_jobs")
        (snapshot,) = [one for one in diagnose().snapshots if one.name == "a <forgotten> report"]
        assert (snapshot.kind, snapshot.pid, snapshot.state) == (
            "session",
            session.info.backend_pid,
            "idle in transaction",
        )
        text = text_of(viewer.get(address("database")))
        assert "a &lt;forgotten&gt; report" in text
        assert f"select pg_terminate_backend({session.info.backend_pid})" in text
        assert "select count" not in text
        session.rollback()


def test_what_is_not_installed_as_it_should_be_is_told_with_its_remedy(viewer, db):
    with connection.cursor() as cursor:
        cursor.execute("drop trigger procrastinate_jobs_qt_inserted on procrastinate_jobs")
    text = text_of(viewer.get(address("database")))
    assert "1 of our objects is not as this release wants it: trigger procrastinate_jobs_qt_inserted: missing." in text
    assert "manage.py migrate" in text


@pytest.mark.parametrize(
    ("found", "grave", "words"),
    [
        (diagnosis._of_server(Server("18", True, True, 0.3, False, 5, 100, 0)), False, "30% full"),
        (diagnosis._of_server(Server("18", True, True, 0.9, False, 5, 100, 0)), True, "90% full"),
        (diagnosis._of_server(Server("18", False, True, 0.0, False, 5, 100, 0)), True, "Autovacuum is off"),
        (diagnosis._of_server(Server("18", True, False, 0.0, False, 5, 100, 0)), False, "does not see"),
        (diagnosis._of_server(Server("18", True, True, 0.0, False, 95, 100, 0)), True, "95 sessions"),
        (diagnosis._of_server(Server("18", True, True, 0.0, False, 5, 100, 2**30)), True, "1,073,741,824"),
        (diagnosis._of_snapshots([Snapshot("session", "x", 7, "active", 400.0, 9)]), False, "6 m 40 s"),
        (diagnosis._of_snapshots([Snapshot("session", "x", 7, "active", 4000.0, 9)]), True, "1 h 6 m"),
        (diagnosis._of_snapshots([Snapshot("prepared transaction", "x", None, None, 4000.0, 9)]), True, "x has held"),
        (diagnosis._of_snapshots([Snapshot("replication slot", "s", None, "inactive", None, 9)]), False, "slot s"),
        (diagnosis._of_tables([Table("t", 100, 50_000, 1, 1, 0, None, None, True)]), False, "50,000 dead"),
        (diagnosis._of_tables([Table("t", 100, 500_000, 1, 1, 0, None, None, True)]), True, "500,000 dead"),
        (diagnosis._of_tables([Table("t", 9, 0, 1, 1, 0, None, None, False)]), True, "off for the table t"),
        (diagnosis._of_tables([Table("t", 9, 0, 2**30, 1, 2**29, None, None, True)]), False, "512 MB of the 1,024 MB"),
    ],
)
def test_each_ill_is_found_and_has_its_advice(found, grave, words):
    (finding,) = found
    assert finding.grave is grave
    assert words in finding.text
    assert finding.advice


def test_what_is_well_has_no_finding():
    assert not list(diagnosis._of_server(FINE))
    assert not list(diagnosis._of_tables([JOBS]))
    assert not list(diagnosis._of_snapshots([Snapshot("session", "x", 7, "active", 20.0, 9)]))
    assert not list(diagnosis._of_snapshots([Snapshot("session", "hidden", 7, None, None, 9)]))
