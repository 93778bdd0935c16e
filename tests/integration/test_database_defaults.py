"""What a role or a database sets for its sessions does not keep jobs from running: ours set their own."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import DataError, OperationalError, connections, transaction
from django.utils import timezone
from psycopg import sql
from pytest_django import DjangoDbBlocker

from queue_tasks import control, enqueue_many
from queue_tasks.compat import TaskResultStatus
from queue_tasks.connections import connect
from tests import postgres
from tests.aliases import django_at
from tests.dashboard.visitors import OPERATES, address, mount, text_of, visitor
from tests.schedules import declare, nothing_declared
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
    "dates": {"datestyle": "SQL, DMY"},
    "German dates": {"datestyle": "German"},
    "formats": {
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
    "other formats": {
        "intervalstyle": "postgres_verbose",
        "timezone": "Asia/Kathmandu",
        "extra_float_digits": "0",
        "xmlbinary": "hex",
        "quote_all_identifiers": "on",
        "transform_null_equals": "on",
        "backslash_quote": "off",
        "escape_string_warning": "on",
        "lc_numeric": "de_DE.UTF-8",
        "lc_monetary": "de_DE.UTF-8",
        "lc_time": "de_DE.UTF-8",
        "lc_messages": "de_DE.UTF-8",
        "client_encoding": "SQL_ASCII",
    },
    "other plans": {
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_hashjoin": "off",
        "enable_hashagg": "off",
        "enable_material": "off",
        "enable_sort": "off",
        "enable_indexonlyscan": "off",
        "from_collapse_limit": "1",
        "join_collapse_limit": "1",
        "geqo_threshold": "2",
        "constraint_exclusion": "on",
        "work_mem": "64kB",
        "jit": "on",
        "jit_above_cost": "0",
        "jit_inline_above_cost": "0",
        "jit_optimize_above_cost": "0",
        "debug_parallel_query": "regress",
        "parallel_setup_cost": "0",
        "parallel_tuple_cost": "0",
        "min_parallel_table_scan_size": "0",
        "min_parallel_index_scan_size": "0",
    },
    "checks": {
        "row_security": "off",
        "check_function_bodies": "off",
        "xmloption": "document",
        "plpgsql.variable_conflict": "use_variable",
        "plpgsql.check_asserts": "off",
        "plpgsql.extra_errors": "all",
        "default_toast_compression": "pglz",
        "createrole_self_grant": "",
        "log_statement": "all",
        "track_activities": "off",
        "track_counts": "off",
        "vacuum_cost_delay": "100",
        "commit_delay": "1000",
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


def queue(*arguments: object) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("queue", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


# What a caller's own session may do is the caller's affair, and with other dates than ISO psycopg reads no time at all.
CALLERS = [kind for kind in HOSTILE if kind not in {"timeouts", "read-only", "dates", "German dates"}]
PAGES = ("overview", "jobs", "failures", "queues", "workers", "schedules", "database", "changes")


@pytest.mark.parametrize("kind", CALLERS)
def test_callers_commands_and_pages_work_whatever_the_database_sets_for_its_sessions(
    migrated_database: str, django_db_blocker: DjangoDbBlocker, settings: Any, kind: str
) -> None:
    mount(settings)
    for name, value in HOSTILE[kind].items():
        set_default(migrated_database, name, value)
    with django_at(migrated_database, django_db_blocker), nothing_declared():
        declare(tasks.noop, name="each ünï second", every=timedelta(seconds=1))
        one = tasks.echo.enqueue("ünï", at=1.5)
        several = enqueue_many(
            [
                tasks.add.bind(1, b=2),
                tasks.fail.bind("its ünï"),
                tasks.succeed_on_attempt.bind(2),
                tasks.locked.bind("a"),
                tasks.locked.bind("b"),
            ]
        )
        later = tasks.noop.using(run_after=timezone.now() + timedelta(hours=3)).enqueue()
        queue("limit", "default", 3)
        with running_worker():
            ended = [result.wait(PATIENCE) for result in (one, *several)]
        assert [result.status for result in ended].count(TaskResultStatus.SUCCESSFUL) == 5
        assert ended[0].return_value == {"args": ["ünï"], "kwargs": {"at": 1.5}}
        assert [len(result.errors) for result in ended] == [0, 0, 1, 1, 0, 0]
        later.refresh()
        assert later.status == TaskResultStatus.READY
        assert later.task.run_after is not None
        queue("retry", ended[2].id)
        queue("cancel", later.id)
        queue("pause", "default", "--until", "2h")
        for verb in ("jobs", "queues", "workers", "schedules", "stats", "metrics", "schema", "prune"):
            queue(verb)
        for verb in ("show", "explain"):
            queue(verb, ended[2].id)
        queue("schedule", "each ünï second", "--pause")
        call_command("migrate", verbosity=0, interactive=False)
        call_command("check", "--fail-level=WARNING", databases=["default"])
        operator = visitor("operator", *OPERATES)
        for page in PAGES:
            assert operator.get(address(page)).status_code == 200, page
        assert operator.get(address("job", job_id=int(ended[2].id))).status_code == 200
        found = text_of(operator.get(address("jobs"), {"q": "error:ITS"}))
        assert ended[2].id in found


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


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_what_the_database_s_encoding_cannot_hold_is_refused_or_written_in_ascii(
    django_db_blocker: DjangoDbBlocker, encoding: str
) -> None:
    with psycopg.connect(postgres.server_url()) as connection:
        if encoding == "SQL_ASCII" and connection.info.server_version < 160000:
            pytest.skip("this server calls the refusal a feature that it lacks, and the finish is tried again for ever")
    with postgres.database(f"{postgres.PREFIX}_encoding", encoding=encoding) as url, django_at(url, django_db_blocker):
        call_command("migrate", verbosity=0, interactive=False)
        held = [tasks.echo.enqueue("ünï"), tasks.add.enqueue(1, b=2)]
        if encoding == "LATIN1":
            for enqueue in (
                lambda: tasks.echo.enqueue("Łódź"),
                lambda: enqueue_many([tasks.echo.bind("Lodz"), tasks.echo.bind("Łódź")]),
                lambda: tasks.locked.enqueue("Łódź"),
            ):
                with pytest.raises(DataError, match='no equivalent in encoding "LATIN1"'):
                    enqueue()
        # It takes these bytes as they are; an escape in a JSON text, as errors are sent, it refuses.
        else:
            held += [tasks.echo.enqueue("Łódź"), tasks.locked.enqueue("Łódź")]
        failing = tasks.return_or_raise.enqueue(ascii("Łódź"), raises=True)
        returning = [
            tasks.return_or_raise.enqueue(ascii("Łódź"), raises=False),
            tasks.return_atomically.enqueue(ascii("Łódź")),
        ]
        drain()
        for result in (*held, failing, *returning):
            result.refresh()
        assert {result.status for result in held} == {TaskResultStatus.SUCCESSFUL}
        assert held[0].return_value == {"args": ["ünï"], "kwargs": {}}
        assert failing.status == TaskResultStatus.FAILED
        assert [error.exception_class_path for error in failing.errors] == 2 * ["builtins.ValueError"]
        assert all(r"ValueError: \u0141\u00f3d\u017a" in error.traceback for error in failing.errors)
        for result in returning:
            if encoding == "LATIN1":
                assert 'no equivalent in encoding "LATIN1"' in result.errors[-1].traceback
            else:
                assert result.return_value == "Łódź"
        # An atomic one is tried again first: its end might have been refused for the sake of others.
        assert encoding != "LATIN1" or returning[0].status == TaskResultStatus.FAILED
