"""Announcer and the signals: told after the row is written, and whatever receivers do harms no job."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from queue_tasks import TaskResult, compat, control
from queue_tasks.backend import PostgresBackend
from queue_tasks.outcomes import OutcomeKind
from queue_tasks.worker.announcer import Announcer
from queue_tasks.worker.loops import LoopExecutor
from tests.roles.parts import fetched, outcome
from tests.testapp import tasks
from tests.waiting import PATIENCE, await_until, wait_until
from tests.workers import drain, running_worker


@contextlib.contextmanager
def received(signal: Any, receiver: Callable[..., Any]) -> Iterator[None]:
    signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver)


def ran(result: TaskResult[Any], **arguments: Any) -> TaskResult[Any]:
    drain(**arguments)
    result.refresh()
    return result


def status_in_the_database(job_id: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("select status::text from procrastinate_jobs where id = %s", [job_id])
        return str(cursor.fetchone()[0])


EVERY_TASK = [tasks.add, tasks.echo]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("task", EVERY_TASK, ids=["thread", "loop"])
def test_started_and_finished_are_sent_by_the_backend_s_class_with_the_result(task: Any) -> None:
    seen: list[tuple[str, type, Any, str]] = []

    def started(sender: type, task_result: Any, **_: Any) -> None:
        seen.append(("started", sender, task_result, status_in_the_database(task_result.id)))

    def finished(sender: type, task_result: Any, **_: Any) -> None:
        seen.append(("finished", sender, task_result, status_in_the_database(task_result.id)))

    with received(compat.task_started, started), received(compat.task_finished, finished):
        result = ran(task.enqueue(1))
    assert [(what, sender, each.id, row) for what, sender, each, row in seen] == [
        ("started", PostgresBackend, result.id, "doing"),
        ("finished", PostgresBackend, result.id, "succeeded"),
    ]
    assert seen[0][2].status == compat.TaskResultStatus.RUNNING
    assert seen[1][2].status == compat.TaskResultStatus.SUCCESSFUL
    assert seen[1][2].return_value == result.return_value
    assert seen[1][2].finished_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("task", [tasks.fail, tasks.fail_async], ids=["thread", "loop"])
def test_a_receiver_finds_what_failed_in_exc_info(task: Any) -> None:
    seen: list[Any] = []

    def finished(task_result: Any, **_: Any) -> None:
        seen.append((task_result.status, sys.exc_info()[1], task_result.errors[0].exception_class))

    with received(compat.task_finished, finished):
        ran(task.enqueue("no good"))
    (status, error, kind) = seen[0]
    assert (status, type(error), str(error), kind) == (
        compat.TaskResultStatus.FAILED,
        ValueError,
        "no good",
        ValueError,
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("task", EVERY_TASK, ids=["thread", "loop"])
def test_async_receivers_are_awaited(task: Any) -> None:
    seen: list[str] = []

    async def started(task_result: Any, **_: Any) -> None:
        await asyncio.sleep(0)
        seen.append("started")

    async def finished(task_result: Any, **_: Any) -> None:
        await Group.objects.acreate(name="by a receiver")
        seen.append("finished")

    with received(compat.task_started, started), received(compat.task_finished, finished):
        ran(task.enqueue(1))
    assert seen == ["started", "finished"]
    assert [group.name for group in Group.objects.all()] == ["by a receiver"]


@pytest.mark.django_db(transaction=True)
def test_a_receiver_uses_the_orm_and_leaves_no_transaction_open() -> None:
    from django.db import transaction

    seen: list[int] = []

    def finished(task_result: Any, **_: Any) -> None:
        seen.append(Group.objects.create(name=task_result.id).pk)
        transaction.atomic().__enter__()

    with received(compat.task_finished, finished):
        for _ in range(2):
            tasks.add.enqueue(1)
        drain()
    assert len(seen) == Group.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error", [ValueError("receiver"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("task", EVERY_TASK, ids=["thread", "loop"])
def test_a_receiver_that_raises_harms_neither_the_job_nor_the_worker(
    task: Any, error: BaseException, failures: list, caplog: pytest.LogCaptureFixture
) -> None:
    def finished(task_result: Any, **_: Any) -> None:
        raise error

    with received(compat.task_finished, finished), received(compat.task_started, finished_if(error, finished)):
        results = [task.enqueue(n) for n in range(3)]
        assert drain().tally.succeeded == 3
    for result in results:
        result.refresh()
        assert result.attempts == 1
    assert not failures


def finished_if(error: BaseException, receiver: Callable[..., Any]) -> Callable[..., Any]:
    """The same receiver for task_started, unless asyncio takes the error for its own there."""
    if isinstance(error, Exception):

        def started(**arguments: Any) -> None:
            receiver(**arguments)

        return started
    return lambda **arguments: None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_receiver_of_started_may_even_exit_in_a_thread(error: BaseException) -> None:
    def started(**_: Any) -> None:
        raise error

    with received(compat.task_started, started):
        assert ran(tasks.add.enqueue(1)).return_value == 2


@pytest.mark.django_db(transaction=True)
def test_a_receiver_of_started_that_comes_while_the_worker_runs_hears_of_the_next_fetch() -> None:
    seen: list[str] = []
    with running_worker() as worker:
        tasks.add.enqueue(1)
        wait_until(lambda: worker.tally.ended == 1)
        with received(compat.task_started, lambda task_result, **_: seen.append(task_result.id)):
            heard = tasks.add.enqueue(2)
            wait_until(lambda: worker.tally.ended == 2)
        tasks.add.enqueue(3)
        wait_until(lambda: worker.tally.ended == 3)
    assert seen == [heard.id]


@pytest.mark.django_db(transaction=True)
def test_a_retried_job_is_announced_once_at_its_end() -> None:
    seen: list[Any] = []
    with received(compat.task_finished, lambda task_result, **_: seen.append(task_result)):
        ran(tasks.succeed_on_attempt.enqueue(3))
    (result,) = seen
    assert [error.exception_class for error in result.errors] == [OSError, OSError]
    assert result.attempts == 3


@pytest.mark.django_db(transaction=True)
def test_an_aborted_job_is_announced_as_failed() -> None:
    seen: list[Any] = []
    with (
        received(compat.task_finished, lambda task_result, **_: seen.append(task_result.status)),
        running_worker(poll_interval=60) as worker,
    ):
        result = tasks.sleep.enqueue(60)
        wait_until(lambda: worker.crew.fetcher.hand.running == 1)
        control.abort([int(result.id)])
        wait_until(lambda: seen)
    assert seen == [compat.TaskResultStatus.FAILED]


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_was_lost_or_given_back_is_not_announced() -> None:
    seen: list[Any] = []
    with received(compat.task_finished, lambda task_result, **_: seen.append(task_result.id)):
        with running_worker(grace=0) as worker:
            lost, given_back = tasks.wait_for_group.enqueue("it is lost"), tasks.sleep.enqueue(60)
            wait_until(lambda: worker.crew.fetcher.hand.running == 2)
            with connection.cursor() as cursor:
                cursor.execute("update procrastinate_jobs set qt_lease = qt_lease + 1 where id = %s", [lost.id])
            Group.objects.create(name="it is lost")
            wait_until(lambda: worker.tally.lost == 1)
        given_back.refresh()
        assert given_back.status == compat.TaskResultStatus.READY
    assert seen == []


@pytest.mark.django_db(transaction=True)
def test_a_hostile_row_is_not_announced_and_does_not_hold_up_the_next(
    failures: list, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    with received(compat.task_finished, lambda task_result, **_: seen.append(task_result.id)):
        with connection.cursor() as cursor:
            for args in ("[]", "17", '{"args": [' + "9" * 5000 + '], "kwargs": {}}', "[" * 3000 + "]" * 3000):
                cursor.execute(
                    "insert into procrastinate_jobs (task_name, queue_name, args) "
                    "values ('tests.testapp.tasks.add', 'default', %s::jsonb)",
                    [args],
                )
        result = tasks.add.enqueue(1)
        worker = drain()
    assert (worker.tally.succeeded, worker.tally.failed) == (1, 4)
    assert result.id in seen
    assert not failures


# ---------------------------------------------------------------------------------------------------------- the role


@pytest.fixture
async def announcer() -> AsyncIterator[Announcer]:
    loops = LoopExecutor()
    announcer = Announcer(loops)
    yield announcer
    await announcer.stop()
    loops.close()


def batch(count: int, kind: OutcomeKind = OutcomeKind.SUCCEEDED) -> tuple[list[Any], dict[int, str]]:
    jobs = [(fetched("tests.testapp.tasks.add", [1], id=n), outcome(kind, result="2"), None) for n in range(count)]
    return jobs, dict.fromkeys(range(count), "succeeded")


async def test_they_are_announced_in_order_and_all_of_them_before_it_stops(announcer: Announcer) -> None:
    seen: list[int] = []
    with received(compat.task_finished, lambda task_result, **_: seen.append(int(task_result.id))):
        async with announcer:
            announcer.tell(*batch(50))
    assert seen == list(range(50))


async def test_a_slow_receiver_does_not_hold_up_the_loop(announcer: Announcer) -> None:
    may_return = threading.Event()
    with received(compat.task_finished, lambda **_: may_return.wait(PATIENCE)):
        async with announcer:
            announcer.tell(*batch(3))
            await await_until(lambda: announcer._written.qsize() == 2)
            may_return.set()
    assert announcer._written.empty()


async def test_a_receiver_that_does_not_return_does_not_keep_it_from_stopping(
    announcer: Announcer, caplog: pytest.LogCaptureFixture
) -> None:
    announcer.patience = 0.1
    may_return = threading.Event()
    with received(compat.task_finished, lambda **_: may_return.wait(PATIENCE)):
        await announcer.__aenter__()
        announcer.tell(*batch(3))
        await await_until(lambda: announcer._written.qsize() == 2)
        stopping = asyncio.create_task(announcer.stop())
        await await_until(lambda: "did not return within 0.1 s" in caplog.text)
        may_return.set()
        await asyncio.wait_for(stopping, PATIENCE)


async def test_nothing_is_kept_when_nobody_listens(announcer: Announcer) -> None:
    logger = logging.getLogger(compat.FRAMEWORK)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        announcer.tell(*batch(3))
    finally:
        logger.setLevel(before)
    assert announcer._written.empty()


async def test_outcomes_that_are_no_end_are_not_announced(announcer: Announcer) -> None:
    with received(compat.task_finished, lambda **_: None):
        for kind in (OutcomeKind.RETRIED, OutcomeKind.SNOOZED, OutcomeKind.RELEASED):
            jobs, _ = batch(1, kind)
            announcer.tell(jobs, {0: "todo"})
        jobs, _ = batch(1)
        announcer.tell(jobs, {})
    assert announcer._written.empty()
