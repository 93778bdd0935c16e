"""manage.py queue_worker: what it says, how it stops, what becomes of the jobs."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group

from queue_tasks import enqueue_many
from queue_tasks.worker.stop_signals import BURST
from tests.acceptance.workers import BUSY, Table, by_sql, doing, worker_process
from tests.testapp import hostile, tasks
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


# ---------------------------------------------------------------------------------------------------------- says


def test_it_says_when_it_is_ready_and_when_it_has_stopped(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--concurrency", "7") as worker:
        (row,) = table.workers()
        assert worker.lines == [f"ready: worker {row['id']}, queues all, concurrency 7, listening"]
        assert (row["qt_pid"], row["qt_concurrency"], row["qt_queues"]) == (worker.process.pid, 7, None)
        assert row["qt_name"].endswith(f"-{worker.process.pid}")
        tasks.add.enqueue(1).wait(PATIENCE)
        tasks.fail.enqueue().wait(PATIENCE)
        code, _ = worker.stop()
        assert code == 0
        assert worker.lines[1:] == [f"stopped: worker {row['id']}, 2 attempts, 1 jobs failed"]
    assert table.workers() == []


def test_its_flags_are_what_it_works_by(dsn: str, table: Table) -> None:
    flags = ("--queues", "a, bé", "--no-listen", "--name", "the one", "--poll-interval", "0.05", "--concurrency", "2")
    with worker_process(dsn, *flags) as worker:
        (row,) = table.workers()
        assert worker.lines == [f"ready: worker {row['id']}, queues a,bé, concurrency 2, polling every 0.05 s"]
        assert (row["qt_name"], row["qt_queues"], row["qt_concurrency"]) == ("the one", ["a", "bé"], 2)
        assert table.backends("queue_tasks listen") == []
        mine = [tasks.add.using(queue_name=name).enqueue(1) for name in ("a", "bé")]
        other = tasks.add.using(queue_name="other").enqueue(1)
        assert [result.wait(PATIENCE).return_value for result in mine] == [2, 2]
        other.refresh()
        assert other.status == "READY"
        assert worker.stop()[0] == 0, worker.output


# ---------------------------------------------------------------------------------------------------------- stops


def after_the_burst() -> None:
    """Wait until another signal does not count as the same."""
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 1.2 * BURST)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_first_signal_lets_running_jobs_end(dsn: str, table: Table, number: signal.Signals) -> None:
    with worker_process(dsn) as worker:
        results = [tasks.wait_for_group_async.enqueue("go"), tasks.wait_for_group.enqueue("go")]
        doing(table, 2)
        worker.send(number)
        wait_until(lambda: "stopping: 2 running jobs have 30 s to end" in worker.output)
        Group.objects.create(name="go")
        assert worker.wait() == 0
        assert not any("rescued" in line for line in worker.errors), worker.output
    for result in results:
        result.refresh()
        assert (result.return_value, result.attempts) == ("seen", 1)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_it_at_once_with_code_1(dsn: str, table: Table, second: signal.Signals) -> None:
    with worker_process(dsn, "--grace", "60") as worker:
        tasks.sleep_thread.enqueue(600)
        doing(table)
        worker.send(signal.SIGTERM)
        wait_until(lambda: "stopping: 1 running jobs have 60 s to end" in worker.output)
        after_the_burst()
        code, took = worker.stop(second)
    assert (code, took < BUSY) == (1, True), worker.output
    assert "second signal" in worker.output


@pytest.mark.parametrize(
    "task",
    ["tests.testapp.tasks.sleep_thread", "tests.testapp.tasks.sleep", "tests.testapp.hostile.refuse_to_stop"],
)
def test_a_body_that_never_returns_does_not_keep_it_and_spends_no_attempt(dsn: str, table: Table, task: str) -> None:
    with worker_process(dsn, "--grace", "1") as worker:
        job = by_sql(task, "600")
        doing(table)
        code, took = worker.stop()
        assert code == 0, worker.output
        assert 1 <= took < 1 + 2 + BUSY, worker.output  # the grace, two seconds, and a busy machine
        assert "Traceback" not in worker.output
        assert worker.lines[-1].startswith("stopped: ")
    row = table.job(job)
    assert (row["status"], row["attempts"], row["worker_id"], row["scheduled_at"]) == ("todo", 0, None, None)
    assert row["qt_errors"] is None


def test_a_body_that_blocks_the_loop_does_not_keep_it(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--grace", "0.5") as worker:
        by_sql("tests.testapp.hostile.block", "600")
        doing(table)
        code, took = worker.stop()
        assert code == 1
        assert took < 0.5 + 2 + BUSY
        assert "the event loop is blocked" in worker.output


def test_a_body_that_blocks_the_loop_after_the_signal_does_not_keep_it_either(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--grace", "0.5") as worker:
        by_sql("tests.testapp.hostile.block_later", "0.4", "600")
        doing(table)
        code, took = worker.stop()
        assert code == 1
        assert took < 0.5 + 2 + BUSY


def test_the_second_signal_ends_it_although_the_loop_is_blocked(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--grace", "60") as worker:
        by_sql("tests.testapp.hostile.block", "600")
        doing(table)
        worker.send(signal.SIGTERM)
        # Nothing tells when it has heard the first: one that came too soon after that is the same, and is sent again.
        begun = time.monotonic()
        while worker.process.poll() is None and time.monotonic() - begun < BUSY:
            after_the_burst()
            worker.send(signal.SIGINT)
        assert worker.wait() == 1
        assert "second signal" in worker.output


def test_what_a_task_leaves_on_the_loop_or_in_its_threads_does_not_keep_it(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--grace", "0.5") as worker:
        left = by_sql("tests.testapp.hostile.leave_something_running")
        by_sql("tests.testapp.hostile.leave_a_thread_running", "600")
        wait_until(lambda: table.statuses() == {"succeeded": 2})
        code, took = worker.stop()
        assert (code, took < 0.5 + 2 + BUSY) == (0, True), worker.output
    assert table.job(left)["qt_result"] == "left"


def test_it_stops_while_it_is_idle_in_no_time(dsn: str, table: Table) -> None:
    with worker_process(dsn) as worker:
        code, took = worker.stop()
        assert (code, took < BUSY) == (0, True)
        assert worker.errors == []


# ---------------------------------------------------------------------------------------------------------- drains


def test_drain_runs_what_is_there_and_ends_with_0(dsn: str, table: Table) -> None:
    results = [*enqueue_many(tasks.add.bind(n) for n in range(20)), tasks.succeed_on_attempt.enqueue(3)]
    with worker_process(dsn, "--drain", ready=False) as worker:
        assert worker.wait() == 0, worker.output
        assert re.fullmatch(r"ready: worker \d+, queues all, concurrency \d+, draining", worker.lines[0])
        assert re.fullmatch(r"stopped: worker \d+, 23 attempts, 0 jobs failed", worker.lines[-1])
    for result in results:
        result.refresh()
        assert result.status == "SUCCESSFUL"


def test_drain_ends_with_1_when_a_job_failed_for_good(dsn: str, table: Table) -> None:
    tasks.add.enqueue(1)
    tasks.fail.enqueue()
    with worker_process(dsn, "--drain", ready=False) as worker:
        assert worker.wait() == 1, worker.output
    assert table.statuses() == {"succeeded": 1, "failed": 1}


def test_drain_of_an_empty_queue_ends_with_0_at_once(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--drain", "--no-listen", ready=False) as worker:
        assert worker.wait() == 0
        assert [line.split(":")[0] for line in worker.lines] == ["ready", "stopped"]
        assert worker.lines[-1].endswith(", 0 attempts, 0 jobs failed")


def test_max_jobs_ends_it_after_as_many(dsn: str, table: Table) -> None:
    enqueue_many(tasks.add.bind(n) for n in range(10))
    with worker_process(dsn, "--max-jobs", "3", ready=False) as worker:
        assert worker.wait() == 0, worker.output
    assert table.statuses() == {"succeeded": 3, "todo": 7}


# ---------------------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--concurrency", "0"], "'0' is not a whole number of 1 or more"),
        (["--concurrency", "5000"], "--concurrency is 5000"),
        (["--max-jobs", "-1"], "--max-jobs"),
        (["--max-jobs", "many"], "'many' is not a whole number"),
        (["--grace", "nan"], "'nan' is not a number of seconds"),
        (["--grace", "-1"], "--grace"),
        (["--poll-interval", "0"], "--poll-interval is 0"),
        (["--poll-interval", "1e400"], "'1e400' is not a number of seconds"),
        (["--queues", "a,,b"], "empty queue name"),
        (["--queues", ""], "empty queue name"),
        (["--queues", b"\xff"], "not UTF-8"),
        (["--backend", "nope"], 'TASKS has no entry "nope"; it has: default'),
        (["--nonsense"], "--nonsense"),
        (["stray"], "stray"),
    ],
    ids=str,
)
def test_wrong_usage_is_one_clear_line_and_code_2(dsn: str, table: Table, flags: list[Any], says: str) -> None:
    with worker_process(dsn, *(os.fsdecode(flag) for flag in flags), ready=False) as worker:
        assert worker.wait() == 2, worker.output
    assert worker.lines == []
    assert len(worker.errors) == 1, worker.output
    assert says in worker.errors[0]
    assert table.workers() == []


def test_a_database_that_is_not_there_is_one_clear_line_and_code_1(dsn: str, table: Table) -> None:
    with worker_process(dsn + "_that_is_not_there", ready=False) as worker:
        assert worker.wait() == 1
    assert len(worker.errors) == 1, worker.output
    assert "could not start" in worker.errors[0]
    assert "does not exist" in worker.errors[0]


def test_a_database_without_our_tables_says_what_to_do(fresh_database: str, table: Table) -> None:
    with worker_process(fresh_database, ready=False) as worker:
        assert worker.wait() == 1
    assert len(worker.errors) == 1, worker.output
    assert worker.errors[0].endswith("Run: manage.py migrate")


# ---------------------------------------------------------------------------------------------------------- faults


def test_two_workers_share_a_queue_no_job_twice_none_lost(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--concurrency", "10") as one, worker_process(dsn, "--concurrency", "10") as two:
        # Both have some, whoever the machine lets run more.
        enqueue_many(tasks.wait_for_group_async.bind("g0") for _ in range(20))
        doing(table, 20)
        for start in range(0, 2000, 500):
            enqueue_many(tasks.create_group_async.bind(f"g{n}") for n in range(start + 1, start + 501))
        Group.objects.create(name="g0")
        wait_until(lambda: table.statuses() == {"succeeded": 2020}, 90)
        assert [worker.stop()[0] for worker in (one, two)] == [0, 0]
    groups = table.all("select count(*), count(distinct name) as names from auth_group")
    assert groups == [{"count": 2001, "names": 2001}]
    assert table.all("select distinct attempts from procrastinate_jobs") == [{"attempts": 1}]
    shares = [int(re.findall(r"(\d+) attempts", worker.lines[-1])[0]) for worker in (one, two)]
    assert sum(shares) == 2020
    assert min(shares) >= 10


def test_it_listens_again_after_its_listener_was_ended(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--poll-interval", "600") as worker:
        (pid,) = table.backends("queue_tasks listen")
        table.all("select pg_terminate_backend(%s, 5000)", pid)
        wait_until(lambda: table.backends("queue_tasks listen") not in ([], [pid]))
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        assert worker.stop()[0] == 0, worker.output
        assert len([line for line in worker.lines if line.startswith("ready")]) == 1


def test_all_backends_ended_at_once_while_jobs_run_lose_nothing(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--concurrency", "8") as worker:
        for _ in range(4):
            enqueue_many(tasks.sleep.bind(0.05) for _ in range(60))
            wait_until(lambda: table.statuses().get("doing"))
            # Right after the last time there may be none: what they had in hand is still marked running.
            wait_until(table.terminate_workers)
        wait_until(lambda: table.statuses() == {"succeeded": 240}, 60)
        assert table.all("select distinct attempts from procrastinate_jobs") == [{"attempts": 1}]
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        assert worker.stop()[0] == 0, worker.output


def test_a_worker_whose_row_is_gone_registers_anew_and_goes_on(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--poll-interval", "0.1") as worker:
        (before,) = table.workers()
        table.all("delete from procrastinate_workers returning id")
        wait_until(table.workers)
        (after,) = table.workers()
        assert after["id"] > before["id"]
        assert after["qt_pid"] == worker.process.pid
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        assert worker.stop()[0] == 0, worker.output
        assert "Traceback" not in worker.output
    assert table.workers() == []


def test_hostile_jobs_in_a_row_leave_the_worker_in_order(dsn: str, table: Table) -> None:
    with worker_process(dsn) as worker:
        for name in hostile.NAMES:
            by_sql("tests.testapp.hostile.throw", f'"{name}"')
            by_sql("tests.testapp.hostile.throw_async", f'"{name}"')
        for name in hostile.GIVEN:
            by_sql("tests.testapp.hostile.give", f'"{name}"')
        count = 2 * len(hostile.NAMES) + len(hostile.GIVEN)
        wait_until(lambda: table.statuses() == {"failed": count})
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        assert worker.stop()[0] == 0, worker.output
    assert table.all(
        "select distinct jsonb_array_length(qt_errors) as n from procrastinate_jobs where status = 'failed'"
    ) == [{"n": 1}]


def test_a_killed_worker_is_gone_at_once_and_leaves_no_process(dsn: str, table: Table) -> None:
    with worker_process(dsn) as worker:
        code, took = worker.stop(signal.SIGKILL)
        assert (code, took < BUSY) == (-signal.SIGKILL, True)
