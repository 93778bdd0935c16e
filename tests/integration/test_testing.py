"""queue_tasks.testing: jobs run in the test's own transaction, and in tests that commit, as a worker runs them."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from procrastinate.contrib.django import app

from queue_tasks import TaskResult, compat, enqueue_many, events, exceptions
from queue_tasks.compat import TaskResultDoesNotExist, TaskResultStatus
from queue_tasks.testing import adrain, aenqueued, arun_job, clear, drain, enqueued, run_job
from tests.testapp import atomic, drained, tasks


@pytest.fixture(
    params=[
        pytest.param("in a transaction", marks=pytest.mark.django_db),
        pytest.param("committing", marks=pytest.mark.django_db(transaction=True)),
    ],
    autouse=True,
)
def commits(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Every test runs both in the test's transaction and in one that commits; leaves no worker."""
    drained.told.clear()
    yield request.param == "committing"
    if "asyncio" not in request.keywords:
        assert rows("select count(*) from procrastinate_workers") == [(0,)]


def rows(statement: str, **parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall())


def statuses(results: list[TaskResult[Any]]) -> list[Any]:
    return [result.status for result in results]


def ids(results: list[TaskResult[Any]]) -> list[str]:
    return [result.id for result in results]


def group_names() -> set[str]:
    return set(Group.objects.values_list("name", flat=True))


# ------------------------------------------------------------------------------------------------------- where jobs run


@pytest.mark.parametrize("task", [drained.place, drained.place_async])
def test_a_task_runs_in_the_caller_s_thread_and_on_its_connection(task: Any) -> None:
    connection.ensure_connection()
    task.enqueue()
    (result,) = drain()
    assert result.return_value == [threading.get_ident(), connection.connection.info.backend_pid]


@pytest.mark.parametrize("task", [tasks.create_group, tasks.create_group_async])
def test_what_a_task_writes_is_seen_and_what_the_test_wrote_too(task: Any) -> None:
    Group.objects.create(name="the test's")
    result = task.enqueue("the task's")
    assert ids(drain()) == ids([result])
    assert group_names() == {"the test's", "the task's"}


def test_results_tell_the_whole_story() -> None:
    tasks.add.enqueue(2, b=3)
    (result,) = drain()
    assert (result.status, result.return_value, result.attempts, result.args) == ("SUCCESSFUL", 5, 1, [2])
    assert result.enqueued_at <= result.started_at <= result.finished_at


def test_a_rolled_back_job_does_not_run() -> None:
    with transaction.atomic():
        drained.say.enqueue("never")
        transaction.set_rollback(True)
    drained.say.enqueue("always")
    assert len(drain()) == 1
    assert drained.told == ["always"]


def test_what_a_drain_did_can_be_rolled_back() -> None:
    result = tasks.create_group.enqueue("g")
    with transaction.atomic():
        drain()
        transaction.set_rollback(True)
    assert not Group.objects.exists()
    result.refresh()
    assert result.status == TaskResultStatus.READY


def test_nothing_to_do_is_no_error() -> None:
    assert drain() == []


def test_a_drain_leaves_no_thread_and_no_connection_also_when_a_task_raised() -> None:
    before = set(threading.enumerate())
    tasks.fail.enqueue()
    tasks.fail_async.enqueue()
    with pytest.raises(ValueError, match="on purpose") as first:
        drain()
    with pytest.raises(ValueError, match="on purpose") as second:
        drain()
    assert first.value is not second.value  # both are alive, with their tracebacks
    left = {thread for thread in set(threading.enumerate()) - before if thread.is_alive()}
    for thread in left:
        thread.join(30)
    assert not any(thread.is_alive() for thread in left)
    application = "select count(*) from pg_stat_activity where datname = current_database() and "
    assert rows(application + r"application_name like 'queue\_tasks%'") == [(0,)]


def test_a_task_s_context_variables_are_its_own() -> None:
    results = enqueue_many([drained.paint.bind("red"), drained.paint.bind("blue")])
    assert [result.return_value for result in drain()] == ["none", "none"]
    assert len(results) == 2
    assert drained.colour.get() == "none"


def test_tasks_may_cross_between_synchronous_and_asynchronous_code() -> None:
    enqueue_many([drained.bridge.bind(), drained.bridge_in_a_thread.bind()])
    assert [result.return_value for result in drain()] == [[1, 2], [1]]


# ------------------------------------------------------------------------------------------------------------- in order


def test_higher_priority_first_then_older() -> None:
    for word, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        drained.say.using(priority=priority).enqueue(word)
    drain()
    assert drained.told == ["b", "d", "a", "c"]


def test_jobs_of_one_lock_run_in_order_whatever_keeps_them_apart() -> None:
    for word in "abc":
        drained.say_locked.enqueue(word)
    drain()
    assert drained.told == ["a", "b", "c"]


def test_a_job_that_a_task_enqueues_runs_too() -> None:
    drained.enqueue_chain.enqueue(3)
    assert statuses(drain()) == ["SUCCESSFUL"] * 4
    assert drained.told == [3, 2, 1, 0]


@pytest.mark.parametrize("queues", [["mine"], "mine", ("mine", "nobody's")])
def test_only_the_queues_asked_for(queues: Any) -> None:
    drained.say.using(queue_name="mine").enqueue("mine")
    other = drained.say.using(queue_name="other").enqueue("other")
    drain(queues)
    assert drained.told == ["mine"]
    assert enqueued() == [other]


def test_a_job_that_is_due_runs_and_a_later_one_waits() -> None:
    drained.say.using(run_after=timedelta(seconds=-1)).enqueue("due")
    later = drained.say.using(run_after=timedelta(hours=1)).enqueue("later")
    drain()
    assert drained.told == ["due"]
    assert enqueued() == [later]


def test_scheduled_jobs_run_next_in_time_first_when_they_are_included() -> None:
    for hours, word in ((3, "third"), (1, "first"), (2, "second")):
        drained.say.using(run_after=timedelta(hours=hours)).enqueue(word)
    other = drained.say.using(queue_name="other", run_after=timedelta(hours=1)).enqueue("other")
    drained.say.enqueue("now")
    drain(["default"], include_scheduled=True)
    assert drained.told == ["now", "first", "second", "third"]
    assert enqueued() == [other]


def test_parked_jobs_stay_parked() -> None:
    result = drained.say.enqueue("parked")
    park = "update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1() where id = %(id)s returning id"
    rows(park, id=result.id)
    assert drain(include_scheduled=True) == []


# ---------------------------------------------------------------------------------------------------- how attempts end


@pytest.mark.parametrize("task", [tasks.fail, tasks.fail_async])
def test_a_failed_job_raises_its_own_error_in_the_test_and_stops_there(task: Any) -> None:
    result = task.enqueue("no good")
    waiting = drained.say.enqueue("not yet")
    with pytest.raises(ValueError, match="no good") as caught:
        drain()
    (note,) = caught.value.__notes__
    assert note == (
        f"Raised by job {result.id} of {task.module_path}, attempt 1, arguments "
        '{"args": ["no good"], "kwargs": {}}. raise_errors=False gives it as a failed result instead.'
    )
    assert caught.traceback[-1].path.name == "tasks.py"
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert enqueued() == [waiting]


def test_failed_jobs_are_results_when_errors_are_not_raised() -> None:
    tasks.fail.enqueue("no good")
    drained.say.enqueue("on we go")
    failed, succeeded = drain(raise_errors=False)
    assert (failed.status, succeeded.status) == ("FAILED", "SUCCESSFUL")
    (error,) = failed.errors
    assert error.exception_class is ValueError
    assert error.traceback.endswith("ValueError: no good\n")
    assert "queue_tasks/testing" not in error.traceback


def test_a_retry_without_a_wait_is_run_and_the_job_told_once() -> None:
    tasks.succeed_on_attempt.enqueue(3)
    drained.say.enqueue("between")
    last, _ = drain()
    assert (last.return_value, last.attempts, len(last.errors)) == (3, 3, 2)


def test_a_retry_that_waits_is_no_failure_and_waits() -> None:
    result = drained.fail_an_hour_apart.enqueue()
    (seen,) = drain()
    assert (seen.status, seen.attempts, seen.errors[0].exception_class) == ("READY", 1, OSError)
    assert enqueued(drained.fail_an_hour_apart) == [seen]
    assert seen.id == result.id


def test_retries_that_wait_run_when_scheduled_ones_are_included() -> None:
    drained.fail_an_hour_apart.enqueue()
    (result,) = drain(include_scheduled=True)
    assert (result.status, result.return_value) == ("SUCCESSFUL", 3)


def test_a_snoozed_job_comes_back_without_spending_an_attempt() -> None:
    tasks.snooze_once.enqueue("g")
    (result,) = drain()
    assert (result.return_value, result.errors) == (1, [])


def test_discard_fails_at_once() -> None:
    tasks.discard.enqueue()
    with pytest.raises(exceptions.Discard, match="nobody wants it"):
        drain()
    tasks.discard.enqueue()
    (result,) = drain(raise_errors=False)
    assert (result.status, result.attempts) == ("FAILED", 1)


def test_an_async_task_is_stopped_at_its_timeout() -> None:
    tasks.sleep_past_timeout.enqueue()
    with pytest.raises(exceptions.TaskTimeout, match=r"0\.2 s"):
        drain()


def test_a_return_value_that_json_cannot_hold_fails_the_job() -> None:
    tasks.return_unstorable.enqueue()
    with pytest.raises(TypeError, match="return value: Unsupported type: <class 'object'>"):
        drain()


def test_a_task_that_cannot_be_imported_fails_at_once() -> None:
    rows("select queue_tasks_enqueue_v1(task => 'tests.testapp.tasks.ad', args => '[]', kwargs => '{}')")
    with pytest.raises(exceptions.TaskNotFound, match=r'Did you mean "tests\.testapp\.tasks\.add"'):
        drain()


def test_what_is_not_an_exception_of_the_job_is_always_raised() -> None:
    drained.interrupt.enqueue()
    with pytest.raises(KeyboardInterrupt):
        drain(raise_errors=False)


def test_a_job_that_keeps_nothing_is_told_all_the_same() -> None:
    drained.say_locked.enqueue("gone")
    (result,) = drain()
    assert (result.status, result.return_value) == ("SUCCESSFUL", "gone")
    assert result.is_finished
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()
    assert rows("select count(*) from procrastinate_events") == [(0,)]


def test_the_context_and_progress_are_there() -> None:
    tasks.context_facts.enqueue()
    drained.progress.enqueue()
    facts, progress = drain()
    assert facts.return_value["job_id"] == facts.return_value["result_id"] == facts.id
    assert (progress.progress.done, progress.progress.total, progress.progress.message) == (3, 4, "going")


def test_a_cancelled_job_does_not_run() -> None:
    result = drained.say.enqueue("never")
    assert result.cancel()
    assert drain() == []


@pytest.mark.parametrize("endless", [drained.fail_for_ever, drained.snooze_for_ever])
def test_a_drain_that_would_not_end_says_so(endless: Any) -> None:
    result = endless.enqueue()
    with pytest.raises(exceptions.DrainEndless) as caught:
        drain(include_scheduled=True, max_runs=5)
    assert str(caught.value).startswith(
        f"drain() has run 5 attempts and is not done: job {result.id} of {endless.module_path} is next; 5 of those"
    )
    result.refresh()
    assert result.status == TaskResultStatus.READY


def test_procrastinate_s_own_tasks_run_and_have_no_result() -> None:
    @app.task(name="tests.stock", queue="default")
    def stock(word: str) -> None:
        drained.told.append(word)

    try:
        stock.defer(word="stock")
        assert enqueued() == []
        assert drain() == []
    finally:
        del app.tasks["tests.stock"]
    assert drained.told == ["stock"]
    assert rows("select status::text from procrastinate_jobs") == [("succeeded",)]


# ----------------------------------------------------------------------------------------------- the test's transaction


def test_what_a_failed_task_wrote_stays_as_it_stays_committed() -> None:
    drained.divide.enqueue()
    with pytest.raises(ZeroDivisionError):
        drain()
    assert group_names() == {"before the error"}


@pytest.mark.parametrize("task", [drained.collide, drained.collide_async])
def test_an_error_of_the_database_fails_the_job_and_nothing_else(task: Any, commits: bool) -> None:
    Group.objects.create(name="taken")
    task.enqueue("taken")
    with pytest.raises(IntegrityError):
        drain()
    # The one difference to a worker: in the test's transaction the rows before the error go with it.
    assert group_names() == ({"taken", "before the collision"} if commits else {"taken"})
    assert enqueued() == []


def test_an_error_that_the_task_has_caught_around_a_block_undoes_the_block() -> None:
    Group.objects.create(name="taken")
    drained.collide_and_go_on.enqueue("taken")
    drain()
    assert group_names() == {"taken", "after the collision"}


def test_an_error_caught_outside_of_a_block_leaves_a_transaction_that_can_go_on() -> None:
    Group.objects.create(name="taken")
    drained.collide_and_end.enqueue("taken")
    (result,) = drain()
    assert result.return_value == "went well"
    assert group_names() == {"taken"}


def test_a_block_left_open_is_undone_and_said_aloud(commits: bool, caplog: pytest.LogCaptureFixture) -> None:
    result = drained.leave_open.enqueue()
    blocks, savepoints = len(connection.atomic_blocks), len(connection.savepoint_ids)
    assert drain()[0].status == TaskResultStatus.SUCCESSFUL
    (record,) = [record for record in caplog.records if record.name == "queue_tasks.testing"]
    assert record.getMessage() == (
        f"job {result.id} (tests.testapp.drained.leave_open) left a transaction open on database 'default'; "
        "it was rolled back. Use transaction.atomic() as a with block."
    )
    assert group_names() == ({"before the block"} if commits else set())
    assert (len(connection.atomic_blocks), len(connection.savepoint_ids)) == (blocks, savepoints)
    assert connection.in_atomic_block is not commits


def test_what_a_task_gives_to_on_commit_runs_when_it_ends() -> None:
    drained.after_commit.enqueue()
    drain()
    assert drained.told == ["in the block", "committed"]
    assert connection.run_on_commit == []


def test_an_error_in_on_commit_is_the_task_s() -> None:
    drained.after_commit.enqueue(fail=True)
    with pytest.raises(ValueError, match="after the commit"):
        drain()


def test_what_the_test_itself_gave_to_on_commit_is_left_to_it() -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: drained.told.append("the test's"))
        drained.say.enqueue("the task's")
        drain()
        assert drained.told == ["the task's"]
        assert len(connection.run_on_commit) == 1
        connection.run_on_commit.clear()


# -------------------------------------------------------------------------------------------------------- who is told


def test_signals_are_sent_in_order_and_a_receiver_s_error_harms_nobody() -> None:
    seen: list[tuple[str, Any, Any]] = []

    def receive(signal: Any, task_result: TaskResult[Any], **_: Any) -> None:
        name = "started" if signal is compat.task_started else "finished"
        seen.append((name, task_result.id, task_result.status))
        Group.objects.create(name="twice")

    signals = (compat.task_started, compat.task_finished)
    for signal in signals:
        signal.connect(receive)
    try:
        results = [drained.say.enqueue("a"), drained.say_async.enqueue("b")]
        drain()
    finally:
        for signal in signals:
            signal.disconnect(receive)
    assert seen == [
        (name, result.id, status)
        for result in results
        for name, status in (("started", "RUNNING"), ("finished", "SUCCESSFUL"))
    ]
    assert drained.told == ["a", "b"]
    assert Group.objects.count() <= 1


def test_events_are_published() -> None:
    seen: list[events.Event] = []
    ends = [events.subscribe(kind, seen.append) for kind in (events.JobStarted, events.AttemptEnded)]
    drained.say.enqueue("a")
    drain()
    for end in ends:
        end()
    assert [type(event) for event in seen] == [events.JobStarted, events.AttemptEnded]


# ------------------------------------------------------------------------------------------------------------ enqueued


def test_waiting_jobs_are_listed_oldest_first_whatever_they_wait_for() -> None:
    results = [
        drained.say.using(run_after=timedelta(hours=1), priority=-5).enqueue("later"),
        drained.say.using(queue_name="other", priority=5).enqueue("now"),
        tasks.add.enqueue(1),
    ]
    cancelled = drained.say.enqueue("cancelled")
    cancelled.cancel()
    assert enqueued() == results
    assert enqueued(drained.say) == results[:2]
    assert enqueued(drained.say.using(queue_name="whatever")) == results[:2]
    assert [result.task.queue_name for result in enqueued(drained.say)] == ["default", "other"]


def test_jobs_are_found_by_arguments_however_they_were_passed() -> None:
    positional, named = drained.resize.enqueue(1, 512), drained.resize.enqueue(photo_id=1, width=64)
    default = drained.resize.enqueue(2)
    extra = drained.resize.enqueue(3, 4, 5, 6, mode="fit", box=[1, 2])
    assert enqueued(drained.resize, photo_id=1) == [positional, named]
    assert enqueued(drained.resize, photo_id=1, width=64) == [named]
    assert enqueued(drained.resize, width=256) == [default]
    assert enqueued(drained.resize, mode="fit", box=(1, 2)) == [extra]
    assert enqueued(drained.resize, sizes=[5, 6]) == [extra]
    assert enqueued(drained.resize, mode=mock.ANY) == [extra]
    assert enqueued(drained.resize, photo_id=object()) == []
    assert enqueued(photo_id=2) == [default]
    assert enqueued(drained.say, word="x") == []


def test_the_context_is_no_argument_and_a_wrong_name_is_refused() -> None:
    result = drained.told_to.enqueue("me")
    assert enqueued(drained.told_to, who="me") == [result]
    with pytest.raises(TypeError, match=r"told_to\(who: 'str'\) -> 'None' has no argument 'context', 'whom'"):
        enqueued(drained.told_to, whom="me", context=None)


def test_jobs_whose_arguments_do_not_fit_are_found_by_what_they_have() -> None:
    enqueue = "select queue_tasks_enqueue_v1(task => %(task)s, args => '[1, 2]', kwargs => '{\"a\": 1}')"
    rows(enqueue, task=drained.told_to.module_path)
    assert len(enqueued(drained.told_to)) == 1
    assert enqueued(drained.told_to, who=1) == []


# ------------------------------------------------------------------------------------------------------------- run_job


def test_one_job_runs_whatever_its_time_and_what_is_before_it() -> None:
    first = drained.say_locked.enqueue("first")
    later = drained.say_locked.using(run_after=timedelta(days=1), queue_name="other").enqueue("later")
    done = run_job(later)
    assert (done.status, done.return_value, drained.told) == ("SUCCESSFUL", "later", ["later"])
    assert enqueued() == [first]


def test_one_job_s_result_is_refreshed_in_place() -> None:
    result = tasks.add.enqueue(1, 2)
    assert run_job(result) is result
    assert result.return_value == 3


def test_one_job_runs_one_attempt() -> None:
    result = drained.fail_an_hour_apart.enqueue()
    assert [run_job(result).attempts for _ in range(3)] == [1, 2, 3]
    assert result.return_value == 3


def test_one_job_that_fails_raises_its_error() -> None:
    result = tasks.fail.enqueue()
    with pytest.raises(ValueError, match="on purpose"):
        run_job(result)
    assert run_job(tasks.fail.enqueue(), raise_errors=False).status == TaskResultStatus.FAILED


def test_a_job_that_does_not_wait_is_not_run() -> None:
    result = run_job(tasks.add.enqueue(1))
    with pytest.raises(ValueError, match=rf"job {result.id} of tests\.testapp\.tasks\.add is SUCCESSFUL; run_job runs"):
        run_job(result)
    assert result.retry()
    assert run_job(result).attempts == 2


def test_a_job_that_does_not_exist_is_not_run() -> None:
    gone = run_job(drained.say_locked.enqueue("gone"))
    with pytest.raises(TaskResultDoesNotExist):
        run_job(gone)


def test_a_job_whose_lock_is_held_is_not_run() -> None:
    result = drained.say_locked.enqueue("waits")
    held = drained.say_locked.enqueue("runs")
    change = "update procrastinate_jobs set status = %(status)s where id = %(id)s returning id"
    rows(change, id=held.id, status="doing")
    with pytest.raises(RuntimeError, match=f"job {result.id} cannot run now: another job of its lock is running"):
        run_job(result)
    rows(change, id=held.id, status="succeeded")
    assert run_job(result).return_value == "waits"


# --------------------------------------------------------------------------------------------------------------- async


@pytest.mark.parametrize("call", [drain, lambda: run_job(mock.Mock())])
async def test_the_blocking_ones_say_what_to_write_in_async_code(call: Any) -> None:
    with pytest.raises(RuntimeError, match=r"called in async code.*Write: await a(drain|run_job)\("):
        call()


@pytest.mark.parametrize(
    "commits", [pytest.param("committing", marks=pytest.mark.django_db(transaction=True))], indirect=True
)
async def test_async_tests_have_the_same(commits: bool) -> None:
    first, second = await tasks.create_group.aenqueue("a"), await tasks.create_group_async.aenqueue("b")
    assert await aenqueued(tasks.create_group, name="a") == [first]
    assert statuses(await adrain()) == ["SUCCESSFUL", "SUCCESSFUL"]
    assert await Group.objects.filter(name__in=["a", "b"]).acount() == 2
    assert (await arun_job(await tasks.add.aenqueue(1))).return_value == 2
    await tasks.fail_async.aenqueue()
    with pytest.raises(ValueError, match="on purpose"):
        await adrain()
    assert second.id != first.id


@pytest.mark.parametrize(
    "commits", [pytest.param("committing", marks=pytest.mark.django_db(transaction=True))], indirect=True
)
async def test_a_drain_that_is_cancelled_gives_its_job_back(commits: bool) -> None:
    result = await drained.sleep_long.aenqueue()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await adrain()
    assert drained.told == ["asleep"]
    await result.arefresh()
    assert (result.status, result.attempts) == (TaskResultStatus.READY, 0)
    assert await sync_to_async(rows)("select count(*) from procrastinate_workers") == [(0,)]


# ---------------------------------------------------------------------------------------------------------------- rest


def test_clear_deletes_every_job() -> None:
    enqueue_many(tasks.noop.bind() for _ in range(3))
    drain()
    tasks.noop.enqueue()
    clear()
    assert rows("select (select count(*) from procrastinate_jobs) + (select count(*) from procrastinate_events)") == [
        (0,)
    ]


def test_another_backend_is_refused_with_the_reason() -> None:
    immediate = {"default": {"BACKEND": f"{compat.FRAMEWORK}.backends.immediate.ImmediateBackend"}}
    with (
        override_settings(TASKS=immediate),
        pytest.raises(ImproperlyConfigured, match="uses ImmediateBackend in this test"),
    ):
        drain()


def test_times_without_a_zone_are_no_trouble() -> None:
    with override_settings(USE_TZ=False):
        tasks.context_facts.enqueue()
        (result,) = drain()
        assert result.status == TaskResultStatus.SUCCESSFUL
        assert result.started_at.utcoffset() is None


def test_many_jobs_do_not_leave_garbage_that_holds_the_connection() -> None:
    enqueue_many(tasks.noop.bind() for _ in range(30))
    assert len(drain()) == 30
    gc.collect()
    assert connection.is_usable()


# -------------------------------------------------------------------------------------------------------- atomic tasks


def test_an_atomic_job_is_a_transaction_of_its_own_in_the_test_s_too() -> None:
    atomic.after_commit.clear()
    results = [atomic.once.enqueue("a"), atomic.succeed_on_attempt.enqueue("b", 2), atomic.watch_commit.enqueue()]
    done = {result.id: result for result in drain(include_scheduled=True)}
    assert [done[result.id].status for result in results] == [TaskResultStatus.SUCCESSFUL] * 3
    assert done[results[0].id].return_value == {"made": "a"}
    assert [error.exception_class for error in done[results[1].id].errors] == [OSError]
    assert group_names() == {"a", "b"}
    assert atomic.after_commit == ["doing", "succeeded"]


@pytest.mark.parametrize(
    ("fails", "kind"),
    [
        (lambda: atomic.catch.enqueue("c", fenced=False), exceptions.AtomicBroken),
        (lambda: atomic.end_with.enqueue("discard", "c"), exceptions.Discard),
    ],
)
def test_an_atomic_job_that_fails_has_no_effect_and_the_test_goes_on(fails: Any, kind: type[Exception]) -> None:
    Group.objects.create(name="before")
    result = fails()
    with pytest.raises(kind):
        run_job(result)
    assert group_names() == {"before"}
    assert enqueued() == []
    assert statuses([run_job(atomic.once.enqueue("after"))]) == [TaskResultStatus.SUCCESSFUL]
    assert group_names() == {"before", "after"}


def test_an_atomic_job_runs_within_a_block_of_the_test_and_goes_with_it() -> None:
    with transaction.atomic():
        assert run_job(atomic.once.enqueue("d")).return_value == {"made": "d"}
        assert group_names() == {"d"}
        transaction.set_rollback(True)
    assert group_names() == set()


def test_an_atomic_job_that_keeps_nothing_is_gone_and_told() -> None:
    assert run_job(atomic.once_ephemeral.enqueue("e")).status == TaskResultStatus.SUCCESSFUL
    assert rows("select count(*) from procrastinate_jobs where task_name like %(task)s", task="%ephemeral") == [(0,)]
