"""Limits: TaskTimeout comes up in the body that is late, and nowhere else, whatever that body does."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from queue_tasks.exceptions import TaskTimeout
from queue_tasks.worker.clock import NEVER, Clock, clock
from queue_tasks.worker.limits import Limit, Steps
from queue_tasks.worker.threads import ThreadExecutor
from tests.roles.parts import Rows
from tests.waiting import PATIENCE, await_until, wait_until

OWNER = "job 1 (tests)"


@pytest.fixture
async def threads() -> AsyncIterator[ThreadExecutor]:
    """With patience for bodies that clean up, on a machine with too much to do."""
    executor = ThreadExecutor(4, patience=PATIENCE)
    yield executor
    executor.close()
    assert await asyncio.to_thread(executor.join, PATIENCE)


@pytest.fixture
def impatient(threads: ThreadExecutor) -> ThreadExecutor:
    """Soon gives up what does not end."""
    threads._patience = 0.3
    return threads


def limit_of(seconds: float) -> Limit:
    return Limit("tests.late", seconds, time.monotonic() + seconds)


def sleeping(rows: Rows) -> list[Any]:
    """Sessions of this database that sleep in a query."""
    return rows.db.execute(
        "select pid from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active' "
        "and datname = current_database()"
    ).fetchall()


def spin() -> None:
    while True:
        pass


# ------------------------------------------------------------------------------------------------------------- threads


async def test_a_body_is_interrupted_and_cleans_up(threads: ThreadExecutor) -> None:
    done: list[str] = []

    def body() -> None:
        try:
            spin()
        except TaskTimeout as exc:
            done.append(str(exc))
            raise
        finally:
            done.append("tidied up")

    value, error = await threads.run(body, OWNER, limit_of(0.1))
    assert value is None
    assert type(error).__module__ + "." + type(error).__qualname__ == "queue_tasks.exceptions.TaskTimeout"
    assert done == ["Task tests.late ran longer than its timeout of 0.1 s and was stopped.", "tidied up"]
    assert len(threads._threads) == 1


async def test_the_next_job_in_the_thread_is_none_the_worse(threads: ThreadExecutor) -> None:
    for _ in range(5):
        assert isinstance((await threads.run(spin, OWNER, limit_of(0.02)))[1], TaskTimeout)
        assert await threads.run(lambda: sum(range(100_000)), OWNER) == (4_999_950_000, None)
    assert len(threads._threads) == 1


async def test_a_body_that_swallows_it_and_returns_has_succeeded(threads: ThreadExecutor) -> None:
    def body() -> str:
        try:
            spin()
        except TaskTimeout:
            return "ended by itself"
        return "never"

    assert await threads.run(body, OWNER, limit_of(0.1)) == ("ended by itself", None)


async def test_a_body_in_time_is_left_alone_and_forgotten(threads: ThreadExecutor) -> None:
    watched = len(clock._dues)
    assert await threads.run(lambda: 17, OWNER, limit_of(60)) == (17, None)
    assert len(clock._dues) == watched


def test_an_interrupt_at_any_moment_lands_in_the_body_or_nowhere() -> None:
    """The clock and the end of a body race: thousands of bodies, each interrupted as it is about to end."""
    limits: list[Limit] = []
    over = threading.Event()

    def interrupt() -> None:
        while not over.is_set():
            if limits:
                limit = limits.pop()
                limit._interrupt(limit._token)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    landed, ended, before = 0, 0, time.monotonic()
    try:
        while time.monotonic() - before < 3 or (min(landed, ended) <= 10 and time.monotonic() - before < PATIENCE):
            limit = limit_of(60)
            limits.append(limit)
            # Each call of Python is a point at which an exception may come up.
            value, error = limit.run(lambda: [len(str(n)) for n in range(20)])
            assert error is None or isinstance(error, TaskTimeout), error
            assert (value is None) == (error is not None)
            landed += error is not None
            ended += error is None
            limits.clear()
    finally:
        over.set()
        interrupter.join()
    # Neither all nor none: the race was one.
    assert landed > 10
    assert ended > 10


@pytest.mark.parametrize("waits", ["as it is", "in Python"])
async def test_a_body_in_a_query_is_told_by_its_cancellation(
    threads: ThreadExecutor, rows: Rows, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    if waits == "in Python":
        # As psycopg does without its C.
        monkeypatch.setattr(psycopg.waiting, "wait", psycopg.waiting.wait_selector)
    sessions: list[int] = []
    left: list[Any] = []

    def session() -> int:
        with connection.cursor() as cursor:
            cursor.execute("select pg_backend_pid()")
            return int(cursor.fetchone()[0])

    def body() -> None:
        sessions.append(session())
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("select pg_sleep(60)")
        except TaskTimeout:
            left.extend(sleeping(rows))
            # Its connection is there to clean up with, and the transaction was rolled back.
            sessions.append(session())
            raise

    _, error = await threads.run(body, OWNER, limit_of(0.2))
    assert isinstance(error, TaskTimeout)
    assert not left
    assert sessions == [sessions[0]] * 2
    # The thread is none the worse, and has another.
    found, error = await threads.run(session, OWNER)
    assert error is None
    assert found != sessions[0]


async def test_what_an_interrupted_body_had_not_committed_is_undone(threads: ThreadExecutor, rows: Rows) -> None:
    from django.contrib.auth.models import Group

    spins = threading.Event()

    def body() -> None:
        Group.objects.create(name="kept")
        with transaction.atomic():
            Group.objects.create(name="undone")
            spins.set()
            spin()

    limit = limit_of(60)
    running = asyncio.ensure_future(threads.run(body, OWNER, limit))
    await await_until(spins.is_set)
    assert limit._interrupt(limit._token)
    _, error = await running
    assert isinstance(error, TaskTimeout)
    found = await threads.run(lambda: list(Group.objects.values_list("name", flat=True)), OWNER)
    assert found == (["kept"], None)


async def test_a_body_that_ignores_it_is_given_up_and_its_thread_replaced(
    impatient: ThreadExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    threads, go = impatient, threading.Event()
    said: list[str] = []
    threads._on_stuck = said.append
    of_others = set(threading.enumerate())

    def ignore() -> str:
        while not go.is_set():
            try:
                while not go.is_set():
                    go.wait(0.01)
            except TaskTimeout:
                continue
        return "late"

    with caplog.at_level(logging.ERROR, "queue_tasks.worker"):
        value, error = await threads.run(ignore, OWNER, limit_of(0.1))
        # Said after the job is given up: what says it may be what is stuck.
        await await_until(lambda: caplog.records)
    assert value is None
    assert isinstance(error, TaskTimeout)
    assert said == [f"{OWNER} ignores its timeout"]
    (record,) = caplog.records
    assert "in ignore" in record.getMessage()
    # All four slots are there, beside the stuck thread.
    meeting = threading.Barrier(4, timeout=PATIENCE)
    zombie = next(each for each in set(threading.enumerate()) - of_others if each.name == "queue_tasks 1")
    ended = await asyncio.gather(*(threads.run(lambda: meeting.wait() >= 0, OWNER) for _ in range(4)))
    assert ended == [(True, None)] * 4
    # Its late end changes nothing, but that it ends.
    go.set()
    await asyncio.to_thread(zombie.join, PATIENCE)
    assert not zombie.is_alive()
    assert len(threads._threads) == 4


async def test_a_body_stuck_in_c_is_given_up_as_well(impatient: ThreadExecutor) -> None:
    go = threading.Event()
    begun = time.monotonic()
    _, error = await impatient.run(lambda: go.wait(60), OWNER, limit_of(0.1))
    assert isinstance(error, TaskTimeout)
    assert time.monotonic() - begun < 30
    go.set()


# --------------------------------------------------------------------------------------------------------------- loops


async def test_a_coroutine_step_by_step_is_the_coroutine() -> None:
    async def inner(number: int) -> int:
        await asyncio.sleep(0)
        if number < 0:
            raise KeyError(number)
        return number

    async def body() -> list[int]:
        found = [await inner(n) for n in range(3)]
        try:
            await inner(-1)
        except KeyError:
            found.append(await asyncio.wait_for(inner(7), PATIENCE))
        return found

    assert await Steps(body(), limit_of(60)) == [0, 1, 2, 7]
    with pytest.raises(KeyError):
        await Steps(inner(-1), limit_of(60))
    sleeping = asyncio.create_task(wait_for(Steps(asyncio.sleep(60), limit_of(60))))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping


async def wait_for(steps: Steps) -> Any:
    return await steps


async def test_a_coroutine_that_blocks_the_loop_is_interrupted_within_its_step() -> None:
    async def body() -> None:
        await asyncio.sleep(0)
        spin()

    limit = limit_of(0.1)
    course = limit.course_on_loop(5, lambda: False, lambda _: None)
    clock.watch(course)
    with pytest.raises(TaskTimeout):
        await Steps(body(), limit)
    clock.forget(course)
    # The loop is as it was.
    assert await asyncio.wait_for(asyncio.sleep(0, "turns"), PATIENCE) == "turns"


async def test_a_coroutine_that_blocks_the_loop_whatever_is_done_is_reported_as_stuck() -> None:
    stuck: list[str] = []
    go = threading.Event()

    def on_stuck(limit: Limit) -> None:
        stuck.append(limit.stack())
        go.set()

    async def body() -> None:
        go.wait(60)

    limit = limit_of(0.1)
    course = limit.course_on_loop(0.2, lambda: False, on_stuck)
    clock.watch(course)
    with pytest.raises(TaskTimeout):
        await Steps(body(), limit)
    clock.forget(course)
    assert "in body" in stuck[0]


@pytest.mark.parametrize("waits", ["as it is", "in Python"])
async def test_a_coroutine_that_blocks_the_loop_with_queries_is_told_by_their_cancellation(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    if waits == "in Python":
        monkeypatch.setattr(psycopg.waiting, "wait", psycopg.waiting.wait_selector)
    told: list[bool] = []
    stuck: list[Limit] = []

    async def body() -> None:
        for _ in range(2):
            await asyncio.sleep(0)
            # A course has patience after each raise: a second one, within the next step, need not wait for it.
            limit.deadline = time.monotonic() + 0.1
            course = limit.course_on_loop(PATIENCE, lambda: False, stuck.append)
            try:
                clock.watch(course)
                with connection.cursor() as cursor:
                    cursor.execute("select pg_sleep(60)")
            except TaskTimeout:
                told.append(not sleeping(rows))
            finally:
                clock.forget(course)

    limit = limit_of(60)
    try:
        await Steps(body(), limit)
    finally:
        connection.close()
    assert told == [True, True]
    assert not stuck


async def test_a_coroutine_that_waits_for_a_query_in_its_thread_is_told_by_its_cancellation(rows: Rows) -> None:
    from asgiref.sync import sync_to_async

    from tests.roles.test_execution import Bench

    bench = Bench(timeout_patience=0.2)

    def sleep() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select pg_sleep(60)")

    async def body() -> None:
        await sync_to_async(sleep)()

    begun = time.monotonic()
    limit = limit_of(0.2)
    _, error = await asyncio.create_task(bench.loops.run(lambda: bench.execution._within(limit, body()), OWNER))
    assert isinstance(error, TaskTimeout)
    assert time.monotonic() - begun < 30
    await await_until(lambda: not sleeping(rows))
    await bench.close()


async def test_a_step_that_ends_as_it_is_interrupted_is_told_at_its_next() -> None:
    """As the race test above, for coroutines: none is left hanging, none leaks."""
    for number in range(300):
        told: list[str] = []
        limit = limit_of(60)

        async def body(told: list[str] = told) -> str:
            try:
                for _ in range(200):
                    await asyncio.sleep(0)
            except TaskTimeout:
                told.append("told")
                raise
            finally:
                told.append("tidied up")
            return "ended"

        started = asyncio.create_task(wait_for(Steps(body(), limit)))
        racer = threading.Thread(target=hit, args=(limit, number % 20))
        racer.start()
        try:
            assert await started == "ended"
            assert told == ["tidied up"]
        except TaskTimeout:
            assert told[-1:] == ["tidied up"] or told == []
        racer.join()


def hit(limit: Limit, tries: int) -> None:
    for _ in range(1000 * (tries + 1)):
        if limit._interrupt(limit._token):
            return


# --------------------------------------------------------------------------------------------------------------- clock


@pytest.fixture
def own_clock() -> Clock:
    return Clock()


def test_the_clock_resumes_each_course_at_its_times_and_drops_it_at_its_end(own_clock: Clock) -> None:
    late: dict[str, list[float]] = {"slow": [], "quick": []}

    def course(name: str, *waits: float) -> Iterator[float]:
        for wait in waits:
            due = time.monotonic() + wait
            yield due
            late[name].append(time.monotonic() - due)

    own_clock.watch(course("slow", 0.3))
    own_clock.watch(course("quick", 0.05, 0.05))
    wait_until(lambda: [len(each) for each in late.values()] == [1, 2])
    assert min(*late["slow"], *late["quick"]) >= 0
    wait_until(lambda: not own_clock._dues)
    wait_until(lambda: own_clock._next == NEVER)


def test_a_course_that_raises_is_dropped_and_harms_no_other(own_clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def broken() -> Iterator[float]:
        yield time.monotonic()
        raise RuntimeError("on purpose")

    def sound() -> Iterator[float]:
        yield time.monotonic() + 0.1
        seen.append("sound")

    own_clock.watch(broken())
    own_clock.watch(sound())
    wait_until(lambda: seen)
    assert "what was due could not be done" in caplog.text


def test_a_course_that_is_forgotten_is_not_resumed(own_clock: Clock) -> None:
    seen: list[str] = []

    def course(name: str, wait: float) -> Iterator[float]:
        yield time.monotonic() + wait
        seen.append(name)

    forgotten = course("forgotten", 1)
    own_clock.watch(forgotten)
    own_clock.forget(forgotten)
    own_clock.watch(course("kept", 1.1))
    wait_until(lambda: seen)
    assert seen == ["kept"]
