"""A worker in this process, on real rows: what each kind of task, and each way to end, makes of a job."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone

from queue_tasks import TaskResult, __version__, control, enqueue_many
from queue_tasks.compat import TaskResultDoesNotExist, TaskResultStatus
from queue_tasks.worker.process import run
from tests.testapp import tasks
from tests.waiting import PATIENCE, wait_until
from tests.workers import drain, make_worker, running_worker

pytestmark = pytest.mark.django_db(transaction=True)


def ran(result: TaskResult[Any]) -> TaskResult[Any]:
    """The result after a drain."""
    drain()
    result.refresh()
    return result


def status_of(result: TaskResult[Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("select status::text from procrastinate_jobs where id = %s", [result.id])
        return str(cursor.fetchone()[0])


def test_a_plain_function_runs_in_a_thread_and_its_return_value_is_kept() -> None:
    result = ran(tasks.add.enqueue(2, b=3))
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == 5
    assert result.attempts == 1
    assert result.enqueued_at <= result.started_at == result.last_attempted_at <= result.finished_at


def test_a_coroutine_runs_and_gets_its_arguments_back_equal() -> None:
    result = ran(tasks.echo.enqueue(1, "zwölf", [None, 1.5], flag=True))
    assert result.return_value == {"args": [1, "zwölf", [None, 1.5]], "kwargs": {"flag": True}}


@pytest.mark.parametrize("task", [tasks.fail, tasks.fail_async])
def test_a_raised_exception_fails_the_job_with_the_task_s_own_traceback(task: Any) -> None:
    result = ran(task.enqueue("no good"))
    assert result.status == TaskResultStatus.FAILED
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.endswith("ValueError: no good\n")
    assert "queue_tasks/worker" not in error.traceback


def test_a_retry_policy_tries_again_until_it_succeeds() -> None:
    result = ran(tasks.succeed_on_attempt.enqueue(3))
    assert result.return_value == 3
    assert [error.exception_class for error in result.errors] == [OSError, OSError]
    assert result.attempts == 3


def test_a_retry_policy_gives_up_after_its_last_attempt() -> None:
    result = ran(tasks.succeed_on_attempt.enqueue(4))
    assert result.status == TaskResultStatus.FAILED
    assert result.attempts == len(result.errors) == 3


def test_a_task_that_raises_retry_is_run_again() -> None:
    assert ran(tasks.ask_again.enqueue(3)).return_value == 3


def test_a_snoozed_job_comes_back_without_spending_an_attempt() -> None:
    result = ran(tasks.snooze_once.enqueue("g"))
    assert result.return_value == 1
    assert result.errors == []


def test_discard_fails_at_once_whatever_the_retry_policy() -> None:
    result = ran(tasks.discard.enqueue())
    assert result.status == TaskResultStatus.FAILED
    assert result.attempts == 1
    assert "nobody wants it" in result.errors[0].traceback


def test_an_async_task_is_stopped_at_its_timeout() -> None:
    result = ran(tasks.sleep_past_timeout.enqueue())
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class_path == "queue_tasks.exceptions.TaskTimeout"
    assert "0.2 s" in result.errors[0].traceback


def test_a_return_value_that_json_cannot_hold_fails_the_job() -> None:
    result = ran(tasks.return_unstorable.enqueue())
    assert result.status == TaskResultStatus.FAILED
    assert "Unsupported type" in result.errors[0].traceback


def test_an_ephemeral_job_leaves_nothing() -> None:
    result = tasks.noop_ephemeral.enqueue()
    drain()
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_events")
        assert cursor.fetchone() == (0,)


def test_the_context_knows_its_job() -> None:
    result = ran(tasks.context_facts.enqueue())
    assert result.return_value == {
        "job_id": result.id,
        "attempt": 1,
        "result_id": result.id,
        "deadline": None,
        "should_abort": False,
    }


def test_higher_priority_runs_first_then_older() -> None:
    group = [tasks.create_group.using(priority=priority).bind(f"{priority}-{n}") for priority in (0, 5) for n in (1, 2)]
    enqueue_many(group)
    drain(concurrency=1, max_prefetch=0)
    assert list(Group.objects.order_by("pk").values_list("name", flat=True)) == ["5-1", "5-2", "0-1", "0-2"]


def test_a_worker_of_some_queues_leaves_the_others() -> None:
    mine, other = tasks.noop.using(queue_name="mine").enqueue(), tasks.noop.using(queue_name="other").enqueue()
    drain(queues=["mine"])
    assert (status_of(mine), status_of(other)) == ("succeeded", "todo")


def test_an_idle_worker_is_woken_by_the_commit_and_not_before() -> None:
    with running_worker(poll_interval=60) as worker:
        with transaction.atomic():
            result = tasks.noop.enqueue()
            other = tasks.noop.using(queue_name="x").bind()
        result.wait(PATIENCE)
        assert enqueue_many([other])[0].wait(PATIENCE).status == TaskResultStatus.SUCCESSFUL
        # The row is seen before the worker has counted it.
        wait_until(lambda: worker.tally.ended == 2)


def test_a_rolled_back_job_never_runs() -> None:
    with running_worker(poll_interval=0.05) as worker:
        with transaction.atomic():
            tasks.create_group.enqueue("never")
            transaction.set_rollback(True)
        tasks.create_group.enqueue("after").wait(PATIENCE)
    assert worker.tally.ended == 1
    assert not Group.objects.filter(name="never").exists()


def test_a_scheduled_job_runs_at_its_time_not_at_the_next_poll() -> None:
    with running_worker(poll_interval=60):
        due = timezone.now() + timedelta(seconds=0.4)
        result = tasks.noop.using(run_after=due).enqueue()
        result.wait(PATIENCE)
        assert result.started_at is not None
        assert timedelta(0) <= result.started_at - due < timedelta(seconds=PATIENCE)


def test_an_idle_worker_sets_its_timer_to_a_job_that_nobody_was_told_of() -> None:
    with running_worker(poll_interval=600, heartbeat=0.2) as worker:
        assert worker.crew is not None
        promoter = worker.crew.promoter
        due = timezone.now() + timedelta(hours=1)
        for when in (due + timedelta(hours=1), due):
            tasks.noop.using(run_after=when).enqueue()
        wait_until(lambda: abs(promoter._next_due_at - due.timestamp()) < 1e-3)
        due -= timedelta(minutes=1)
        tasks.noop.using(run_after=due).enqueue()
        wait_until(lambda: abs(promoter._next_due_at - due.timestamp()) < 1e-3)


def test_a_retry_without_a_wait_does_not_wait_for_the_poll() -> None:
    with running_worker(poll_interval=60):
        assert tasks.succeed_on_attempt.enqueue(3).wait(PATIENCE).return_value == 3


def test_jobs_of_one_lock_run_one_at_a_time_in_order_without_waiting_for_the_poll() -> None:
    with running_worker(poll_interval=60):
        results = [tasks.locked.enqueue("a", 0.02) for _ in range(5)]
        for result in results:
            result.wait(PATIENCE)
    times = [(result.started_at, result.finished_at) for result in results]
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))


def test_a_lone_poller_finds_jobs_without_listening() -> None:
    with running_worker(listen=False, poll_interval=0.05) as worker:
        result = tasks.noop.enqueue()
        wait_until(lambda: worker.tally.ended == 1)
    result.refresh()
    assert result.status == TaskResultStatus.SUCCESSFUL


def test_a_running_coroutine_is_aborted() -> None:
    with running_worker(poll_interval=60):
        result = tasks.sleep.enqueue(60)
        wait_until(lambda: status_of(result) == "doing")
        assert control.abort([int(result.id)]) == {int(result.id): "doing"}
        result.wait(PATIENCE)
    assert status_of(result) == "aborted"
    assert result.errors[0].exception_class_path == "queue_tasks.exceptions.JobAborted"


def test_a_running_thread_sees_the_abort_and_its_progress_is_shown() -> None:
    with running_worker(poll_interval=60):
        result = tasks.report_progress.enqueue()

        def progress() -> Any:
            result.refresh()
            return result.progress

        seen = wait_until(progress)
        assert (seen.done, seen.total, seen.message, seen.fraction) == (1, 4, "a quarter", 0.25)
        control.abort([int(result.id)])
        assert result.wait(PATIENCE).return_value == "aborted"


def test_stopping_waits_for_running_jobs() -> None:
    with running_worker(grace=60) as worker:
        result = tasks.wait_for_group.enqueue("go")
        wait_until(lambda: worker.crew.fetcher.hand.running == 1)
        worker.stop()
        Group.objects.create(name="go")
    result.refresh()
    assert result.return_value == "seen"


@pytest.mark.parametrize("task", [tasks.sleep, tasks.sleep_thread])
def test_after_the_grace_time_running_jobs_are_given_back_without_an_attempt(task: Any) -> None:
    with running_worker(grace=0.1) as worker:
        result = task.enqueue(60)
        wait_until(lambda: worker.crew.fetcher.hand.running == 1)
    result.refresh()
    assert result.status == TaskResultStatus.READY
    assert result.attempts == 0
    assert result.started_at is None


def test_prefetched_jobs_are_given_back_when_the_worker_stops() -> None:
    enqueue_many(tasks.sleep_thread.bind(0.02) for _ in range(2000))
    with running_worker(concurrency=2) as worker:
        wait_until(lambda: worker.tally.ended >= 20)
    with connection.cursor() as cursor:
        cursor.execute("select status::text, count(*), max(attempts) from procrastinate_jobs group by 1")
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
    assert set(rows) == {"succeeded", "todo"}
    assert rows["succeeded"][0] == worker.tally.succeeded
    assert rows["todo"][1] == 0


def test_max_jobs_ends_the_worker_after_as_many() -> None:
    enqueue_many(tasks.noop.bind() for _ in range(10))
    worker = make_worker(max_jobs=4)
    assert run(worker) == 0
    assert worker.tally.ended == 4
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where status = 'todo'")
        assert cursor.fetchone() == (6,)


def test_a_thread_keeps_its_connection_from_job_to_job_although_conn_max_age_is_0() -> None:
    results = enqueue_many(tasks.backend_pid.bind() for _ in range(30))
    drain(concurrency=3)
    for result in results:
        result.refresh()
    assert len({result.return_value for result in results}) <= 3


def test_a_connection_that_died_between_jobs_does_not_fail_the_next() -> None:
    with running_worker(concurrency=1):
        first = tasks.backend_pid.enqueue().wait(PATIENCE).return_value
        with connection.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(%s, 5000)", [first])
        second = tasks.backend_pid.enqueue().wait(PATIENCE)
    assert second.status == TaskResultStatus.SUCCESSFUL
    assert second.return_value != first


def test_async_tasks_use_the_orm_without_sharing_one_thread() -> None:
    enqueue_many(tasks.create_group_async.bind(f"g{n}") for n in range(20))
    worker = drain(concurrency=5)
    assert worker.tally.succeeded == 20
    assert Group.objects.count() == 20


def test_a_worker_registers_while_it_lives_and_is_gone_after() -> None:
    with running_worker(queues=["a", "b"]) as worker, connection.cursor() as cursor:
        # Its first beat tells how much memory it has.
        known = (
            "select id, qt_name, qt_queues, qt_concurrency, qt_version, qt_memory > 2 ^ 20 from procrastinate_workers"
        )

        def is_known() -> bool:
            cursor.execute(known)
            return bool(cursor.fetchall() == [(worker.worker_id, "test", ["a", "b"], 10, __version__, True)])

        wait_until(is_known)
        cursor.execute(
            "select count(*) from pg_locks l join pg_stat_activity a using (pid) "
            "where l.locktype = 'advisory' and a.application_name = 'queue_tasks listen' "
            "and a.datname = current_database()"
        )
        assert cursor.fetchone() == (1,)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_workers")
        assert cursor.fetchone() == (0,)
