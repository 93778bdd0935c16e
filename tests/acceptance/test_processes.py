"""Tasks in processes, under real workers: what they leave, how they stop, and that none outlives its worker."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from tests.acceptance.workers import BUSY, Table, worker_process
from tests.processes import Pid
from tests.testapp import isolated, tasks
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
IMPATIENT = "tests.testapp.impatient_settings"


def children_of(pid: int) -> list[Pid]:
    """The processes a worker has started, by the kernel's books."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(Pid(int(place.parent.name)))
    return found


def test_no_process_of_a_task_outlives_a_killed_worker(dsn: str, table: Table) -> None:
    job = isolated.sleep.enqueue(60)
    idle = isolated.noop.enqueue()
    with worker_process(dsn) as worker:
        wait_until(lambda: table.job(idle.id)["status"] == "succeeded")
        wait_until(lambda: len(children_of(worker.process.pid)) == 2)
        children = children_of(worker.process.pid)
        assert table.job(job.id)["status"] == "doing"
        worker.send(signal.SIGKILL)
        worker.wait()
        wait_until(lambda: not any(child.alive for child in children))


def test_a_worker_that_stops_gives_its_processes_the_grace_time_and_then_takes_their_jobs_back(
    dsn: str, table: Table
) -> None:
    obedient, stubborn = isolated.report_progress.enqueue(1), isolated.sleep.enqueue(60)
    with worker_process(dsn, "--grace=0.5") as worker:
        wait_until(lambda: table.job(obedient.id)["qt_meta"] is not None)
        wait_until(lambda: len(children_of(worker.process.pid)) == 2)
        children = children_of(worker.process.pid)
        code, seconds = worker.stop()
    assert code == 0, worker.output
    assert seconds < 0.5 + 2 + BUSY
    for result in (obedient, stubborn):
        row = table.job(result.id)
        assert (row["status"], row["attempts"], row["qt_errors"]) == ("todo", 0, None)
    assert not any(child.alive for child in children)


def test_an_abort_reaches_a_process(dsn: str, table: Table) -> None:
    from queue_tasks import control

    obedient, stubborn = isolated.report_progress.enqueue(1), isolated.sleep.enqueue(60)
    with worker_process(dsn, settings=IMPATIENT) as worker:
        wait_until(lambda: table.job(obedient.id)["qt_meta"] is not None)
        wait_until(lambda: table.job(stubborn.id)["status"] == "doing")
        control.abort([int(obedient.id), int(stubborn.id)])
        wait_until(lambda: table.statuses() == {"aborted": 2})
        assert tasks.add.enqueue(1).wait(PATIENCE).return_value == 2
        assert worker.stop()[0] == 0, worker.output


def test_the_error_that_is_kept_is_the_exception_itself(dsn: str, table: Table) -> None:
    result = isolated.throw.enqueue("os")
    with worker_process(dsn) as worker:
        result.wait(PATIENCE)
        assert worker.stop()[0] == 0, worker.output
    (error,) = result.errors
    assert error.exception_class_path == "builtins.OSError"
    assert "in throw" in error.traceback
    assert "No space left on device" in error.traceback


@pytest.mark.parametrize("fails", [False, True])
def test_an_atomic_task_in_a_process_is_one_transaction(dsn: str, table: Table, fails: bool) -> None:
    result = isolated.write_atomically.enqueue("written", fails)
    with worker_process(dsn, settings=IMPATIENT) as worker:
        result.wait(PATIENCE)
        assert worker.stop()[0] == 0, worker.output
    assert table.job(result.id)["status"] == ("failed" if fails else "succeeded")
    assert Group.objects.count() == (0 if fails else 1)
    assert worker.lines[-1].endswith(f"1 attempts, {int(fails)} jobs failed")
