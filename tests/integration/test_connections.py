"""Connections: how Django's are kept from job to job, and how our own are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections
from psycopg import sql

from queue_tasks import TaskResult, enqueue_many
from queue_tasks.connections import connection_parameters
from tests import postgres
from tests.aliases import alias
from tests.testapp import atomic, tasks
from tests.waiting import PATIENCE, wait_until
from tests.workers import drain, running_worker

pytestmark = pytest.mark.django_db(transaction=True)


def values(results: list[TaskResult[Any]]) -> list[Any]:
    """What the jobs returned; fails when one did not succeed."""
    for result in results:
        result.refresh()
    return [result.return_value for result in results]


@pytest.mark.parametrize("age", [0, 60, None])
def test_jobs_use_no_more_connections_than_threads_whatever_conn_max_age(age: int | None) -> None:
    with alias("aged", CONN_MAX_AGE=age):
        results = enqueue_many(tasks.backend_pid_of.bind("aged") for _ in range(40))
        drain(concurrency=4)
        assert len(set(values(results))) <= 4


def test_a_connection_older_than_conn_max_age_is_replaced() -> None:
    with alias("aged", CONN_MAX_AGE=1e-9):
        results = enqueue_many(tasks.backend_pid_of.bind("aged") for _ in range(5))
        drain(concurrency=1)
        assert len(set(values(results))) == 5


def test_async_tasks_use_no_more_connections_than_run_at_once() -> None:
    results = enqueue_many(tasks.backend_pid_async.bind() for _ in range(40))
    drain(concurrency=3)
    assert len(set(values(results))) <= 3


def test_async_orm_work_is_done_in_parallel() -> None:
    results = enqueue_many(tasks.backend_pid_async.bind(2) for _ in range(4))
    worker = drain(concurrency=4)
    assert len(set(values(results))) == 4
    starts = [result.started_at for result in results if result.started_at]
    ends = [result.finished_at for result in results if result.finished_at]
    assert max(starts) < min(ends)
    assert worker.tally.succeeded == 4


def test_a_pool_smaller_than_the_worker_is_enough_for_all_its_threads() -> None:
    with alias("pooled", CONN_MAX_AGE=0, OPTIONS={"pool": {"min_size": 1, "max_size": 2, "timeout": 60}}):
        results = enqueue_many(tasks.backend_pid_of.bind("pooled", 0.01) for _ in range(40))
        drain(concurrency=8)
        assert len(set(values(results))) <= 2


def test_our_own_connections_are_not_of_the_pool() -> None:
    with alias("pooled", CONN_MAX_AGE=0, OPTIONS={"pool": True}):
        parameters = connection_parameters("pooled", "test")
    assert "pool" not in parameters
    with psycopg.connect(**parameters) as direct:
        assert direct.execute("show application_name").fetchone() == ("queue_tasks test",)


def test_our_own_connections_assume_the_role_that_django_s_do() -> None:
    role = f"{postgres.PREFIX} ro'le\\"
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("create role {}").format(sql.Identifier(role)).as_string(None))
    try:
        with (
            alias("other", OPTIONS={"assume_role": role, "options": "-c work_mem=5MB"}),
            psycopg.connect(**connection_parameters("other", "test")) as direct,
        ):
            assert direct.execute("select current_user, current_setting('work_mem')").fetchone() == (role, "5MB")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("drop role {}").format(sql.Identifier(role)).as_string(None))


@pytest.mark.parametrize("how", ["atomic", "nested", "autocommit", "raw", "aborted"])
def test_a_transaction_left_open_is_rolled_back_and_said(caplog: pytest.LogCaptureFixture, how: str) -> None:
    with running_worker(concurrency=1):
        left = tasks.leave_open.enqueue(how, "left").wait(PATIENCE)
        after = tasks.create_group.enqueue("after").wait(PATIENCE)
        facts = tasks.thread_facts.enqueue().wait(PATIENCE).return_value
    # The thread goes on.
    assert left.return_value == facts["thread"]
    assert after.status == "SUCCESSFUL"
    assert facts == {"thread": facts["thread"], "in_atomic_block": False, "autocommit": True}
    assert list(Group.objects.values_list("name", flat=True)) == ["after"]
    assert (
        f"job {left.id} (tests.testapp.tasks.leave_open) left a transaction open on database 'default'" in caplog.text
    )


@pytest.mark.parametrize("how", ["atomic", "nested", "autocommit", "committed", "raw", "aborted"])
def test_what_a_task_leaves_open_costs_an_atomic_one_nothing(how: str) -> None:
    with running_worker(concurrency=1):
        left = tasks.leave_open.enqueue(how, "left").wait(PATIENCE)
        after = atomic.once.enqueue("after").wait(PATIENCE)
    assert (left.status, after.status, after.errors) == ("SUCCESSFUL", "SUCCESSFUL", [])
    assert Group.objects.filter(name="after").exists()


def test_autocommit_left_off_does_not_undo_what_the_next_job_writes(caplog: pytest.LogCaptureFixture) -> None:
    with running_worker(concurrency=1):
        tasks.leave_open.enqueue("committed", "left").wait(PATIENCE)
        tasks.create_group.enqueue("after").wait(PATIENCE)
    assert list(Group.objects.order_by("name").values_list("name", flat=True)) == ["after", "left"]
    assert "left a transaction open" not in caplog.text


def test_a_database_of_another_kind_is_used_by_jobs_like_any_other(tmp_path: Path) -> None:
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "other.sqlite3"), "OPTIONS": {}}
    with alias("lite", **lite):
        results = enqueue_many([tasks.count_on.bind("lite") for _ in range(10)])
        drain(concurrency=2)
        assert values(results) == [42] * 10


def test_a_job_is_in_no_transaction_of_ours_whatever_atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    result = tasks.thread_facts.enqueue()
    drain()
    assert values([result])[0]["in_atomic_block"] is False


def test_jobs_find_a_live_connection_after_all_were_terminated() -> None:
    with running_worker(concurrency=3):
        for _ in range(3):
            results = enqueue_many(tasks.backend_pid_async.bind() for _ in range(3))
            results += enqueue_many(tasks.backend_pid.bind() for _ in range(3))
            pids = [result.wait(PATIENCE).return_value for result in results]
            with connection.cursor() as cursor:
                cursor.execute(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                    "where pid = any (%s) and pid <> pg_backend_pid()",
                    [pids],
                )


def test_a_stopped_worker_leaves_no_connection_of_its_jobs() -> None:
    def sessions() -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "select pid from pg_stat_activity "
                "where datname = current_database() and backend_type = 'client backend'"
            )
            return {row[0] for row in cursor.fetchall()}

    before = sessions()
    results = enqueue_many([tasks.backend_pid.bind(), tasks.backend_pid_async.bind()])
    drain()
    pids = set(values(results))
    wait_until(lambda: not sessions() - before, message="sessions of jobs remain")
    assert not pids & before
