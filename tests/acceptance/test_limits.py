"""Limits in real workers: what does not end is ended, and costs nobody else anything."""

import pytest
from django.contrib.auth.models import Group

from tests.acceptance.workers import Table, worker_process
from tests.testapp import hostile, tasks
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
IMPATIENT = "tests.testapp.impatient_settings"
WATCHFUL = "tests.testapp.watchful_settings"
TIMED_OUT = "queue_tasks.exceptions.TaskTimeout"


def test_plain_functions_that_spin_are_timed_out_and_tried_again_in_a_worker_that_goes_on(dsn: str, table: Table):
    spinning = [hostile.spin.enqueue(0) for _ in range(4)]
    with worker_process(dsn, "--concurrency=4") as worker:
        wait_until(lambda: table.statuses() == {"failed": 4})
        added = tasks.add.enqueue(1)
        wait_until(lambda: table.job(added.id)["status"] == "succeeded")
        assert worker.stop()[0] == 0, worker.output
    for result in spinning:
        errors = table.job(result.id)["qt_errors"]
        assert [(error["exception"], error["attempt"]) for error in errors] == [(TIMED_OUT, 1), (TIMED_OUT, 2)]
        assert "in spin" in errors[0]["traceback"]


@pytest.mark.parametrize("task", [hostile.ignore_timeout_in_python, hostile.ignore_timeout_in_c])
def test_a_thread_that_ignores_its_timeout_is_given_up_and_the_worker_recycled_after_its_other_jobs(
    dsn: str, table: Table, task
):
    stubborn, other = task.enqueue(60), tasks.wait_for_group.enqueue("come")
    with worker_process(dsn, settings=IMPATIENT) as worker:
        wait_until(lambda: table.job(stubborn.id)["status"] == "failed")
        assert [error["exception"] for error in table.job(stubborn.id)["qt_errors"]] == [TIMED_OUT]
        # It stops, and the other job has the time of grace.
        wait_until(lambda: "to be replaced" in worker.output)
        assert table.job(other.id)["status"] == "doing"
        Group.objects.create(name="come")
        assert worker.wait() == 1
    assert table.job(other.id)["status"] == "succeeded"
    assert f"in {task.func.__name__}" in worker.output


def test_a_coroutine_that_blocks_the_loop_is_named_and_interrupted_and_the_worker_goes_on(dsn: str, table: Table):
    blocking = hostile.block_in_python.enqueue()
    with worker_process(dsn, settings=WATCHFUL) as worker:
        wait_until(lambda: table.statuses() == {"failed": 1})
        named = hostile.block.enqueue(1.5)
        wait_until(lambda: table.statuses() == {"failed": 1, "succeeded": 1})
        assert [error["exception"] for error in table.job(blocking.id)["qt_errors"]] == [TIMED_OUT]
        wait_until(lambda: f"blocked for 0.3 s by job {named.id} (tests.testapp.hostile.block)" in worker.output)
        wait_until(lambda: f"job {named.id} (tests.testapp.hostile.block) blocked it for" in worker.output)
        assert worker.stop()[0] == 0, worker.output


def test_a_coroutine_that_blocks_the_loop_in_c_ends_the_process_and_its_jobs_are_rescued(dsn: str, table: Table):
    with worker_process(dsn, settings=IMPATIENT) as worker:
        blocking = hostile.block_in_c.enqueue(60)
        assert worker.wait() == 1
    assert "tests.testapp.hostile.block_in_c blocks the event loop" in worker.output
    assert "in block_in_c" in worker.output
    with worker_process(dsn, "--queues=nothing", settings=IMPATIENT):
        wait_until(lambda: table.job(blocking.id)["status"] == "todo", 40)
    assert table.job(blocking.id)["qt_crashes"] == 1
