"""queue_worker --processes: several workers under one supervisor, real processes, real signals."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from queue_tasks import enqueue_many
from queue_tasks.worker.stop_signals import BURST
from tests.acceptance.workers import BUSY, Table, WorkerProcess, by_sql, doing, worker_process
from tests.processes import Pid
from tests.testapp import tasks
from tests.waiting import PATIENCE, START, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SHORT_LEASE = "tests.testapp.short_lease_settings"
DEAD_AFTER = 8  # seconds, in those settings


def pids(table: Table) -> list[Pid]:
    return [Pid(row["qt_pid"]) for row in table.workers()]


def replaced(table: Table, old: Sequence[int], count: int) -> list[Pid]:
    """Wait until as many workers are registered, none of them an old one; their processes."""

    def new() -> list[Pid]:
        # Read once: between two looks an old one may go, and no new one have come.
        found = pids(table)
        return found if len(found) == count and not set(found) & set(old) else []

    return wait_until(new, START, "replaced")


# ----------------------------------------------------------------------------------------------------------- says


def test_django_checks_the_project_once_for_all_of_them(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", settings="tests.testapp.checked_settings") as worker:
        assert len(pids(table)) == 2
        worker.stop()
        assert worker.output.count("?: checked") == 1, worker.output


def test_it_says_when_all_are_ready_and_when_all_have_stopped(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", "--concurrency", "3", "--name", "box") as worker:
        rows = table.workers()
        ids = {str(row["id"]) for row in rows}
        found = re.fullmatch(
            r"ready: 2 processes, workers (\d+), (\d+), queues all, concurrency 3 each, listening", worker.lines[0]
        )
        assert found is not None, worker.lines
        assert set(found.groups()) == ids
        assert sorted(row["qt_name"] for row in rows) == ["box-1", "box-2"]
        assert worker.process.pid not in pids(table)
        assert len(set(pids(table))) == 2
        results = enqueue_many([*(tasks.add.bind(n) for n in range(20)), tasks.fail.bind()])
        for result in results:
            result.wait(PATIENCE)
        # One of each kind for each worker at the most; none for the supervisor.
        sessions = table.all(
            "select application_name, count(*) as n from pg_stat_activity "
            "where datname = current_database() and application_name like 'queue\\_tasks %' group by 1"
        )
        assert max(row["n"] for row in sessions) == 2, sessions
        memory = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert memory < 120 * 2**20
        code, took = worker.stop()
        assert (code, took < 3 + BUSY) == (0, True), worker.output
        assert worker.lines[1:] == ["stopped: 2 processes, 21 attempts, 1 jobs failed"]
    assert table.workers() == []


def test_it_starts_the_same_from_every_door(dsn: str, table: Table) -> None:
    import subprocess
    import sys

    from tests.postgres import PROJECT

    code = (
        "import django; django.setup(); from django.core.management import call_command; "
        "call_command('queue_worker', processes=1, drain=True, queues=['a'])"
    )
    doors = [
        [sys.executable, "-m", "django", "queue_worker", "--processes", "2", "--drain", "--queues", "a"],
        [str(Path(sys.executable).with_name("django-admin")), "queue_worker", "--processes=1", "--drain"],
        [sys.executable, "-c", code],
    ]
    for door in doors:
        result = tasks.add.using(queue_name="a").enqueue(1)
        done = subprocess.run(
            door,
            cwd=PROJECT,
            env={**os.environ, "DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"stopped: \d processes, 1 attempts, 0 jobs failed", done.stdout), done.stdout
        result.refresh()
        assert result.return_value == 2


# ---------------------------------------------------------------------------------------------------------- replaces


def test_a_killed_process_is_replaced_at_once_and_its_jobs_run_again(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", "--concurrency", "1") as worker:
        results = [tasks.wait_for_group.enqueue("go") for _ in range(2)]
        doing(table, 2)
        victim, other = pids(table)
        os.kill(victim, signal.SIGKILL)
        replaced(table, [victim], 2)
        assert other in pids(table)
        doing(table, 2)
        tasks.create_group.using(priority=10).enqueue("go")
        with connection.cursor() as cursor:
            # The two that wait have both slots.
            cursor.execute("insert into auth_group (name) values ('go')")
        for result in results:
            result.wait(PATIENCE)
            assert result.attempts == 1
        assert worker.stop()[0] == 0, worker.output
        assert "SIGKILL; starting another now" in worker.output
        assert len([line for line in worker.lines if line.startswith("ready")]) == 1


def test_processes_that_end_by_max_jobs_are_replaced_until_all_is_done(dsn: str, table: Table) -> None:
    enqueue_many(tasks.add.bind(n) for n in range(12))
    with worker_process(dsn, "--processes", "2", "--max-jobs", "3") as worker:
        wait_until(lambda: table.statuses() == {"succeeded": 12}, 2 * START)
        # Said by the process and by the supervisor.
        wait_until(lambda: worker.output.count("it has fetched 3 jobs") >= 4 * 2)
        assert worker.stop()[0] == 0, worker.output
        assert worker.lines[-1] == "stopped: 2 processes, 12 attempts, 0 jobs failed"


def test_a_process_that_has_grown_too_much_is_replaced(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "1", "--max-memory", "200") as worker:
        before = pids(table)
        grown = by_sql("tests.testapp.saboteurs.grow", "250")
        after = replaced(table, before, 1)
        assert table.job(grown)["status"] == "succeeded"
        assert not before[0].alive
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        assert pids(table) == after
        assert worker.stop()[0] == 0, worker.output
        assert re.search(r"\d+ MB of memory, more than 200 MB; starting another now", worker.output)


def test_a_frozen_process_is_killed_and_replaced(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", settings=SHORT_LEASE) as worker:
        frozen, other = pids(table)
        os.kill(frozen, signal.SIGSTOP)
        after = replaced(table, [frozen], 2)
        assert other in after
        wait_until(lambda: not frozen.alive)
        assert worker.stop()[0] == 0, worker.output
        assert "is killed: it has said nothing for" in worker.output


def test_a_process_whose_interpreter_is_held_tells_where_and_is_replaced(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "1", "--concurrency", "1", settings=SHORT_LEASE) as worker:
        before = pids(table)
        job = by_sql("tests.testapp.saboteurs.hold_the_interpreter", "600")
        doing(table, 1)
        # It would be run again.
        table.all("delete from procrastinate_jobs where id = %s returning id", job)
        replaced(table, before, 1)
        assert not before[0].alive
        wait_until(lambda: f"Timeout (0:00:0{DEAD_AFTER})!" in worker.output)
        wait_until(lambda: "in hold_the_interpreter" in worker.output)
        assert worker.stop()[0] == 0, worker.output


def test_a_process_that_was_asked_to_stop_by_itself_is_replaced(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "1") as worker:
        (before,) = pids(table)
        os.kill(before, signal.SIGTERM)
        replaced(table, [before], 1)
        assert worker.stop()[0] == 0, worker.output
        assert "ended with exit code 0; starting another now" in worker.output


# ---------------------------------------------------------------------------------------------------------- stops


def everybody(worker: WorkerProcess, table: Table) -> list[int]:
    return [worker.process.pid, *pids(table)]


@pytest.mark.parametrize("to", ["the supervisor", "its group", "everybody"])
def test_signals_in_a_storm_are_one_clean_stop(dsn: str, table: Table, to: str) -> None:
    with worker_process(dsn, "--processes", "2") as worker:
        results = [tasks.wait_for_group_async.enqueue("go"), tasks.wait_for_group.enqueue("go")]
        doing(table, 2)
        receivers = everybody(worker, table)
        for number in [*[signal.SIGTERM] * 5, signal.SIGINT, signal.SIGQUIT]:
            match to:
                case "the supervisor":
                    worker.send(number)
                case "its group":
                    os.killpg(worker.process.pid, number)
                case _:
                    for pid in receivers:
                        # One of the two may have both jobs: then the other ends at its first signal.
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, number)
        # By one process that has both, or by each of two.
        wait_until(lambda: re.search("2 running jobs have|(1 running jobs have.*){2}", worker.output, re.DOTALL))
        Group.objects.create(name="go")
        assert worker.wait() == 0, worker.output
        assert worker.lines[-1] == "stopped: 2 processes, 2 attempts, 0 jobs failed"
        assert "rescued" not in worker.output
    for result in results:
        result.refresh()
        assert (result.return_value, result.attempts) == ("seen", 1)


def test_a_second_signal_kills_all_at_once(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", "--concurrency", "1") as worker:
        for _ in range(2):
            tasks.sleep_thread.enqueue(60)
        doing(table, 2)
        children = pids(table)
        worker.send(signal.SIGTERM)
        wait_until(lambda: worker.output.count("1 running jobs have 30 s to end") == 2)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 1.2 * BURST)  # signals closer to each other are one
        code, took = worker.stop()
        assert (code, took < BUSY) == (1, True), worker.output
        assert not any(pid.alive for pid in children)


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ("tests.testapp.tasks.sleep_thread", 0),
        ("tests.testapp.hostile.refuse_to_stop", 0),
        ("tests.testapp.hostile.block", 1),
        ("tests.testapp.saboteurs.hold_the_interpreter", 1),
    ],
)
def test_all_have_stopped_two_seconds_after_the_grace_time_whatever_tasks_do(
    dsn: str, table: Table, task: str, code: int
) -> None:
    with worker_process(dsn, "--processes", "2", "--concurrency", "1", "--grace", "1") as worker:
        jobs = [by_sql(task, "600"), by_sql("tests.testapp.tasks.sleep", "600")]
        doing(table, 2)
        children = pids(table)
        found, took = worker.stop()
        assert (found, 1 <= took < 1 + 2.5 + BUSY) == (code, True), f"{took} s: {worker.output}"
        assert not any(pid.alive for pid in children)
        assert worker.lines[-1].startswith("stopped: 2 processes, ")
    rows = [table.job(job) for job in jobs]
    assert [row["attempts"] for row in rows] == [0, 0]
    assert [row["status"] for row in rows] == ["doing" if code else "todo", "todo"]


# --------------------------------------------------------------------------------------------------------- no orphan


def test_no_process_outlives_a_killed_supervisor_and_jobs_go_back(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "3", "--concurrency", "2") as worker:
        jobs = [by_sql("tests.testapp.tasks.sleep_thread", "600") for _ in range(3)]
        jobs += [by_sql("tests.testapp.hostile.refuse_to_stop", "600") for _ in range(3)]
        doing(table, 6)
        children = pids(table)
        worker.send(signal.SIGKILL)
        wait_until(lambda: not any(pid.alive for pid in children), 2 + BUSY)
        assert worker.wait() == -signal.SIGKILL
        assert "the supervisor is gone; stopping" in worker.output
    for job in jobs:
        row = table.job(job)
        assert (row["status"], row["attempts"], row["qt_crashes"]) == ("todo", 0, 0)
    assert table.workers() == []


def test_not_even_one_whose_interpreter_is_held(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "1", settings=SHORT_LEASE) as worker:
        by_sql("tests.testapp.saboteurs.hold_the_interpreter", "600")
        doing(table, 1)
        children = pids(table)
        worker.send(signal.SIGKILL)
        wait_until(lambda: not any(pid.alive for pid in children), DEAD_AFTER + BUSY)


def test_a_blocked_process_does_not_outlive_it_either(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2") as worker:
        by_sql("tests.testapp.hostile.block", "600")
        doing(table, 1)
        children = pids(table)
        worker.send(signal.SIGKILL)
        wait_until(lambda: not any(pid.alive for pid in children), 5 + BUSY)


# ---------------------------------------------------------------------------------------------------------- drains


def test_drained_processes_are_not_replaced(dsn: str, table: Table) -> None:
    enqueue_many(tasks.add.bind(n) for n in range(30))
    with worker_process(dsn, "--processes", "2", "--drain", ready=False) as worker:
        assert worker.wait() == 0, worker.output
        assert worker.lines[-1] == "stopped: 2 processes, 30 attempts, 0 jobs failed"
    assert table.statuses() == {"succeeded": 30}


def test_a_drain_ends_with_1_when_a_job_failed_in_any_of_them(dsn: str, table: Table) -> None:
    enqueue_many([*(tasks.add.bind(n) for n in range(10)), tasks.fail.bind()])
    with worker_process(dsn, "--processes", "2", "--drain", "--max-jobs", "2", ready=False) as worker:
        assert worker.wait(2 * START) == 1, worker.output
        assert worker.lines[-1] == "stopped: 2 processes, 11 attempts, 1 jobs failed"
    assert table.statuses() == {"succeeded": 10, "failed": 1}


# --------------------------------------------------------------------------------------------------- cannot start


def test_a_database_that_is_not_there_ends_it_with_a_clear_word_and_code_1(dsn: str, table: Table) -> None:
    with worker_process(dsn + "_that_is_not_there", "--processes", "2", ready=False) as worker:
        assert worker.wait() == 1
        assert "none of 2 processes could start" in worker.output
        assert "does not exist" in worker.output
        assert worker.lines == ["stopped: 2 processes, 0 attempts, 0 jobs failed"]
        assert "Traceback" not in worker.output


def test_a_database_without_our_tables_ends_it_and_says_what_to_do(fresh_database: str, table: Table) -> None:
    with worker_process(fresh_database, "--processes", "2", ready=False) as worker:
        assert worker.wait() == 1
        assert "Run: manage.py migrate" in worker.output


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--processes", "0"], "'0' is not a whole number of 1 or more"),
        (["--processes", "2", "--concurrency", "5000"], "--concurrency is 5000"),
        (["--max-memory", "lots"], "--max-memory"),
        (["--health-port", "65536"], "'65536' is not a port, 0 to 65535"),
    ],
    ids=str,
)
def test_wrong_usage_is_one_clear_line_and_code_2(dsn: str, table: Table, flags: list[str], says: str) -> None:
    with worker_process(dsn, *flags, ready=False) as worker:
        assert worker.wait() == 2, worker.output
    assert (worker.lines, len(worker.errors)) == ([], 1), worker.output
    assert says in worker.errors[0]
