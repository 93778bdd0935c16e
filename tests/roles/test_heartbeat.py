"""Heartbeat: a sign of life as long as the worker lives, and no longer."""

import asyncio
import ctypes
import threading
import time
from datetime import datetime
from functools import partial

import psycopg
import pytest

from queue_tasks.conf import Options
from queue_tasks.store import Store
from queue_tasks.worker.heartbeat import Heartbeat
from queue_tasks.worker.lookout import Find, Lookout
from tests.roles.parts import NOTHING_SEEN, Calls, Rows
from tests.waiting import PATIENCE, await_until, wait_until

SESSION = "queue_tasks heartbeat"


@pytest.fixture
def options() -> Options:
    return Options.read({"heartbeat": 0.1, "dead_after": 5})


def last(rows: Rows) -> datetime:
    found = rows.db.execute("select last_heartbeat from procrastinate_workers").fetchone()
    assert found is not None
    return found["last_heartbeat"]


def later_than(rows: Rows, moment: datetime) -> bool:
    return last(rows) > moment


async def test_it_beats_while_the_worker_lives_and_not_after(store: Store, rows: Rows, options: Options) -> None:
    before = last(rows)
    async with Heartbeat(options, store.worker_id, Calls()):
        await await_until(lambda: last(rows) > before)
        earlier = last(rows)
        await await_until(lambda: last(rows) > earlier)
    await await_until(lambda: not rows.sessions(SESSION))
    assert not any(thread.name == "queue_tasks heartbeat" for thread in threading.enumerate())


async def test_it_beats_while_the_event_loop_is_blocked(store: Store, rows: Rows, options: Options) -> None:
    async with Heartbeat(options, store.worker_id, Calls()):
        await await_until(lambda: rows.sessions(SESSION))
        for _ in range(3):
            before = last(rows)
            wait_until(partial(later_than, rows, before))  # without a turn of the loop


@pytest.mark.parametrize("error", [SystemExit, MemoryError, RuntimeError])
async def test_what_is_thrown_into_its_thread_does_not_end_it(
    store: Store, rows: Rows, options: Options, failures: list, error: type[BaseException]
) -> None:
    async with Heartbeat(options, store.worker_id, Calls()) as heartbeat:
        made = heartbeat.answered_at
        await await_until(lambda: heartbeat.answered_at > made)
        thread = heartbeat._thread.ident
        assert thread is not None
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error)) == 1
        await await_until(lambda: failures)
        assert (failures[0].service, type(failures[0].error)) == ("heartbeat", error)
        before, answered = last(rows), heartbeat.answered_at
        await await_until(lambda: last(rows) > before and heartbeat.answered_at > answered)
        assert heartbeat.alive
        assert heartbeat._thread.ident == thread
        assert len(rows.sessions(SESSION)) == 1
    assert not heartbeat.alive


async def test_it_beats_again_after_its_backend_was_terminated(
    store: Store, rows: Rows, options: Options, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = Calls()
    async with Heartbeat(options, store.worker_id, unknown):
        for _ in range(3):
            await await_until(lambda: rows.sessions(SESSION))
            rows.terminate(SESSION)
            before = last(rows)
            await await_until(partial(later_than, rows, before))
    assert not unknown


async def test_a_long_outage_is_said_once(
    store: Store, rows: Rows, options: Options, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = Options.read({"heartbeat": 0.1, "dead_after": 5, "statement_timeout": 1})
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("select from procrastinate_workers for update")
        async with Heartbeat(options, store.worker_id, Calls()):
            await await_until(lambda: "heartbeat failed" in caplog.text)
            await await_until(lambda: not rows.waits_for_lock(SESSION))
            await await_until(lambda: rows.waits_for_lock(SESSION))
            await await_until(lambda: not rows.waits_for_lock(SESSION))
            other.rollback()
            before = last(rows)
            await await_until(lambda: last(rows) > before)
    assert caplog.text.count("heartbeat failed") == 1


async def test_it_tells_with_each_beat_that_the_worker_is_not_registered_until_it_beats_for_another(
    store: Store, rows: Rows, options: Options
) -> None:
    unknown = Calls()
    async with Heartbeat(options, store.worker_id, unknown) as heartbeat:
        await await_until(lambda: rows.sessions(SESSION))
        rows.db.execute("delete from procrastinate_workers")
        await await_until(lambda: len(unknown) > 1)
        heartbeat.worker_id = await store.workers.register_worker("again", "host", 1, None, 1)
        before = last(rows)
        await await_until(lambda: last(rows) > before)


# ----------------------------------------------------------------------------------------- by others, while all is calm


class Idle:
    """A heartbeat that somebody else may give the signs for, and what it is asked and tells."""

    def __init__(self, **options: float) -> None:
        self.busy, self.carries = False, True
        self.unknown, self.late, self.told, self.ready = Calls(), Calls(), Calls(), Calls()
        lookout = Lookout()
        lookout.call(Find.READY, self.ready)
        self.heartbeat = Heartbeat(
            Options.read(options),
            7,
            self.unknown,
            self.late,
            self.told,
            queues=["a"],
            busy=lambda: self.busy,
            carries=lambda: self.carries,
            lookout=lookout,
        )


def test_nobody_gives_a_sign_in_its_place_before_it_knows_that_no_other_has_a_job() -> None:
    idle = Idle()
    assert (idle.heartbeat.due_in, idle.heartbeat._carried_for) == (None, 0)
    idle.heartbeat.heed(7, NOTHING_SEEN)
    assert 0 < idle.heartbeat.due_in <= 4 < idle.heartbeat._carried_for <= 4.5
    idle.heartbeat.heed(7, NOTHING_SEEN._replace(running=True))
    assert (idle.heartbeat.due_in, idle.heartbeat._carried_for) == (None, 0)


@pytest.mark.parametrize(("busy", "carries"), [(True, True), (False, False)])
def test_nobody_does_with_a_job_in_hand_or_without_ears(busy: bool, carries: bool) -> None:
    idle = Idle()
    idle.heartbeat.heed(7, NOTHING_SEEN)
    assert idle.heartbeat.calm
    idle.busy, idle.carries = busy, carries
    assert (idle.heartbeat.due_in, idle.heartbeat._carried_for) == (None, 0)


def test_nobody_does_where_a_worker_may_not_be_silent_for_long() -> None:
    idle = Idle(heartbeat=5, dead_after=30)
    idle.heartbeat.heed(7, NOTHING_SEEN)
    assert not idle.heartbeat.calm


def test_a_sign_that_did_not_come_is_given_by_itself() -> None:
    idle = Idle()
    idle.heartbeat.heed(7, NOTHING_SEEN)
    idle.heartbeat.answered_at -= 4.4
    assert idle.heartbeat.due_in == 0
    assert 0 < idle.heartbeat._carried_for <= 0.1
    idle.heartbeat.answered_at -= 0.1
    assert idle.heartbeat._carried_for == 0


def test_what_another_was_answered_is_passed_on() -> None:
    idle = Idle()
    idle.heartbeat.heed(7, NOTHING_SEEN._replace(silence=2.1, told="quiet", ready=True))
    assert (idle.told.all, idle.late.all, len(idle.ready)) == ([(7, "quiet")], [], 1)
    idle.heartbeat.heed(7, NOTHING_SEEN._replace(silence=2.3))
    assert idle.late.all == [(2.3,)]
    idle.heartbeat.heed(7, None)
    assert idle.unknown.all == [(7,)]


async def test_it_says_whether_a_job_is_in_hand(store: Store, rows: Rows, options: Options) -> None:
    idle = Idle(heartbeat=0.1, dead_after=5)
    idle.heartbeat.worker_id, idle.carries = store.worker_id, False

    def says(busy: bool) -> bool:
        return rows.db.execute("select qt_busy from procrastinate_workers").fetchone() == {"qt_busy": busy}

    async with idle.heartbeat:
        for idle.busy in (True, False, True):
            await await_until(lambda: says(idle.busy))


async def test_it_stops_at_once_between_two_beats(store: Store, rows: Rows) -> None:
    async with Heartbeat(Options.read({"heartbeat": 60, "dead_after": 200}), store.worker_id, Calls()):
        await await_until(lambda: rows.sessions(SESSION))
        before = time.monotonic()
    assert time.monotonic() - before < PATIENCE


def test_a_loop_that_is_gone_ends_it(options: Options, rows: Rows) -> None:
    """Its worker is not known; there is no loop to tell."""
    heartbeat = Heartbeat(options, 999_999, Calls())

    async def begin() -> None:
        await heartbeat.__aenter__()

    asyncio.run(begin())
    wait_until(lambda: heartbeat._thread is not None and not heartbeat._thread.is_alive())
