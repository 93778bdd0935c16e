"""queue_worker, one process: it has stopped two seconds after the grace time, whatever happens at that moment."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group

from queue_tasks import enqueue_many
from tests.acceptance.workers import BUSY, Table, WorkerProcess, by_sql, doing, worker_process
from tests.chaos.proxy import Proxy
from tests.testapp import tasks
from tests.waiting import PATIENCE, START, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MARGIN = 2


@pytest.fixture
def proxy(dsn: str, table: Table) -> Iterator[Proxy]:
    with Proxy(dsn) as proxy:
        yield proxy


def until_said(worker: WorkerProcess, words: str) -> None:
    wait_until(lambda: words in worker.output, message=words)


@pytest.mark.parametrize("fault", ["blackhole", "refuse"])
@pytest.mark.parametrize("job", [None, "tests.testapp.tasks.sleep_thread", "tests.testapp.hostile.refuse_to_stop"])
def test_a_database_that_is_away_does_not_keep_it(table: Table, proxy: Proxy, fault: str, job: str | None) -> None:
    with worker_process(proxy.url, "--grace", "0.5") as worker:
        if job is not None:
            by_sql(job, "600")
            doing(table, 1)
        if fault == "blackhole":
            proxy.blackhole()
        else:
            proxy.refuse()
            proxy.cut()
        _, took = worker.stop()
        proxy.heal()
        assert took < 0.5 + MARGIN + BUSY, worker.output
        assert "Traceback" not in worker.output


def test_a_worker_that_waits_for_a_database_at_its_start_can_be_stopped(table: Table, proxy: Proxy) -> None:
    proxy.blackhole()
    with worker_process(proxy.url, "--grace", "5", ready=False) as worker:
        wait_until(lambda: proxy.names or worker.process.poll() is not None, START, "a connection")
        code, took = worker.stop()
        proxy.heal()
        assert (code, took < MARGIN + BUSY) == (0, True), worker.output


def test_a_half_open_connection_of_the_finisher_costs_no_outcome(table: Table, proxy: Proxy) -> None:
    with worker_process(proxy.url, "--grace", "1") as worker:
        done = tasks.add.enqueue(1)
        done.wait(PATIENCE)
        stuck = by_sql("tests.testapp.tasks.sleep_thread", "600")
        doing(table, 1)
        proxy.half_open(only="queue_tasks finish")
        finished = by_sql("tests.testapp.tasks.create_group_async", '"written"')
        # Its body has run, and its outcome is in the black hole.
        wait_until(lambda: table.all("select 1 from auth_group where name = 'written'"))
        code, took = worker.stop()
        assert (code, took < 1 + MARGIN + BUSY) == (0, True), worker.output
        proxy.heal()
    assert (table.job(stuck)["status"], table.job(stuck)["attempts"]) == ("todo", 0)
    assert table.job(finished)["status"] == "succeeded"


@pytest.mark.parametrize("jobs", [0, 2])
def test_signals_in_a_storm_are_one_clean_stop(dsn: str, table: Table, jobs: int) -> None:
    with worker_process(dsn) as worker:
        results = enqueue_many(tasks.wait_for_group_async.bind("go") for _ in range(jobs))
        doing(table, jobs)
        for number in [*[signal.SIGTERM] * 5, signal.SIGINT, signal.SIGQUIT]:
            worker.send(number)
        if jobs:
            wait_until(lambda: f"stopping: {jobs} running jobs have 30 s to end" in worker.output)
        Group.objects.create(name="go")
        assert worker.wait() == 0, worker.output
        assert re.fullmatch(rf"stopped: worker \d+, {jobs} attempts, 0 jobs failed", worker.lines[-1])
        assert "rescued" not in worker.output
    for result in results:
        result.refresh()
        assert (result.return_value, result.attempts) == ("seen", 1)


# ---------------------------------------------------------------------------------------------------------- unasked


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("tests.testapp.saboteurs.exit_later", "something on the event loop raised SystemExit"),
        ("tests.testapp.saboteurs.stop_the_loop", "something stopped the event loop"),
        ("tests.testapp.saboteurs.break_heartbeat", "heartbeat failed (SystemExit"),
    ],
)
def test_a_task_that_ends_the_loop_or_the_heartbeat_does_not_end_the_worker(
    dsn: str, table: Table, task: str, says: str
) -> None:
    with worker_process(dsn) as worker:
        job = by_sql(task)
        until_said(worker, says)
        wait_until(lambda: table.job(job)["status"] == "succeeded")
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        (before,) = table.all("select last_heartbeat from procrastinate_workers")
        wait_until(lambda: table.all("select last_heartbeat from procrastinate_workers") != [before])
        assert worker.stop()[0] == 0, worker.output


def test_a_loop_that_cannot_be_started_again_ends_it_with_code_1(dsn: str, table: Table) -> None:
    with worker_process(dsn) as worker:
        by_sql("tests.testapp.saboteurs.ruin_the_promoter")
        assert worker.wait() == 1, worker.output
        assert "the worker's promoter died and could not be started again" in worker.output
    assert table.workers() == []


def test_a_worker_that_has_grown_too_much_ends_in_order_with_code_0(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--max-memory", "250") as worker:
        running = tasks.sleep.enqueue(3)
        by_sql("tests.testapp.saboteurs.grow", "300")
        assert worker.wait() == 0, worker.output
        assert re.search(
            r"this process is to be replaced: \d+ MB of memory, more than 250 MB$", worker.output, re.MULTILINE
        )
    running.refresh()
    assert running.return_value == "awake"


def test_too_little_memory_for_any_job_is_said(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--max-memory", "10") as worker:
        assert worker.wait() == 0
        assert "more than 10 MB; it had more before it ran a job: give more" in worker.output
