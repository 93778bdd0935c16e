"""Signals of every event, from real workers and from control; receivers that use the ORM, wait, raise and go away."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from queue_tasks import control, events, schedules, signals
from queue_tasks.periodic import Schedule
from queue_tasks.testing import drain as drain_here
from queue_tasks.worker import worker as worker_module
from queue_tasks.worker.notify_queue import NotifyQueueWatch
from tests.testapp import tasks
from tests.waiting import PATIENCE, wait_until
from tests.workers import drain, running_worker

pytestmark = pytest.mark.django_db(transaction=True)


class Ear:
    """A receiver that notes what it is told, and where."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.senders: set[type] = set()
        self.threads: set[threading.Thread] = set()

    def __call__(self, *, sender: type, events: tuple[Any, ...], **_: Any) -> None:
        self.threads.add(threading.current_thread())
        self.senders.add(sender)
        self.seen += events


@contextlib.contextmanager
def received(signal: signals.EventSignal[Any], receiver: Any = None) -> Iterator[Ear]:
    ear = Ear() if receiver is None else receiver
    signal.connect(ear, weak=False)
    try:
        yield ear
    finally:
        assert signal.disconnect(ear)
    assert not events.wanted(signal.kind), "it listens though nobody listens to it"


def sql(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def kinds() -> dict[str, type[events.Event]]:
    """Every event, by the name that its signal is to have."""
    found = [each for each in vars(events).values() if inspect.isclass(each) and issubclass(each, events.Event)]
    leaves = [each for each in found if not any(each in other.__mro__[1:] for other in found)]
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower(): each for each in leaves}


def test_every_event_has_its_signal() -> None:
    made = {name: each.kind for name, each in vars(signals).items() if isinstance(each, signals.EventSignal)}
    assert made == kinds()


def test_a_kind_of_event_has_one_signal() -> None:
    with pytest.raises(ValueError, match=r"JobStarted has a signal, and a second would take its events"):
        signals.EventSignal(events.JobStarted)
    with received(signals.job_started) as ear:
        tasks.noop.enqueue()
        drain()
        wait_until(lambda: ear.seen)


# ------------------------------------------------------------------------------------------------------------- workers


def test_a_worker_that_starts_and_stops_and_the_jobs_between() -> None:
    results = [tasks.add.enqueue(1), tasks.noop.enqueue(), tasks.fail.enqueue()]
    with (
        received(signals.worker_started) as started,
        received(signals.job_started) as began,
        received(signals.attempt_ended) as ended,
        received(signals.worker_stopped) as stopped,
    ):
        worker = drain(concurrency=7)
    assert [(event.worker_id, event.name, event.concurrency) for event in started.seen] == [
        (worker.worker_id, "test", 7)
    ]
    assert {str(event.job.id) for event in began.seen} == {result.id for result in results}
    assert {str(event.job.id): event.status for event in ended.seen} == {
        result.id: status for result, status in zip(results, ["succeeded", "succeeded", "failed"], strict=True)
    }
    assert [(event.worker_id, event.jobs) for event in stopped.seen] == [(worker.worker_id, 3)]
    assert stopped.senders == {events.WorkerStopped}
    # A thread of its own, neither the loop's nor one where bodies run, which has ended with the worker.
    (thread,) = started.threads | began.threads | ended.threads | stopped.threads
    assert thread.name == "queue_tasks signals"
    assert not thread.is_alive()


def test_a_job_that_was_given_to_another() -> None:
    with received(signals.job_lost) as lost, running_worker() as worker:
        result = tasks.wait_for_group.enqueue("it is lost")
        wait_until(lambda: worker.crew.fetcher.hand.running == 1)
        sql("update procrastinate_jobs set qt_lease = qt_lease + 1 where id = %s", result.id)
        Group.objects.create(name="it is lost")
        wait_until(lambda: lost.seen)
    assert [str(event.job.id) for event in lost.seen] == [result.id]


def test_jobs_of_a_dead_worker() -> None:
    result = tasks.add.enqueue(1)
    [[dead]] = sql("insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour') returning id")
    sql("update procrastinate_jobs set status = 'doing', worker_id = %s where id = %s", dead, result.id)
    with received(signals.jobs_rescued) as rescued, running_worker():
        wait_until(lambda: rescued.seen)
    assert [(event.dead_worker_id, event.job_ids) for event in rescued.seen] == [(dead, (int(result.id),))]


def test_a_loop_of_the_worker_that_failed() -> None:
    with received(signals.service_failed) as failed, running_worker():
        sql(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and application_name = 'queue_tasks listen'"
        )
        wait_until(lambda: [event for event in failed.seen if event.service == "listener"])
    assert all(isinstance(event.error, Exception) for event in failed.seen)


def test_a_loop_that_was_blocked(caplog: pytest.LogCaptureFixture) -> None:
    def block() -> None:
        wait_until(lambda: "the event loop is blocked" in caplog.text)

    with received(signals.loop_blocked) as told, running_worker(block_warning=0.1) as worker:
        assert worker.call_soon(block)
        wait_until(lambda: told.seen)
    assert told.seen[0].seconds >= 0.1


def test_a_server_whose_queue_of_notifications_fills() -> None:
    # To fill a real one takes two gigabytes: the watch, which each worker has, is told what it would read.
    with received(signals.notify_queue_filling) as told, running_worker() as worker:
        worker.call_soon(partial(NotifyQueueWatch().note, worker.worker_id, 0.5))
        wait_until(lambda: told.seen)
    assert told.seen == [events.NotifyQueueFilling(worker.worker_id, 0.5)]


# ----------------------------------------------------------------------------------------------- what receivers may do


def test_a_receiver_uses_the_orm_and_what_it_leaves_open_is_rolled_back(caplog: pytest.LogCaptureFixture) -> None:
    def receive(*, events: tuple[Any, ...], **_: Any) -> None:
        Group.objects.bulk_create([Group(name=f"job {event.job.id}") for event in events])
        transaction.atomic().__enter__()
        Group.objects.create(name="never committed")

    result = tasks.add.enqueue(1)
    with received(signals.attempt_ended, receive):
        drain()
    assert [group.name for group in Group.objects.all()] == [f"job {result.id}"]
    assert "a receiver of a signal left a transaction open" in caplog.text


def test_a_receiver_may_be_a_coroutine() -> None:
    seen: list[Any] = []

    async def receive(*, events: tuple[Any, ...], **_: Any) -> None:
        await asyncio.sleep(0)
        await Group.objects.acreate(name="by a receiver")
        seen.extend(events)

    tasks.add.enqueue(1)
    with received(signals.attempt_ended, receive):
        drain()
    assert [event.status for event in seen] == ["succeeded"]
    assert [group.name for group in Group.objects.all()] == ["by a receiver"]


async def raise_async(**_: Any) -> None:
    raise ValueError("a coroutine")


class Unnamed:
    """A receiver that Django's own log cannot name."""

    def __call__(self, **_: Any) -> None:
        raise ValueError("it has no name")


def raiser(error: BaseException) -> Callable[..., None]:
    def receive(**_: Any) -> None:
        raise error

    return receive


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (raiser(ValueError("receiver")), "The receiver tests.integration.test_signals.raiser.<locals>.receive of"),
        (raise_async, "The receiver tests.integration.test_signals.raise_async of the signal of AttemptEnded raised"),
        (raiser(SystemExit(3)), "A receiver of the signal of AttemptEnded raised"),
        (raiser(KeyboardInterrupt()), "A receiver of the signal of AttemptEnded raised"),
        (Unnamed(), "A receiver of the signal of AttemptEnded raised"),
    ],
    ids=["function", "coroutine", "exit", "interrupt", "nameless"],
)
def test_a_receiver_that_raises_is_named_and_harms_neither_the_others_nor_the_worker(
    bad: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.add.enqueue(1)
    with received(signals.worker_stopped) as stopped:
        signals.attempt_ended.connect(bad, weak=False)
        try:
            worker = drain()
        finally:
            signals.attempt_ended.disconnect(bad)
    assert worker.tally.succeeded == 1
    assert len(stopped.seen) == 1
    assert told in caplog.text


def test_a_receiver_that_does_not_return_holds_up_no_job_and_is_told_many_at_once_then() -> None:
    may_return = threading.Event()
    sizes: list[int] = []

    def receive(*, events: tuple[Any, ...], **_: Any) -> None:
        sizes.append(len(events))
        assert may_return.wait(PATIENCE)

    with received(signals.attempt_ended, receive), running_worker() as worker:
        tasks.noop.enqueue()
        wait_until(lambda: sizes)
        for _ in range(20):
            tasks.noop.enqueue()
        wait_until(lambda: len(signals._couriers[-1]._waiting) == 20)
        assert worker.tally.succeeded == 21
        may_return.set()
    assert sizes == [1, 20]


def test_a_worker_does_not_wait_for_ever_for_a_receiver(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "RECEIVERS_PATIENCE", 0.1)
    may_return, threads = threading.Event(), []

    def receive(**_: Any) -> None:
        threads.append(threading.current_thread())
        assert may_return.wait(PATIENCE)

    tasks.add.enqueue(1)
    try:
        with received(signals.job_started, receive):
            assert drain().tally.succeeded == 1
    finally:
        may_return.set()
    threads[0].join(PATIENCE)
    assert "receivers of signals did not return within 0.1 s of stopping" in caplog.text


def test_what_waits_for_slow_receivers_has_a_bound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signals, "MAX_WAITING", 3)
    may_return = threading.Event()
    seen: list[events.JobStarted] = []

    def receive(*, events: tuple[Any, ...], **_: Any) -> None:
        seen.extend(events)
        assert may_return.wait(PATIENCE)

    with received(signals.job_started, receive), running_worker() as worker:
        tasks.noop.enqueue()
        wait_until(lambda: seen)
        for _ in range(5):
            tasks.noop.enqueue()
        wait_until(lambda: worker.tally.succeeded == 6)
        may_return.set()
    assert len(seen) == 4
    assert "2 events were not told, since 3 waited" in caplog.text


def test_many_events_are_all_told_in_their_order() -> None:
    ids = [int(tasks.noop.enqueue().id) for _ in range(200)]
    with received(signals.job_started) as began, received(signals.attempt_ended) as ended:
        drain(concurrency=1)
    assert [event.job.id for event in began.seen] == ids
    assert [event.job.id for event in ended.seen] == ids


def test_a_receiver_that_is_gone_is_not_listened_for() -> None:
    ear = Ear()
    signals.attempt_ended.connect(ear)
    assert events.wanted(events.AttemptEnded)
    del ear
    gc.collect()
    tasks.add.enqueue(1)
    drain()
    assert not events.wanted(events.AttemptEnded)


def test_nothing_is_made_for_a_receiver_of_another_sender() -> None:
    ear = Ear()
    signals.attempt_ended.connect(ear, sender=events.JobStarted)
    assert not events.wanted(events.AttemptEnded)
    signals.attempt_ended.disconnect(ear, sender=events.JobStarted)


# --------------------------------------------------------------------------------------------- without a worker at all


def test_what_a_test_drains_is_told_in_its_thread_where_its_transaction_is_seen() -> None:
    counted: list[int] = []

    def receive(**_: Any) -> None:
        counted.append(Group.objects.count())

    with (
        transaction.atomic(),
        received(signals.job_started, receive),
        received(signals.attempt_ended) as ended,
    ):
        tasks.create_group.enqueue("in it")
        Group.objects.create(name="of the test")
        drain_here()
        assert counted == [1]
    assert [event.status for event in ended.seen] == ["succeeded"]
    assert ended.threads == {threading.current_thread()}


# ------------------------------------------------------------------------------------------------------------- control


def jobs(count: int) -> list[int]:
    return [int(tasks.noop.enqueue().id) for _ in range(count)]


def cancelled() -> events.Event:
    ids = jobs(2)
    control.cancel([*ids, 4711])
    return events.JobsCancelled("default", tuple(ids))


def aborted() -> events.Event:
    running, waiting = jobs(2)
    sql("update procrastinate_jobs set status = 'doing' where id = %s", running)
    control.abort([running, waiting])
    return events.JobsAborted("default", (running,), (waiting,))


def retried() -> events.Event:
    ids = jobs(1)
    sql("update procrastinate_jobs set status = 'failed'")
    control.retry(ids, wait=timedelta(minutes=1))
    return events.JobsRetried("default", tuple(ids), timedelta(minutes=1))


def deleted() -> events.Event:
    ids = jobs(1)
    control.delete(ids)
    return events.JobsDeleted("default", tuple(ids))


def paused() -> events.Event:
    control.pause_queue("media", timedelta(hours=1), by="ada")
    return events.QueuePaused("default", "media", timedelta(hours=1), "ada")


def resumed() -> events.Event:
    control.pause_queue("media")
    control.resume_queue("media")
    return events.QueueResumed("default", "media")


def limited() -> events.Event:
    control.limit_queue("media", 3, by="ada")
    return events.QueueLimited("default", "media", 3, "ada")


def told() -> events.Event:
    [[worker_id]] = sql("insert into procrastinate_workers (qt_name) values ('mine') returning id")
    assert control.quiet_worker(worker_id)
    return events.WorkerTold("default", worker_id, "quiet")


def changed() -> events.Event:
    assert schedules.add(Schedule(task=tasks.noop, name="nightly", cron="0 3 * * *"))
    return events.ScheduleChanged("default", "nightly", "added")


CONTROL = {
    "jobs_cancelled": cancelled,
    "jobs_aborted": aborted,
    "jobs_retried": retried,
    "jobs_deleted": deleted,
    "queue_paused": paused,
    "queue_resumed": resumed,
    "queue_limited": limited,
    "worker_told": told,
    "schedule_changed": changed,
}


def test_each_of_control_is_tried_here() -> None:
    assert CONTROL.keys() == {name for name, kind in kinds().items() if issubclass(kind, events.ControlEvent)}


@pytest.mark.parametrize("name", CONTROL)
def test_what_an_operator_does_is_told_in_the_same_transaction_and_thread(name: str) -> None:
    within: list[bool] = []

    def receive(**_: Any) -> None:
        within.append(connection.in_atomic_block)
        Group.objects.create(name="by a receiver")

    signal: signals.EventSignal[Any] = getattr(signals, name)
    signal.connect(receive, weak=False)
    ear = Ear()
    signal.connect(ear)
    try:
        with transaction.atomic():
            done = CONTROL[name]()
            transaction.set_rollback(True)
    finally:
        signal.disconnect(receive)
        signal.disconnect(ear)
    assert ear.seen == [done]
    assert ear.threads == {threading.current_thread()}
    assert within == [True]
    assert not Group.objects.exists()


def test_what_was_not_done_is_not_told() -> None:
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(received(getattr(signals, name))) for name in CONTROL]
        assert control.cancel([4711]) == []
        assert control.abort([4711]) == {}
        assert control.retry([4711]) == []
        assert control.delete([4711]) == []
        assert not control.resume_queue("media")
        assert not control.stop_worker(4711)
    assert [ear.seen for ear in ears] == [[]] * len(CONTROL)


def test_each_change_of_a_schedule_is_told() -> None:
    with received(signals.schedule_changed) as ear:
        changed()
        schedules.pause("nightly")
        schedules.pause("nightly")
        schedules.resume("nightly")
        schedules.override("nightly", cron="0 4 * * *")
        schedules.reset("nightly")
        schedules.reset("nightly")
        schedules.remove("nightly")
    assert [event.change for event in ear.seen] == ["added", "paused", "resumed", "overridden", "reset", "removed"]


def test_a_receiver_that_raises_leaves_the_operators_work_done(caplog: pytest.LogCaptureFixture) -> None:
    bad = raiser(ValueError("receiver"))
    with received(signals.queue_paused, bad), caplog.at_level(logging.ERROR, "queue_tasks"):
        control.pause_queue("media")
    assert "raiser.<locals>.receive of the signal of QueuePaused raised ValueError" in caplog.text
    assert control.resume_queue("media")
