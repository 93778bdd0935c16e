"""Our worker beside procrastinate's own command line and workers, on the same rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group

from queue_tasks import enqueue_many
from tests.acceptance.workers import Table, doing, worker_process
from tests.postgres import PROJECT
from tests.testapp import tasks
from tests.waiting import START, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = "tests.testapp.stock_settings"


def command(url: str, *arguments: str) -> subprocess.Popen[str]:
    """manage.py procrastinate."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "procrastinate", *arguments],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": SETTINGS, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_job_deferred_by_procrastinate_s_command_line_runs_under_ours(dsn: str, table: Table) -> None:
    with worker_process(dsn, settings=SETTINGS) as worker:
        deferring = command(dsn, "defer", "spaced:add", '{"a": 40, "b": 2}')
        output, _ = deferring.communicate(timeout=START)
        assert deferring.returncode == 0, output
        wait_until(lambda: table.statuses() == {"succeeded": 1})
        assert table.all("select qt_result from procrastinate_jobs") == [{"qt_result": 42}]
        assert worker.stop()[0] == 0, worker.output


def test_a_stock_worker_runs_django_tasks_through_their_stand_ins(dsn: str, table: Table) -> None:
    enqueue_many([tasks.create_group.bind("thread"), tasks.create_group_async.bind("loop"), tasks.fail.bind()])
    worker = command(dsn, "worker", "--one-shot")
    output, _ = worker.communicate(timeout=START)
    assert worker.returncode == 0, output
    assert table.statuses() == {"succeeded": 2, "failed": 1}
    assert {row["name"] for row in table.all("select name from auth_group")} == {"thread", "loop"}


def test_ours_and_a_stock_worker_share_a_queue_no_job_twice_none_lost(dsn: str, table: Table) -> None:
    stock = command(dsn, "worker", "--concurrency", "5")
    try:
        wait_until(lambda: table.all("select 1 from procrastinate_workers where qt_name is null"), START)
        with worker_process(dsn, "--concurrency", "1", settings=SETTINGS) as ours:
            assert len(table.workers()) == 2
            # Both have some, whoever the machine lets run more.
            enqueue_many(tasks.wait_for_group.bind("g0") for _ in range(6))
            doing(table, 6)
            enqueue_many(tasks.create_group_slowly.bind(f"g{n}", 0.02) for n in range(1, 150))
            Group.objects.create(name="g0")
            wait_until(lambda: table.statuses() == {"succeeded": 155}, START)
            assert ours.stop()[0] == 0, ours.output
            assert 1 <= int(ours.lines[-1].split(", ")[1].split()[0]) <= 150
    finally:
        stock.send_signal(signal.SIGTERM)
        stock.communicate(timeout=START)
    assert table.all("select count(*), count(distinct name) as names from auth_group") == [{"count": 150, "names": 150}]
