"""What a job leaves in its connection's session does not reach the next job on that thread, and is said."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from queue_tasks import enqueue_many
from tests.aliases import alias
from tests.testapp import tasks
from tests.waiting import PATIENCE
from tests.workers import running_worker

pytestmark = pytest.mark.django_db(transaction=True)

LEAKS = {
    "set search_path = pg_temp": ("select current_setting('search_path')", "SET search_path"),
    "set role pg_monitor": ("select current_user::text", "SET role"),
    "select set_config('statement_timeout', '7000', false)": (
        "select current_setting('statement_timeout')",
        "SET statement_timeout",
    ),
    "create temporary table leftover (n int)": ("select to_regclass('pg_temp.leftover')::text", "a temporary table"),
    "listen leftover": ("select count(*) from pg_listening_channels()", "LISTEN leftover"),
    "select pg_advisory_lock(4711)": (
        (
            "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and objsubid = 1 "
            "and database = (select oid from pg_database where datname = current_database())"
        ),
        "a session advisory lock",
    ),
}


@pytest.mark.parametrize("task", [tasks.run_sql, tasks.run_sql_async], ids=["thread", "coroutine"])
@pytest.mark.parametrize("leak", LEAKS)
def test_the_next_job_of_the_thread_meets_nothing_of_it(caplog: pytest.LogCaptureFixture, task, leak: str) -> None:
    question, said = LEAKS[leak]
    with connection.cursor() as cursor:
        cursor.execute(question)
        clean = cursor.fetchone()[0]
    with running_worker(concurrency=1):
        # The first job opens the thread's connection, so that its watch is also that of a connection in use.
        assert task.enqueue(question).wait(PATIENCE).return_value == clean
        leaking = task.enqueue(leak).wait(PATIENCE)
        assert leaking.status == "SUCCESSFUL"
        assert task.enqueue(question).wait(PATIENCE).return_value == clean
    assert f"job {leaking.id}" in caplog.text
    assert said in caplog.text


def test_a_job_that_cleans_up_keeps_its_connection_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    pid = "select pg_backend_pid()"
    with running_worker(concurrency=1):
        results = enqueue_many(
            [
                tasks.run_sql.bind("set statement_timeout = 7000", "reset statement_timeout", pid),
                tasks.run_sql.bind("select pg_advisory_lock(1)", "select pg_advisory_unlock(1)", pid),
                tasks.run_sql.bind("begin", "set local statement_timeout = 7000", "commit", pid),
                tasks.run_sql.bind(pid),
            ]
        )
        pids = {result.wait(PATIENCE).return_value for result in results}
    assert len(pids) == 1
    assert "left something" not in caplog.text


@pytest.mark.parametrize("task", [tasks.run_sql, tasks.run_sql_async], ids=["thread", "coroutine"])
def test_what_a_receiver_of_connection_created_sets_is_no_leak_of_the_job_that_opens_the_connection(
    caplog: pytest.LogCaptureFixture, task
) -> None:
    def limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = 7000")

    pid, question = "select pg_backend_pid()", "select current_setting('statement_timeout')"
    connection_created.connect(limit)
    try:
        with running_worker(concurrency=1):
            pids = {task.enqueue(pid).wait(PATIENCE).return_value for _ in range(2)}
            assert task.enqueue(question).wait(PATIENCE).return_value == "7s"
            assert "left something" not in caplog.text
            # What a job sets is one, as ever, also in a connection that it has opened.
            task.enqueue("set statement_timeout = 8000").wait(PATIENCE)
            assert task.enqueue(question).wait(PATIENCE).return_value == "7s"
            task.enqueue("set statement_timeout = 8000").wait(PATIENCE)
            assert task.enqueue(question).wait(PATIENCE).return_value == "7s"
    finally:
        connection_created.disconnect(limit)
    assert len(pids) == 1
    assert caplog.text.count("left something") == 2


def test_a_pool_does_not_get_such_a_session_back() -> None:
    with (
        alias("pooled", CONN_MAX_AGE=0, OPTIONS={"pool": {"min_size": 1, "max_size": 1, "timeout": 60}}),
        running_worker(concurrency=1),
    ):
        left = tasks.set_on.enqueue("pooled", "statement_timeout", "7s").wait(PATIENCE)
        assert left.return_value == "7s"
        assert tasks.set_on.enqueue("pooled", "lock_timeout", "8s").wait(PATIENCE).return_value == "8s"
        assert tasks.setting_on.enqueue("pooled", "statement_timeout").wait(PATIENCE).return_value == "0"


def test_sessions_outside_a_worker_s_threads_are_not_watched() -> None:
    connection.ensure_connection()
    connection.close()
    connection.ensure_connection()
    assert not connection.execute_wrappers
