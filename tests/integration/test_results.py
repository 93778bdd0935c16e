"""Results: what a job's row says, equal to what enqueue gave; waiting, cancelling, retrying."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from queue_tasks import Progress, TaskResult, compat, following, results, task
from queue_tasks.exceptions import SchemaOutdated, WaitTimeout
from queue_tasks.results import STATUS
from tests.aliases import alias_of
from tests.testapp import tasks
from tests.waiting import PATIENCE, await_until, wait_until

SUCCESSFUL, FAILED = compat.TaskResultStatus.SUCCESSFUL, compat.TaskResultStatus.FAILED
READY, RUNNING = compat.TaskResultStatus.READY, compat.TaskResultStatus.RUNNING


def sql(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def change(result: TaskResult[Any], **columns: Any) -> None:
    """Write columns of a job's row by hand."""
    for name, value in columns.items():
        sql(f"update procrastinate_jobs set {name} = %s where id = %s", value, int(result.id))  # noqa: S608


def an_error(attempt: int = 1, worker_id: int = 12) -> dict[str, Any]:
    return {
        "exception": "builtins.ValueError",
        "message": "on purpose",
        "traceback": "Traceback (most recent call last):\n  ...\nValueError: on purpose\n",
        "attempt": attempt,
        "worker_id": worker_id,
    }


@pytest.mark.django_db
class TestReading:
    @pytest.mark.parametrize(
        "changed",
        [
            tasks.add,
            tasks.add.using(priority=9),
            tasks.add.using(queue_name="média"),
            tasks.add.using(run_after=timedelta(hours=1)),
            tasks.add.using(run_after=timedelta(hours=-1)),
            tasks.add.using(lock="add:{a}"),
            tasks.add.using(priority=-9, queue_name="x", run_after=datetime(2100, 1, 1, tzinfo=UTC), lock="x"),
        ],
        ids=["plain", "priority", "queue", "later", "earlier", "lock", "all"],
    )
    def test_a_result_read_equals_the_one_enqueue_gave(self, changed):
        result = changed.enqueue(1, b=[2, {"c": None}])
        assert tasks.add.get_result(result.id) == result
        assert tasks.add.get_backend().get_result(result.id) == result
        assert result.task == changed

    def test_a_new_result_is_ready_and_knows_when_it_was_enqueued(self):
        before = sql("select clock_timestamp()")[0][0]
        result = tasks.add.enqueue(1)
        assert (result.status, result.attempts, result.is_finished) == (READY, 0, False)
        assert before <= result.enqueued_at <= sql("select clock_timestamp()")[0][0]
        assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
        assert (result.errors, result.worker_ids, result.backend, result.progress) == ([], [], "default", None)
        assert result.id == str(int(result.id))

    @pytest.mark.parametrize("status", STATUS)
    def test_each_status_of_a_row_is_one_of_djangos(self, status):
        result = tasks.add.enqueue(1)
        change(result, status=status)
        result.refresh()
        assert result.status == STATUS[status]

    @pytest.mark.parametrize(
        "malformed",
        [
            "",
            "abc",
            "-1",
            "0",
            "007",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "٣",
            "9" * 19,
            "9" * 40,
            "9223372036854775808",
            None,
            5,
            b"5",
        ],
    )
    def test_a_malformed_id_is_the_id_of_nobody(self, malformed, django_assert_num_queries):
        with django_assert_num_queries(0), pytest.raises(compat.TaskResultDoesNotExist, match="is not the id of a job"):
            tasks.add.get_result(malformed)

    @pytest.mark.parametrize("job_id", ["1", "9223372036854775807"])
    def test_the_id_of_no_row_does_not_exist(self, job_id):
        with pytest.raises(compat.TaskResultDoesNotExist, match=f"Job {job_id} does not exist here"):
            tasks.add.get_result(job_id)

    def test_the_result_of_another_task_is_a_mismatch(self):
        result = tasks.add.enqueue(1)
        with pytest.raises(compat.TaskResultMismatch):
            tasks.fail.get_result(result.id)

    def test_a_job_of_procrastinate_has_no_result_here(self):
        result = tasks.add.enqueue(1)
        change(result, task_name="some.procrastinate.task")
        with pytest.raises(compat.TaskResultDoesNotExist, match="cannot be imported"):
            tasks.add.get_result(result.id)

    @pytest.mark.parametrize("args", ['["x"]', "5", '{"photo": 1}'])
    def test_a_row_whose_arguments_are_not_of_our_form_has_no_result(self, args):
        result = tasks.add.enqueue(1)
        change(result, args=args)
        with pytest.raises(compat.TaskResultDoesNotExist, match="its arguments are not of the form"):
            tasks.add.get_result(result.id)

    def test_a_result_can_be_read_though_its_queue_is_no_longer_declared(self, settings):
        result = tasks.add.using(queue_name="old").enqueue(1)
        settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": ["default"]}}
        assert tasks.add.get_result(result.id).args == [1]

    @pytest.mark.parametrize("moment", ["infinity", "-infinity", "9000-01-01+00", "294276-01-01+00"])
    def test_a_job_of_a_time_that_python_cannot_read_still_has_a_result(self, moment):
        result = tasks.add.enqueue(1)
        change(result, scheduled_at=moment)
        result.refresh()
        assert result.status == READY

    def test_a_deleted_job_cannot_be_refreshed(self):
        result = tasks.add.enqueue(1)
        sql("delete from procrastinate_jobs")
        with pytest.raises(compat.TaskResultDoesNotExist, match="keep=False deletes a job when it succeeds"):
            result.refresh()

    def test_a_naive_project_gets_naive_times(self, settings):
        settings.USE_TZ = False
        settings.TIME_ZONE = "Asia/Kathmandu"
        later = datetime(2100, 1, 1, 12)  # noqa: DTZ001
        result = results.from_row(
            results.JobRow(
                id=1, queue_name="default", task_name="tests.testapp.tasks.add", priority=0, lock=None, status="todo",
                scheduled_at=None, attempts=0, worker_id=None, args='{"args": [], "kwargs": {}}',
                enqueued_at=datetime(2026, 1, 1, tzinfo=UTC), started_at=None, attempted_at=None, finished_at=None,
                result=None, errors=None, meta='{"run_after": "2100-01-01T06:15:00+00:00"}',
            ),
            "default",
        )  # fmt: skip
        assert result.task.run_after == later
        assert result.enqueued_at == datetime(2026, 1, 1, 5, 45)  # noqa: DTZ001


@pytest.mark.django_db
class TestHistory:
    def test_a_succeeded_job_has_its_return_value_and_worker(self):
        result: Any = tasks.add.enqueue(1)
        now = timezone.now()
        [(worker,)] = sql("insert into procrastinate_workers default values returning id")
        change(result, status="succeeded", attempts=1, qt_result='{"a": [1.5]}', worker_id=worker)
        change(result, qt_started_at=now, qt_attempted_at=now, qt_finished_at=now)
        result.refresh()
        assert result.return_value == {"a": [1.5]}
        assert result.worker_ids == [str(worker)]
        assert result.attempts == 1
        assert result.started_at == result.last_attempted_at == result.finished_at == now

    def test_a_return_value_of_none_is_none(self):
        result = tasks.noop.enqueue()
        change(result, status="succeeded", qt_result="null")
        result.refresh()
        assert result.return_value is None

    def test_each_failed_attempt_is_an_error_with_its_worker(self):
        result = tasks.add.enqueue(1)
        change(result, attempts=2, status="failed", qt_errors=json.dumps([an_error(1, 12), an_error(2, 13)]))
        result.refresh()
        assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
        assert result.errors[0].traceback.endswith("ValueError: on purpose\n")
        assert result.worker_ids == ["12", "13"]
        with pytest.raises(ValueError, match="Task failed"):
            _ = result.return_value

    def test_a_retrying_job_is_ready_and_has_its_errors(self):
        result = tasks.add.enqueue(1)
        change(result, attempts=1, qt_errors=json.dumps([an_error()]))
        result.refresh()
        assert (result.status, len(result.errors), result.attempts) == (READY, 1, 1)

    def test_a_running_job_counts_the_attempt_that_runs(self):
        result = tasks.add.enqueue(1)
        change(result, attempts=1, status="doing", qt_errors=json.dumps([an_error()]))
        result.refresh()
        assert (result.status, result.attempts) == (RUNNING, 2)

    @pytest.mark.parametrize(
        ("status", "error"), [("cancelled", "JobCancelled"), ("aborted", "JobAborted"), ("failed", "QueueTasksError")]
    )
    def test_an_end_without_an_exception_is_an_error_that_names_it(self, status, error):
        result = tasks.add.enqueue(1)
        change(result, status=status)
        result.refresh()
        assert result.status == FAILED
        [found] = result.errors
        assert found.exception_class.__name__ == error
        assert found.traceback.startswith(f"queue_tasks.exceptions.{error}: ")

    def test_errors_of_another_form_do_not_hide_the_result(self):
        result = tasks.add.enqueue(1)
        change(result, status="failed", attempts=1, qt_errors='[{"odd": 1}]')
        result.refresh()
        assert result.errors[0].traceback == ""

    def test_progress_is_that_of_the_latest_refresh(self):
        result: Any = tasks.add.enqueue(1)
        change(result, qt_meta='{"progress": {"done": 1, "total": 4, "message": "a quarter"}}')
        before = result.progress
        result.refresh()
        assert (before, result.progress) == (None, Progress(1, 4, "a quarter"))
        assert result.progress.fraction == 0.25

    @pytest.mark.parametrize(("done", "total", "fraction"), [(1, None, None), (5, 4, 1.0), (-1, 4, 0.0), (1, 0, None)])
    def test_the_fraction_of_progress_stays_between_nothing_and_all(self, done, total, fraction):
        assert Progress(done, total).fraction == fraction


@pytest.mark.django_db
class TestDeeds:
    def test_a_waiting_job_can_be_cancelled_once(self):
        result = tasks.add.enqueue(1)
        assert result.cancel() is True
        assert result.cancel() is False
        result.refresh()
        assert (result.status, result.errors[0].exception_class.__name__) == (FAILED, "JobCancelled")
        assert result.finished_at is not None

    def test_a_running_job_cannot_be_cancelled(self):
        result = tasks.add.enqueue(1)
        change(result, status="doing")
        assert result.cancel() is False

    def test_a_cancelled_job_stays_as_long_as_its_backend_keeps_jobs(self, settings):
        options = {"keep": timedelta(days=30)}
        settings.TASKS = {
            "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": [], "OPTIONS": options}
        }
        tasks.add.enqueue(1).cancel()
        [(days,)] = sql("select extract(day from qt_expires_at - qt_finished_at) from procrastinate_jobs")
        assert days == 30

    def test_a_finished_job_can_be_retried(self):
        result = tasks.add.enqueue(1)
        assert result.retry() is False
        change(result, status="failed", attempts=1, qt_errors=json.dumps([an_error()]), qt_finished_at=timezone.now())
        assert result.retry() is True
        result.refresh()
        assert (result.status, result.finished_at, len(result.errors)) == (READY, None, 1)

    def test_a_scheduled_job_that_is_retried_is_ready_now(self):
        result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1)
        assert result.retry() is True
        assert sql("select scheduled_at from procrastinate_jobs") == [(None,)]


# ------------------------------------------------------------------------------------------------------------- waiting

FINISH = "update procrastinate_jobs set status = 'succeeded', qt_result = '3', qt_finished_at = now() where id = %s"


@contextmanager
def elsewhere(dsn: str, action: Callable[[psycopg.Connection[Any]], object]) -> Iterator[None]:
    """Do something on another connection, in another thread, once the test's wait listens."""
    errors: list[BaseException] = []

    def act() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True, application_name="tests.elsewhere") as other:
                wait_until(lambda: waiting(other), message="nobody waits")
                action(other)
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
    assert errors == []


def waiting(other: psycopg.Connection[Any]) -> bool:
    """Whether a session of `wait` has looked at its row and listens now."""
    found = other.execute(
        "select 1 from pg_stat_activity where application_name = 'queue_tasks wait' and state = 'idle' "
        "and query like '%get_job%' and datname = current_database()"
    ).fetchall()
    return bool(found)


HOUR = 3600
"""Seconds between looks, and until a wait is over: longer than a test lasts, for the end of a wait is a look too."""


def waited(result: TaskResult[Any], timeout: float | timedelta | None = HOUR) -> TaskResult[Any]:
    """What `wait` gives, if it does so in time."""
    ended: list[TaskResult[Any] | BaseException] = []

    def wait() -> None:
        try:
            ended.append(result.wait(timeout))
        except BaseException as error:  # noqa: BLE001 - raised by the test
            ended.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert ended, "nothing has woken who waits"
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@pytest.mark.django_db(transaction=True)
class TestWaiting:
    def test_a_finished_job_is_not_waited_for(self):
        result = tasks.add.enqueue(1)
        sql(FINISH, int(result.id))
        assert result.wait(timeout=0) is result
        assert result.return_value == 3

    @pytest.mark.parametrize("timeout", [HOUR, timedelta(seconds=HOUR), None])
    def test_a_job_that_finishes_wakes_who_waits(self, dsn, timeout, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        result = tasks.add.enqueue(1)
        with elsewhere(dsn, lambda other: other.execute(FINISH, [int(result.id)])):
            assert waited(result, timeout).return_value == 3

    def test_an_end_that_nobody_was_told_of_since_nobody_waited_yet_is_found(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        monkeypatch.setattr(following, "FIRST", 0.01)
        result = tasks.add.enqueue(1)
        with psycopg.connect(dsn, application_name="tests") as early:
            early.execute(FINISH, [int(result.id)])
            with elsewhere(dsn, lambda _: early.commit()):
                assert waited(result).return_value == 3

    @pytest.mark.parametrize("waits", ["wait", "await_result"])
    def test_a_database_older_than_the_code_is_named_with_what_to_run(self, settings, fresh_database, waits):
        result = tasks.add.enqueue(1)
        settings.TASKS = {
            "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "OPTIONS": {"database": "jobs"}},
        }
        with alias_of("jobs", fresh_database), pytest.raises(SchemaOutdated) as raised:
            result.wait() if waits == "wait" else asyncio.run(result.await_result())
        assert str(raised.value) == (
            "The database 'jobs' lacks objects of queue_tasks (function queue_tasks_follow_v1() does not exist). "
            "Run: manage.py migrate --database jobs"
        )

    def test_who_reads_from_a_database_that_was_not_migrated_is_told_so(self, settings, fresh_database):
        result = tasks.add.enqueue(1)
        settings.TASKS = {
            "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "OPTIONS": {"database": "jobs"}},
        }
        with alias_of("jobs", fresh_database), pytest.raises(ProgrammingError) as raised:
            result.refresh()
        assert raised.value.__notes__ == [
            "The database 'jobs' lacks objects of queue_tasks. Run: manage.py migrate --database jobs"
        ]

    async def test_an_end_that_nobody_was_told_of_since_nobody_awaited_yet_is_found(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        monkeypatch.setattr(following, "FIRST", 0.01)
        result = await tasks.add.aenqueue(1)
        with (
            psycopg.connect(dsn, application_name="tests") as early,
            psycopg.connect(dsn, autocommit=True, application_name="tests") as other,
        ):
            early.execute(FINISH, [int(result.id)])
            call = asyncio.create_task(result.await_result())
            await await_until(lambda: waiting(other))
            early.commit()
            async with asyncio.timeout(PATIENCE):
                assert (await call).return_value == 3

    async def test_a_job_that_finishes_wakes_who_awaits(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        result = await tasks.add.aenqueue(1)

        async def finish() -> None:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name="tests") as other:

                async def is_awaited() -> bool:
                    cursor = await other.execute(
                        "select 1 from pg_stat_activity where application_name = 'queue_tasks wait' "
                        "and state = 'idle' and query like '%get_job%' and datname = current_database()"
                    )
                    return bool(await cursor.fetchall())

                check: Any = is_awaited
                await await_until(check)
                await other.execute(FINISH, [int(result.id)])

        async with asyncio.timeout(PATIENCE):
            answer, _ = await asyncio.gather(result.await_result(), finish())
        assert answer.return_value == 3

    @pytest.mark.parametrize("turns", range(12))
    async def test_who_awaits_ends_when_he_is_cancelled_in_whatever_turn_of_the_loop_that_is(self, dsn, turns):
        result = await tasks.add.aenqueue(1)
        with psycopg.connect(dsn, autocommit=True, application_name="tests") as other:
            call = asyncio.create_task(result.await_result())
            await await_until(lambda: waiting(other))
            # He is told to look, looks, and waits again: the server has done its part before each turn.
            other.execute("select pg_notify(%s, %s)", [results.CHANNEL, result.id])
            for _ in range(turns):
                wait_until(lambda: waiting(other))
                await asyncio.sleep(0)
            call.cancel()
            done, _ = await asyncio.wait([call], timeout=PATIENCE)
            assert done
            assert call.cancelled()

    def test_a_finish_that_nobody_told_of_is_found_by_looking(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", 0.02)
        result = tasks.add.enqueue(1)

        def silently(other: psycopg.Connection[Any]) -> None:
            with other.transaction():
                other.execute("set local session_replication_role = replica")  # no triggers, so no notification
                other.execute(FINISH, [int(result.id)])

        with elsewhere(dsn, silently):
            assert result.wait(timeout=PATIENCE).is_finished

    def test_a_notification_of_many_jobs_wakes_who_waits_for_one(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        all_results = [tasks.add.enqueue(number) for number in range(60)]
        finish_all = "update procrastinate_jobs set status = 'succeeded', qt_finished_at = now()"
        with elsewhere(dsn, lambda other: other.execute(finish_all)):
            assert waited(all_results[30]).is_finished

    def test_a_cancelled_job_is_finished(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        result = tasks.add.enqueue(1)
        cancel = "update procrastinate_jobs set status = 'cancelled', qt_finished_at = now()"
        with elsewhere(dsn, lambda other: other.execute(cancel)):
            assert waited(result).status == FAILED

    @pytest.mark.parametrize("timeout", [0, 0.05, timedelta(milliseconds=50)])
    def test_waiting_ends_at_its_timeout(self, timeout):
        result = tasks.add.enqueue(1)
        with pytest.raises(TimeoutError, match=f"Job {result.id} did not finish within 0") as late:
            result.wait(timeout)
        assert isinstance(late.value, WaitTimeout)

    async def test_awaiting_ends_at_its_timeout(self):
        result = await tasks.add.aenqueue(1)
        with pytest.raises(WaitTimeout, match=r"did not finish within 0.05 s; it is READY. It goes on: wait again"):
            await result.await_result(timeout=0.05)

    def test_waiting_for_a_job_that_is_not_committed_fails_at_once_and_says_why(self):
        with transaction.atomic():
            result = tasks.add.enqueue(1)
            with pytest.raises(compat.TaskResultDoesNotExist, match="its transaction is not committed"):
                result.wait(timeout=PATIENCE)

    def test_an_ephemeral_job_that_was_deleted_while_waited_for_does_not_exist(self, dsn, monkeypatch):
        monkeypatch.setattr(following, "LONGEST", HOUR)
        result = tasks.noop_ephemeral.enqueue()
        delete = "delete from procrastinate_jobs"
        with (
            elsewhere(dsn, lambda other: other.execute(delete)),
            pytest.raises(compat.TaskResultDoesNotExist, match="keep=False deletes a job"),
        ):
            waited(result)

    def test_waiting_does_not_touch_the_callers_transaction(self, dsn):
        result = tasks.add.enqueue(1)
        with transaction.atomic(), elsewhere(dsn, lambda other: other.execute(FINISH, [int(result.id)])):
            tasks.fail.enqueue()
            result.wait(timeout=PATIENCE)
        assert sql("select count(*) from procrastinate_jobs") == [(2,)]


@task
def declared_here(number: int) -> int:
    """Doubles."""
    return number * 2


@pytest.mark.django_db(transaction=True)
async def test_results_are_read_and_refreshed_from_async_code():
    result = await declared_here.aenqueue(1)
    assert await declared_here.aget_result(result.id) == result
    await result.arefresh()
    assert result.status == READY
    with pytest.raises(compat.TaskResultDoesNotExist):
        await declared_here.aget_result("999")
    with pytest.raises(compat.TaskResultMismatch):
        await tasks.add.aget_result(result.id)
