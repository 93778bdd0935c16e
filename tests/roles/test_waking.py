"""Waking: when the fetcher looks. No poll helps here, so a wake-up that were lost would hang the test.

A worker without its other roles: store, fetcher, listener and waking on a real database, with jobs that end at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.rows import dict_row

from queue_tasks.conf import Options
from queue_tasks.jobs import FetchedJob
from queue_tasks.store import Store
from queue_tasks.worker import waking as module
from queue_tasks.worker.fetcher import Fetcher
from queue_tasks.worker.listener import ANY_QUEUE, Listener, named_workers
from queue_tasks.worker.waking import CALLS, LOOK_AT_LEAST_EVERY, LOOK_TOGETHER, Waking
from tests.roles.parts import Calls, Rows
from tests.waiting import await_until

NEVER = 600  # seconds: the poll that is not to help


class Sleeper:
    """A worker, as far as it is woken."""

    def __init__(self, options: Options, store: Store, queues: Sequence[str] | None, slots: int) -> None:
        self.ran: list[int] = []
        self.looks = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.store = store
        self.fetcher = Fetcher(
            store.jobs,
            queues=queues,
            slots=slots,
            max_prefetch=0,
            poll_interval=NEVER,
            run_job=self.run_job,
            release=lambda _: None,
            backlog=lambda: 0,
            on_unknown=Calls(),
            last_chance=2,
            rest=self.rest,
        )
        self.waking = Waking(
            store.workers,
            queues,
            NEVER,
            wake=self.fetcher.wake,
            look=self.fetcher.look,
            has_room=lambda: self.fetcher.hand.has_free_slot,
        )
        self.listener = Listener(
            options,
            store.worker_id,
            queues,
            on_ready=self.waking.hear,
            on_scheduled=Calls(),
            on_schedules=Calls(),
            on_abort=Calls(),
            on_listening=self.waking.begin,
        )
        for service in (self.fetcher, self.waking, self.listener):
            service.worker_id = store.worker_id

    async def run_job(self, job: FetchedJob) -> None:
        self.ran.append(job.id)
        await self.may_end.wait()

    async def rest(self, wake: asyncio.Event, taken: int, full: bool) -> None:
        self.looks += 1
        await self.waking.rest(wake, taken, full)

    async def get_up(self) -> None:
        """Be told so often that it looks by itself."""
        for _ in range(CALLS):
            self.waking.hear([0])
        await await_until(lambda: self.waking.awake)

    def lie_down(self) -> None:
        """Let it be as if nothing had come for long."""
        self.waking._quiet_since = float("-inf")
        self.fetcher.wake()


@pytest.fixture(autouse=True)
def awake_until_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not send it to sleep before a test has done what it is awake for."""
    monkeypatch.setattr(module, "QUIET", 3600)
    # What gets it up is a matter of a test of its own.
    monkeypatch.setattr(module, "CROWD", 0)


@asynccontextmanager
async def sleeping(options: Options, queues: Sequence[str] | None = None, slots: int = 10) -> AsyncIterator[Sleeper]:
    """One that sleeps, known to all."""
    store = Store(options)
    await store.workers.register_worker("role", "host", 1, queues, slots)
    sleeper = Sleeper(options, store, queues, slots)
    try:
        async with sleeper.fetcher, sleeper.waking, sleeper.listener:
            await await_until(lambda: sleeper.waking._lay_down_at and sleeper.waking.asleep)
            yield sleeper
            sleeper.may_end.set()
            await sleeper.fetcher.hand.until_quiet()
    finally:
        await store.close()


@pytest.fixture
def other(dsn: str, db: Any) -> Any:
    """Another session, in which transactions are left open."""
    with psycopg.connect(dsn, autocommit=True, application_name="tests.other", row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def heard(dsn: str, db: Any) -> Any:
    """What is said to workers of all queues."""
    with psycopg.connect(dsn, autocommit=True, application_name="tests.ear") as connection:
        connection.execute(f"listen {ANY_QUEUE}".encode())

        def since() -> list[str]:
            connection.execute("select 1")
            return [notice.payload for notice in connection.notifies(timeout=0)]

        yield since


def noted(rows: Rows) -> dict[int, bool]:
    found = rows.db.execute("select worker_id, asleep from queue_tasks_listeners")
    return {row["worker_id"]: row["asleep"] for row in found}


async def fill(rows: Rows, busy: Sleeper, idle: Sleeper) -> None:
    """Give jobs to two until the first has one, which it holds."""
    busy.may_end.clear()
    jobs = 0
    while not busy.ran:
        rows.add()
        jobs += 1
        await await_until(lambda: len(busy.ran) + len(idle.ran) == jobs)  # noqa: B023


def add(connection: Any) -> int:
    return Rows(connection).add()[0]


async def test_it_says_that_it_sleeps_and_is_woken(
    rows: Rows, options: Options, heard: Callable[[], list[str]]
) -> None:
    async with sleeping(options) as sleeper:
        assert noted(rows) == {sleeper.store.worker_id: True}
        (job,) = rows.add()
        await await_until(lambda: sleeper.ran == [job])
        assert [named_workers(payload) for payload in heard()] == [[sleeper.store.worker_id]]
    assert noted(rows) == {}, "who has left is not waited for"


async def test_told_often_it_looks_by_itself_and_nobody_need_tell_it(
    rows: Rows, options: Options, heard: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 60)
    async with sleeping(options) as sleeper:
        for _ in range(CALLS):
            rows.add()
        await await_until(lambda: sleeper.waking.awake)
        assert noted(rows) == {sleeper.store.worker_id: False}
        heard()
        rows.add()
        assert heard() == []
        await await_until(lambda: len(sleeper.ran) == CALLS + 1)


async def test_told_often_by_one_who_writes_alone_it_sleeps_on(
    rows: Rows, options: Options, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CROWD", 4)
    monkeypatch.setattr(module, "WINDOW", 0.0)
    monkeypatch.setattr(module, "CALLS", 1)
    async with sleeping(options) as sleeper:
        for count in range(1, 2 * CALLS):
            rows.add()
            await await_until(partial(lambda wanted: len(sleeper.ran) == wanted, count))
        assert not sleeper.waking.awake
        assert sleeper.waking._count_at > 0, "it has counted who writes"
        async with contextlib.AsyncExitStack() as crowd:
            for _ in range(4):
                writer = await crowd.enter_async_context(await psycopg.AsyncConnection.connect(dsn))
                await writer.execute("select queue_tasks_enqueue_v1('none')")
                crowd.push_async_callback(writer.rollback)
            rows.add()
            await await_until(lambda: sleeper.waking.awake)


async def test_when_nothing_comes_it_lies_down_and_is_told_again(
    rows: Rows, options: Options, heard: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.05)
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        await await_until(lambda: sleeper.waking.asleep)
        assert noted(rows) == {sleeper.store.worker_id: True}
        looks = sleeper.looks
        (job,) = rows.add()
        await await_until(lambda: sleeper.ran == [job])
        assert len(heard()) == 1
        assert sleeper.looks - looks <= 2, "the last look before it sleeps, and the one it was told to"


@pytest.mark.parametrize("savepoint", [False, True])
async def test_a_transaction_that_kept_silent_is_waited_for(
    rows: Rows, options: Options, other: Any, heard: Callable[[], list[str]], savepoint: bool
) -> None:
    """It looked while the worker was awake, and commits when that has long lain down."""
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        with other.transaction(), other.transaction() if savepoint else contextlib.nullcontext():
            job = add(other)
            sleeper.lie_down()
            await await_until(lambda: sleeper.waking._writers.known)
            assert noted(rows) == {sleeper.store.worker_id: True}
            looks = sleeper.looks
            await await_until(lambda: sleeper.looks > looks + 3)
            assert not sleeper.waking.asleep
            assert sleeper.ran == []
        await await_until(lambda: sleeper.ran == [job])
        assert heard() == []
        await await_until(lambda: sleeper.waking.asleep)


async def test_while_a_transaction_is_waited_for_no_look_is_sent_before_its_turn(
    rows: Rows, options: Options, other: Any
) -> None:
    """The last one must come after it has heard that the transaction is over."""
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        sleeper.waking._look_now = sent = Calls()
        with other.transaction():
            job = add(other)
            sleeper.lie_down()
            await await_until(lambda: sleeper.waking._writers.known)
            sleeper.waking.hear([sleeper.store.worker_id])
            assert not sent
        await await_until(lambda: sleeper.ran == [job] and sleeper.waking.asleep)
        sleeper.waking.hear([sleeper.store.worker_id])
        assert sent


async def test_an_open_transaction_that_only_reads_or_came_later_is_not_waited_for(
    rows: Rows, options: Options, other: Any, heard: Callable[[], list[str]], dsn: str
) -> None:
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        with other.transaction():
            other.execute("select from procrastinate_jobs")
            other.execute("create temporary table elsewhere (id int)")
            sleeper.lie_down()
            await await_until(lambda: sleeper.waking.asleep)
            job = add(other)
        await await_until(lambda: sleeper.ran == [job])
        assert len(heard()) == 1


async def test_one_long_transaction_is_looked_after_more_and_more_seldom(
    rows: Rows, options: Options, other: Any
) -> None:
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        with other.transaction():
            job = add(other)
            sleeper.lie_down()
            await await_until(lambda: sleeper.waking._writers.known)
            # As if it had been open for a minute and more.
            sleeper.waking._lay_down_at -= 8 * NEVER
            looks = sleeper.looks
            rows.add()
            await await_until(lambda: len(sleeper.ran) == 1)
            assert sleeper.looks <= looks + 3, "what is told meanwhile is found at once"
        sleeper.waking._lay_down_at += 8 * NEVER
        sleeper.fetcher.wake()
        await await_until(lambda: job in sleeper.ran)


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
async def test_an_old_snapshot_tells_it_though_it_shows_it_awake(
    rows: Rows, options: Options, other: Any, heard: Callable[[], list[str]], level: IsolationLevel
) -> None:
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        other.isolation_level = level
        with other.transaction():
            assert noted(Rows(other)) == {sleeper.store.worker_id: False}
            sleeper.lie_down()
            await await_until(lambda: sleeper.waking.asleep)
            assert noted(Rows(other)) == {sleeper.store.worker_id: False}
            job = add(other)
        await await_until(lambda: sleeper.ran == [job])
        assert len(heard()) == 1


async def test_who_has_no_room_passes_it_on(rows: Rows, options: Options, heard: Callable[[], list[str]]) -> None:
    async with sleeping(options, slots=1) as busy, sleeping(options, slots=10) as idle:
        await fill(rows, busy, idle)
        heard()
        jobs = rows.add(5)
        await await_until(lambda: set(jobs) <= set(idle.ran))
        both = {busy.store.worker_id, idle.store.worker_id}
        assert both in [set(named_workers(payload) or ()) for payload in heard()]


async def test_who_cannot_take_all_tells_the_others(rows: Rows, options: Options) -> None:
    """A statement with many jobs names two, and all that sleep have something to do."""
    async with (
        sleeping(options, slots=2) as one,
        sleeping(options, slots=2) as two,
        sleeping(options, slots=2) as three,
        sleeping(options, slots=2) as four,
    ):
        fleet = (one, two, three, four)
        for sleeper in fleet:
            sleeper.may_end.clear()
        rows.add(8)
        await await_until(lambda: all(len(sleeper.ran) == 2 for sleeper in fleet))


async def test_the_second_looks_when_the_first_does_not(rows: Rows, options: Options) -> None:
    """The first is one that was killed, and whose row nobody has removed yet."""
    async with sleeping(options) as sleeper:
        rows.db.execute(
            "with ghost as (insert into procrastinate_workers (qt_name) values ('ghost') returning id) "
            "insert into queue_tasks_listeners (worker_id, asleep) select id, true from ghost"
        )
        for number in range(8):
            rows.add()
            await await_until(lambda: len(sleeper.ran) == number + 1)  # noqa: B023


async def test_one_job_is_looked_for_by_two_at_the_most(rows: Rows, options: Options) -> None:
    async with (
        sleeping(options) as one,
        sleeping(options) as two,
        sleeping(options) as three,
        sleeping(options) as four,
    ):
        fleet = (one, two, three, four)
        looks = sum(sleeper.looks for sleeper in fleet)
        for number in range(5):
            rows.add()
            await await_until(lambda: sum(len(sleeper.ran) for sleeper in fleet) == number + 1)  # noqa: B023
            # The second has its turn.
            await await_until(lambda: all(sleeper.waking._second is None for sleeper in fleet))
        # Two for each job, and the last looks before each fell asleep.
        assert sum(sleeper.looks for sleeper in fleet) - looks <= 5 * 2 + len(fleet)


async def test_many_that_are_awake_look_together_as_often_as_one(rows: Rows, options: Options) -> None:
    async with sleeping(options) as one, sleeping(options) as two, sleeping(options, ["elsewhere"]) as three:
        for sleeper, listeners in ((one, 3), (two, 3), (three, 3)):
            await sleeper.get_up()
            assert sleeper.waking._slowest == pytest.approx(min(listeners * LOOK_TOGETHER, LOOK_AT_LEAST_EVERY))


async def test_full_and_awake_it_hides_no_job_from_one_that_sleeps(
    rows: Rows, options: Options, heard: Callable[[], list[str]]
) -> None:
    async with sleeping(options, slots=1) as full, sleeping(options) as idle:
        await fill(rows, full, idle)
        await full.get_up()
        heard()
        (job,) = rows.add()
        await await_until(lambda: job in idle.ran)
        # Beside it there may be what the full one has passed on.
        assert [idle.store.worker_id] in [named_workers(payload) for payload in heard()]


async def test_after_its_row_was_lost_it_is_told_and_notes_itself_anew(rows: Rows, options: Options) -> None:
    async with sleeping(options) as sleeper:
        rows.db.execute("truncate queue_tasks_listeners")
        (job,) = rows.add()
        await await_until(lambda: sleeper.ran == [job])
        lay_down_at = sleeper.waking._lay_down_at
        rows.terminate("queue_tasks listen")
        await await_until(lambda: sleeper.waking._lay_down_at > lay_down_at)
        assert noted(rows) == {sleeper.store.worker_id: True}


async def test_a_database_that_refuses_its_notes_leaves_it_awake(
    rows: Rows, options: Options, failures: list[Any]
) -> None:
    async with sleeping(options) as sleeper:
        await sleeper.get_up()
        rows.db.execute("alter table queue_tasks_listeners rename to elsewhere")
        sleeper.lie_down()
        looks = sleeper.looks
        await await_until(lambda: sleeper.looks > looks + 10)
        assert sleeper.waking.awake
        rows.db.execute("alter table elsewhere rename to queue_tasks_listeners")
        await await_until(lambda: sleeper.waking.asleep)
    assert not failures


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ('{"type": "job_inserted", "job_id": 0}', None),
        ('{"type": "job_inserted", "job_id": 0, "workers": [3, 5]}', [3, 5]),
        ('{"workers": []}', None),
        ('{"workers": "all"}', None),
        ('{"workers": [1.5]}', None),
        ('{"workers": [true]}', None),
        ('{"workers": {"1": 2}}', None),
        ('"workers"', None),
        ('{"workers": [' + "[" * 3900, None),
        ('["workers"]', None),
        ("garbage", None),
        ("", None),
    ],
)
def test_what_names_nobody_is_told_to_everybody(payload: str, names: list[int] | None) -> None:
    assert named_workers(payload) == names
    assert names is None or json.loads(payload)["workers"] == names
