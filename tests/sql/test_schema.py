"""schema.status and schema.repair, the check, and repair after migrate."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection
from django.test import override_settings

from queue_tasks import apps, checks, schema, statements
from queue_tasks.schema import Kind, State, repairs
from tests.sql.session import Session, manage
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

# What an upgrade of procrastinate, or a hand, may do; and what is to be said of it.
DRIFT = {
    "upstream's index under the same name": (
        (
            "drop index procrastinate_jobs_lock_idx_v1; "
            "create unique index procrastinate_jobs_lock_idx_v1 on procrastinate_jobs (lock) where status = 'doing'"
        ),
        [(Kind.INDEX, "procrastinate_jobs_lock_idx_v1", State.OUTDATED)],
    ),
    "an index is gone": (
        "drop index procrastinate_jobs_qt_ready_idx",
        [(Kind.INDEX, "procrastinate_jobs_qt_ready_idx", State.MISSING)],
    ),
    "an index is not unique any more": (
        (
            "drop index procrastinate_jobs_queueing_lock_idx_v1; create index procrastinate_jobs_queueing_lock_idx_v1 "
            "on procrastinate_jobs (queueing_lock) where status = 'todo' and queueing_lock is not null"
        ),
        [(Kind.INDEX, "procrastinate_jobs_queueing_lock_idx_v1", State.OUTDATED)],
    ),
    "an index in another order": (
        (
            "drop index procrastinate_jobs_qt_ready_idx; "
            "create index procrastinate_jobs_qt_ready_idx on procrastinate_jobs "
            "(queue_name, priority, id) where status = 'todo' and scheduled_at is null and lock is null"
        ),
        [(Kind.INDEX, "procrastinate_jobs_qt_ready_idx", State.OUTDATED)],
    ),
    "a function of another body": (
        (
            "create or replace function queue_tasks_prune_jobs_v1(p_max_jobs integer) returns integer "
            "language plpgsql as 'begin return 0; end'"
        ),
        [(Kind.FUNCTION, "queue_tasks_prune_jobs_v1", State.OUTDATED)],
    ),
    "a function of other settings": (
        "alter function queue_tasks_prune_jobs_v1(integer) reset enable_seqscan",
        [(Kind.FUNCTION, "queue_tasks_prune_jobs_v1", State.OUTDATED)],
    ),
    "a function of other arguments": (
        (
            "drop function queue_tasks_promote_jobs_v1(integer); "
            "create function queue_tasks_promote_jobs_v1(p_max_jobs bigint) "
            "returns integer language sql as 'select 0'"
        ),
        [(Kind.FUNCTION, "queue_tasks_promote_jobs_v1", State.OUTDATED)],
    ),
    "a second function of the same name": (
        "create function queue_tasks_promote_jobs_v1(p_max_jobs text) returns integer language sql as 'select 0'",
        [(Kind.FUNCTION, "queue_tasks_promote_jobs_v1", State.OUTDATED)],
    ),
    "a function of another result": (
        (
            "drop function queue_tasks_parked_until_v1(); "
            "create function queue_tasks_parked_until_v1() returns timestamptz "
            "language sql as $$select 'infinity'::timestamptz$$"
        ),
        [(Kind.FUNCTION, "queue_tasks_parked_until_v1", State.OUTDATED)],
    ),
    "a function without its defaults": (
        (
            "drop function queue_tasks_enqueue_v1; "
            "create function queue_tasks_enqueue_v1(task text, args jsonb, kwargs jsonb, "
            "queue_name text, priority integer, run_after timestamptz, lock text, ephemeral boolean) returns bigint "
            "language sql as 'select 1::bigint'"
        ),
        [(Kind.FUNCTION, "queue_tasks_enqueue_v1", State.OUTDATED)],
    ),
    "a trigger switched off": (
        "alter table procrastinate_jobs disable trigger procrastinate_jobs_qt_updated",
        [(Kind.TRIGGER, "procrastinate_jobs_qt_updated", State.OUTDATED)],
    ),
    "a trigger that fires more often": (
        (
            "drop trigger procrastinate_events_qt_inserted on procrastinate_events; "
            "create trigger procrastinate_events_qt_inserted after insert on procrastinate_events "
            "referencing new table as "
            "new_events for each statement execute function queue_tasks_events_inserted_v1()"
        ),
        [(Kind.TRIGGER, "procrastinate_events_qt_inserted", State.OUTDATED)],
    ),
    "a trigger and its function are gone": (
        "drop function queue_tasks_jobs_deleted_v1() cascade",
        [
            (Kind.FUNCTION, "queue_tasks_jobs_deleted_v1", State.MISSING),
            (Kind.TRIGGER, "procrastinate_jobs_qt_deleted", State.MISSING),
        ],
    ),
    "a column is gone": (
        "alter table procrastinate_workers drop column qt_name",
        [(Kind.COLUMN, "procrastinate_workers.qt_name", State.MISSING)],
    ),
    "a table is gone": (
        "drop table queue_tasks_listeners",
        [
            (Kind.COLUMN, "queue_tasks_listeners.queues", State.MISSING),
            (Kind.COLUMN, "queue_tasks_listeners.asleep", State.MISSING),
        ],
    ),
    "a default is gone": (
        "alter table procrastinate_jobs alter column qt_enqueued_at drop default",
        [(Kind.COLUMN, "procrastinate_jobs.qt_enqueued_at", State.OUTDATED)],
    ),
    "upstream's trigger is back": (
        (
            "create trigger procrastinate_trigger_delete_jobs_v1 before delete on procrastinate_jobs for each row "
            "execute procedure procrastinate_unlink_periodic_defers_v1()"
        ),
        [(Kind.UPSTREAM_TRIGGER, "procrastinate_trigger_delete_jobs_v1 on procrastinate_jobs", State.UNWANTED)],
    ),
    "upstream's foreign key is back": (
        (
            "alter table procrastinate_events add constraint procrastinate_events_job_id_fkey foreign key (job_id) "
            "references procrastinate_jobs (id) on delete cascade"
        ),
        [(Kind.UPSTREAM_CONSTRAINT, "procrastinate_events_job_id_fkey on procrastinate_events", State.UNWANTED)],
    ),
}


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def wrong() -> list[tuple[Kind, str, State]]:
    return [
        (item.kind, item.name, item.state) for item in schema.status(connection) if item.state is not State.INSTALLED
    ]


def test_a_migrated_database_is_as_the_files_say():
    """And so 0001, which built it, is what the living files are, as long as nothing is released."""
    assert wrong() == []
    items = schema.status(connection)
    assert len(items) > 45
    assert len({(item.kind, item.name) for item in items}) == len(items)


def test_every_living_file_is_looked_after():
    folders = ("tables", "indexes", "functions", "triggers")
    files = {f"{folder}/{file.name}" for folder in folders for file in (statements.sql_root() / folder).glob("*.sql")}
    assert {want.file for want in schema.wanted()} == files
    assert len(schema.replaced()) == 11


@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_seen_told_and_repaired(name):
    statement, expected = DRIFT[name]
    execute(statement)
    assert sorted(wrong()) == sorted(expected)
    (message,) = checks.check_database("default")
    assert message.id == "queue_tasks.W010"
    assert "manage.py migrate" in str(message.hint)
    assert all(item_name in str(message.msg) for _, item_name, _ in expected)
    repaired = schema.repair(connection)
    assert sorted((item.kind, item.name, item.state) for item in repaired) == sorted(expected)
    assert wrong() == []
    assert schema.repair(connection) == []
    assert checks.check_database("default") == []


def test_everything_at_once_is_repaired_in_one_go():
    for name in (
        "upstream's index under the same name",
        "an index is gone",
        "a function of other arguments",
        "a function without its defaults",
        "a trigger switched off",
        "a trigger and its function are gone",
        "a column is gone",
        "upstream's trigger is back",
        "upstream's foreign key is back",
    ):
        execute(DRIFT[name][0])
    execute("drop function queue_tasks_wake_queues_v1, queue_tasks_fetch_jobs_v1, queue_tasks_parked_until_v1")
    assert len(wrong()) == 13
    assert len(schema.repair(connection)) == 13
    assert wrong() == []


def test_a_column_of_another_type_is_told_and_left():
    execute("alter table procrastinate_jobs alter column qt_lease type numeric")
    expected = [(Kind.COLUMN, "procrastinate_jobs.qt_lease", State.OUTDATED)]
    assert wrong() == expected
    assert schema.repair(connection) == []
    assert wrong() == expected


@pytest.mark.parametrize(
    ("statement", "kind", "name"),
    [
        (
            "create function queue_tasks_fetch_jobs_v2() returns integer language sql as 'select 1'",
            Kind.FUNCTION,
            "queue_tasks_fetch_jobs_v2",
        ),
        (
            "create index procrastinate_jobs_qt_new_idx on procrastinate_jobs (id)",
            Kind.INDEX,
            "procrastinate_jobs_qt_new_idx",
        ),
        ("alter table procrastinate_jobs add column qt_new integer", Kind.COLUMN, "procrastinate_jobs.qt_new"),
    ],
)
def test_what_a_newer_release_made_is_told_and_left(statement, kind, name):
    execute(statement)
    assert wrong() == [(kind, name, State.UNKNOWN)]
    (message,) = checks.check_database("default")
    assert message.id == "queue_tasks.W011"
    assert schema.repair(connection) == []
    assert wrong() == [(kind, name, State.UNKNOWN)]


def test_other_peoples_objects_are_not_ours_to_judge():
    execute(
        "create index my_own_idx on procrastinate_jobs (task_name); "
        "create function my_own() returns integer language sql as 'select 1'"
    )
    assert wrong() == []


def test_what_upstream_takes_away_is_missed():
    execute("drop function procrastinate_defer_periodic_job_v2")
    assert wrong() == [(Kind.UPSTREAM_FUNCTION, "procrastinate_defer_periodic_job_v2", State.MISSING)]
    assert schema.repair(connection) == []


def test_in_a_database_without_procrastinate_everything_is_missing():
    execute(
        "drop table procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, "
        "procrastinate_workers cascade"
    )
    assert {state for _, _, state in wrong()} == {State.MISSING}


def test_in_a_schema_of_a_difficult_name(fresh_database):
    with psycopg.connect(fresh_database, autocommit=True) as session:
        session.execute('create schema "We.ird ""x"""')
        session.execute(f'alter database {session.info.dbname} set search_path = "We.ird ""x"""')
    manage(fresh_database, "migrate", "--verbosity=0")
    assert "Repaired" not in manage(fresh_database, "migrate")
    assert "W010" not in manage(fresh_database, "check", "--database=default")


# ------------------------------------------------------------------------------------------------- migrate repairs, too


@pytest.fixture
def aside(migrated_database) -> Iterator[Session]:
    session = Session(migrated_database)
    yield session
    session.close()


def test_migrate_repairs_and_says_so_once(aside):
    assert "Repaired" not in manage(aside.url, "migrate")
    aside.rows("drop index procrastinate_jobs_qt_ready_idx")
    assert "queue_tasks.W010" in manage(aside.url, "check", "--database=default")
    out = manage(aside.url, "migrate", "procrastinate")
    assert "Repaired index procrastinate_jobs_qt_ready_idx: missing" in out
    assert aside.value("select to_regclass('procrastinate_jobs_qt_ready_idx') is not null")
    assert "Repaired" not in manage(aside.url, "migrate")
    aside.rows("drop index procrastinate_jobs_qt_ready_idx")
    assert "Repaired" not in manage(aside.url, "migrate", "--verbosity=0")
    assert aside.value("select to_regclass('procrastinate_jobs_qt_ready_idx') is not null")


def test_a_repair_gives_way_to_a_transaction_that_holds_a_table_and_tries_again(aside, open_session):
    aside.rows("drop index procrastinate_jobs_qt_expires_idx")
    reader, worker = open_session("tests.reader"), open_session("tests.worker")
    reader.rows("begin")
    reader.rows("select from procrastinate_jobs limit 1")
    waits = (
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and (select pid from pg_stat_activity"
        " where application_name = 'tests.reader' and datname = current_database()) = any (pg_blocking_pids(pid))"
    )
    with ThreadPoolExecutor(1) as pool:
        migration = pool.submit(manage, aside.url, "migrate", "procrastinate")
        wait_until(lambda: aside.value(waits), 60, "the repair waits for the reader")
        # Whoever works on the table waits no longer than the repair does.
        worker.rows("set statement_timeout = '30s'")
        worker.rows("delete from procrastinate_jobs where false")
        assert aside.value("select to_regclass('procrastinate_jobs_qt_expires_idx') is null")
        wait_until(lambda: aside.value(waits), 60, "the repair waits for the reader again")
        reader.rows("commit")
        assert "Repaired index procrastinate_jobs_qt_expires_idx: missing" in migration.result()
    assert aside.value("select to_regclass('procrastinate_jobs_qt_expires_idx') is not null")


def test_indexes_are_built_while_others_go_on(aside, open_session):
    for name in ("upstream's index under the same name", "an index is gone"):
        aside.rows(DRIFT[name][0])
    # What one that was broken off has left.
    aside.rows("create index procrastinate_jobs_qt_ready_idx_new on procrastinate_jobs (id)")
    writer, worker = open_session("tests.writer"), open_session("tests.worker")
    builds = (
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' "
        "and query like 'create %%index concurrently %%'"
    )
    writer.rows("begin")
    job = writer.job()
    with ThreadPoolExecutor(1) as pool:
        migration = pool.submit(manage, aside.url, "migrate", "procrastinate")
        wait_until(lambda: aside.value(builds), 60, "the index that is built waits for the writer")
        # Nobody waits for it.
        worker.rows("set lock_timeout = '20s'")
        assert worker.fetch(worker.worker(), None, 1) == []
        worker.job()
        writer.rows("commit")
        out = migration.result()
    assert "Repaired index procrastinate_jobs_lock_idx_v1: outdated" in out
    assert "Repaired index procrastinate_jobs_qt_ready_idx: missing" in out
    assert writer.statuses()[job] == "todo"
    assert aside.column("select relname from pg_class where relname like '%%!_new' escape '!'") == []
    assert "W01" not in manage(aside.url, "check", "--database=default")


@pytest.mark.django_db(transaction=True)
def test_an_index_that_cannot_be_built_leaves_nothing_behind():
    execute("drop index procrastinate_jobs_queueing_lock_idx_v1")
    twin = "insert into procrastinate_jobs (queue_name, task_name, queueing_lock) values ('a', 't', 'q')"
    execute(twin)
    execute(twin)
    execute("set lock_timeout = '7s'")
    with pytest.raises(IntegrityError, match="duplicated"):
        schema.repair(connection)
    assert wrong() == [(Kind.INDEX, "procrastinate_jobs_queueing_lock_idx_v1", State.MISSING)]
    with connection.cursor() as cursor:
        cursor.execute("select current_setting('lock_timeout'), pg_advisory_unlock(29045, 0)")
        assert cursor.fetchone() == ("7s", False), "as it was, and the lock is not held"
        cursor.execute("select count(*) from pg_class where relname like '%_new'")
        assert cursor.fetchone() == (0,)
    execute("delete from procrastinate_jobs")
    assert [item.name for item in schema.repair(connection)] == ["procrastinate_jobs_queueing_lock_idx_v1"]
    execute("reset lock_timeout")
    assert wrong() == []


def test_a_repair_that_never_gets_its_locks_says_what_to_do(dsn, monkeypatch, session):
    monkeypatch.setattr(repairs, "LOCK_PATIENCE", 0)
    execute("drop trigger procrastinate_jobs_qt_inserted on procrastinate_jobs")
    session.rows("lock table procrastinate_workers in access share mode")
    with pytest.raises(OperationalError, match="lock timeout") as refused:
        schema.repair(connection)
    (note,) = refused.value.__notes__
    assert "xact_start" in note
    assert "migrate again" in note
    session.rows("rollback")
    assert [item.name for item in schema.repair(connection)] == ["procrastinate_jobs_qt_inserted"]


@pytest.mark.parametrize(
    ("tasks", "databases"),
    [
        ({}, ["default"]),
        ({"default": {"BACKEND": "queue_tasks.backend.PostgresBackend"}}, ["default"]),
        ({"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "OPTIONS": {"database": "elsewhere"}}}, []),
        ({"default": {"BACKEND": "no.such.Backend"}}, ["default"]),
        ({"x": {}}, ["default"]),
    ],
)
def test_the_databases_that_are_watched(tasks, databases):
    with override_settings(TASKS=tasks):
        assert apps.job_databases() == databases


def test_a_database_of_other_things_is_left_alone(monkeypatch):
    monkeypatch.setattr(apps, "job_databases", lambda: ["elsewhere"])
    execute("drop index procrastinate_jobs_qt_ready_idx")
    apps.repair_schema(using="default")
    assert wrong() != []
    assert apps.check_schema(None, databases=["default"]) == []


def test_a_half_migrated_database_is_left_alone(capsys):
    execute("delete from django_migrations where app = 'queue_tasks'")
    execute("drop index procrastinate_jobs_qt_ready_idx")
    assert checks.check_database("default") == []
    apps.repair_schema(using="default")
    assert wrong() != []
    assert capsys.readouterr().out == ""


def test_looking_waits_for_nobody_and_holds_up_nobody(aside):
    other = Session(aside.url, "other")
    with other.connection.transaction(force_rollback=True):
        other.rows("update procrastinate_jobs set priority = 0")
        other.rows("lock table procrastinate_jobs in share row exclusive mode")
        assert "W010" not in manage(aside.url, "check", "--database=default")
    other.close()


def test_the_check_runs_with_djangos_own(capsys):
    execute("drop index procrastinate_jobs_qt_ready_idx")
    call_command("check", databases=["default"])
    assert "queue_tasks.W010" in capsys.readouterr().err
