"""What a role or a database sets for its sessions does not keep jobs from running: ours set their own."""

from __future__ import annotations

import threading
from collections import Counter

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from psycopg import sql
from pytest_django import DjangoDbBlocker

from queue_tasks import control, enqueue_many
from queue_tasks.compat import TaskResultStatus
from queue_tasks.connections import connect
from tests.aliases import django_at
from tests.testapp import tasks
from tests.waiting import PATIENCE, wait_until
from tests.workers import drain, running_worker

HOSTILE = {
    "timeouts": {
        # Long enough to begin a session on a busy machine, and shorter than the longest job.
        "statement_timeout": "2s",
        "lock_timeout": "1s",
        "idle_in_transaction_session_timeout": "2s",
        "idle_session_timeout": "2s",
        "transaction_timeout": "3s",  # Postgres 17 and newer
    },
    "read-only": {"default_transaction_read_only": "on"},
    "isolation": {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    "formats": {
        "datestyle": "SQL, DMY",
        "intervalstyle": "sql_standard",
        "timezone": "Pacific/Chatham",
        "bytea_output": "escape",
        "extra_float_digits": "-15",
        "standard_conforming_strings": "off",
        "client_encoding": "LATIN1",
    },
    "plans": {
        "plan_cache_mode": "force_custom_plan",
        "enable_indexscan": "off",
        "enable_nestloop": "off",
        "synchronous_commit": "off",
    },
}


def set_default(url: str, name: str, value: str | sql.Identifier) -> None:
    """A default for every session of the database that begins from now on."""
    with psycopg.connect(url, autocommit=True, application_name="tests.defaults") as db:
        try:
            db.execute(
                sql.SQL("alter database {} set {} = {}").format(
                    sql.Identifier(db.info.dbname), sql.Identifier(name), value
                )
            )
        except psycopg.errors.UndefinedObject:
            # A setting of newer servers.
            assert db.info.server_version < 170000


@pytest.mark.parametrize("kind", HOSTILE)
def test_jobs_run_whatever_the_database_sets_for_its_sessions(
    migrated_database: str, django_db_blocker: DjangoDbBlocker, kind: str
) -> None:
    with django_at(migrated_database, django_db_blocker):
        # Enqueued before: what the caller's session may do is the caller's affair.
        longest = tasks.sleep.bind(2.5 if kind == "timeouts" else 0)
        enqueue_many([longest, tasks.noop_thread.bind(), tasks.add.bind(1), tasks.fail.bind("ünï")])
        for name, value in HOSTILE[kind].items():
            set_default(migrated_database, name, value)
        worker = drain()
    assert (worker.tally.succeeded, worker.tally.failed, worker.tally.lost) == (3, 1, 0)


async def test_our_sessions_say_what_they_need_themselves(
    migrated_database: str, django_db_blocker: DjangoDbBlocker
) -> None:
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"):
        set_default(migrated_database, name, "5s")
    set_default(migrated_database, "default_transaction_isolation", "serializable")
    set_default(migrated_database, "default_transaction_read_only", "on")
    with psycopg.connect(migrated_database) as db:
        assert db.execute("show default_transaction_read_only").fetchone() == ("on",)
    before = dict(connections.settings["default"])
    place = psycopg.conninfo.conninfo_to_dict(migrated_database)
    connections.settings["there"] = {
        **before,
        "NAME": place["dbname"],
        "USER": place["user"],
        "HOST": place["host"],
        "PORT": place["port"],
    }
    try:
        line = await connect("there", "test", statement_timeout=9)
        try:
            found = await line.rows(
                "select current_setting('statement_timeout'), current_setting('lock_timeout'), "
                "current_setting('idle_in_transaction_session_timeout'), current_setting('idle_session_timeout'), "
                "current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
                "coalesce(current_setting('transaction_timeout', true), '0'), current_setting('synchronous_commit')"
            )
        finally:
            await line.close()
        assert found == [("9s", "9s", "9s", "0", "read committed", "off", "0", "on")]
        assert line.direct
    finally:
        del connections["there"]
        del connections.settings["there"]


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
def test_nobody_meets_a_serialization_failure_of_ours_whatever_the_default_isolation(
    migrated_database: str, django_db_blocker: DjangoDbBlocker, level: str
) -> None:
    set_default(migrated_database, "default_transaction_isolation", level)
    errors: Counter[str] = Counter()

    def use_it() -> None:
        try:
            for number in range(60):
                result = tasks.noop.enqueue()
                control.cancel([int(result.id)])
                control.abort([int(result.id)])
                control.retry([int(result.id)])
                result.refresh()
                if number % 20 == 0:
                    control.prune()
        except Exception as exc:  # noqa: BLE001 - which is what is asked
            errors[repr(exc)] += 1
        finally:
            connections.close_all()

    with django_at(migrated_database, django_db_blocker), running_worker(concurrency=8) as worker:
        threads = [threading.Thread(target=use_it) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * PATIENCE)
        assert not errors
        with psycopg.connect(migrated_database, autocommit=True) as db:
            ended = "select count(*) from procrastinate_jobs where status not in ('todo', 'doing')"
            wait_until(lambda: db.execute(ended).fetchone() == (360,), 3 * PATIENCE)
    assert worker.tally.lost == 0


def test_a_serialization_failure_in_the_caller_s_own_transaction_is_the_caller_s(
    migrated_database: str, django_db_blocker: DjangoDbBlocker
) -> None:
    set_default(migrated_database, "default_transaction_isolation", "repeatable read")
    with django_at(migrated_database, django_db_blocker):
        result = tasks.noop.enqueue()

        def cancel_what_was_changed_since() -> None:
            with transaction.atomic():
                # The snapshot is taken; then somebody else changes the row.
                result.refresh()
                with psycopg.connect(migrated_database, autocommit=True) as db:
                    db.execute("update procrastinate_jobs set priority = 5")
                control.cancel([int(result.id)])

        with pytest.raises(OperationalError, match="could not serialize access"):
            cancel_what_was_changed_since()
        result.refresh()
        assert result.status == TaskResultStatus.READY


@pytest.mark.parametrize("schema", ["other", "We-ird", 'quo"ted', "ünï"])
def test_the_tables_may_be_in_any_schema_that_the_sessions_find(
    fresh_database: str, django_db_blocker: DjangoDbBlocker, schema: str
) -> None:
    with psycopg.connect(fresh_database, autocommit=True) as db:
        db.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    set_default(fresh_database, "search_path", sql.Identifier(schema))
    with psycopg.connect(fresh_database) as db:
        assert db.execute("select current_schema()").fetchone() == (schema,)
    with django_at(fresh_database, django_db_blocker):
        call_command("migrate", verbosity=0, interactive=False)
        result = tasks.noop.enqueue()
        with running_worker(concurrency=2):
            assert result.wait(PATIENCE).status == TaskResultStatus.SUCCESSFUL
        call_command("queue", "schema", verbosity=0)
