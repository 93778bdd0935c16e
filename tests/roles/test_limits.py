"""Limits: TaskTimeout comes up in the body that is late, and nowhere else, whatever that body does."""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction

from queue_tasks.exceptions import TaskTimeout
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.clock import NEVER, Clock, clock
from queue_tasks.worker.limits import Limit, Steps
from queue_tasks.worker.threads import ThreadExecutor
from tests.roles.parts import Gates, Rows
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


# --------------------------------------------------------------------------- what swallows it, what cleans up after it


class ByHand:
    """A body in a thread, and the course of its limit, resumed by the test as the clock would, but at no time."""

    def __init__(self, thread: ThreadPoolExecutor, body: Callable[[], Any]) -> None:
        self.limit = limit_of(0)
        self.course: Generator[float] = self.limit.course(PATIENCE, lambda _: None)
        self.running: Future[Ended] = thread.submit(self.limit.run, body)
        next(self.course)

    def look(self, times: int = 1) -> None:
        """The first look raises."""
        for _ in range(times):
            next(self.course)

    def ended(self) -> Ended:
        return self.running.result(PATIENCE)


class Scene:
    """What a body tells the test, and what it does until it is interrupted, or the test is over."""

    def __init__(self) -> None:
        self.is_in = threading.Event()
        """It is where it is to be interrupted."""
        self.lost = threading.Event()
        """It goes on as if nothing had been raised."""
        self.over = threading.Event()

    def spin(self, until: threading.Event | None = None) -> None:
        while not self.over.is_set() and not (until and until.is_set()):
            pass

    def spin_in(self) -> None:
        self.is_in.set()
        self.spin()


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def thread(scene: Scene) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread
        scene.over.set()
        thread.submit(connections.close_all)


def in_a_finalizer(scene: Scene) -> None:
    class Finalized:
        def __del__(self) -> None:
            scene.spin_in()

    Finalized()


def in_the_callback_of_a_weak_reference(scene: Scene) -> None:
    class Referred:
        pass

    referred = Referred()
    reference = weakref.ref(referred, lambda _: scene.spin_in())
    del referred
    assert reference() is None


def in_a_handler_of_logging(scene: Scene) -> None:
    class Written:
        def write(self, _: str) -> None:
            scene.spin_in()

        def flush(self) -> None:
            """Nothing."""

    logging.StreamHandler(Written()).handle(logging.makeLogRecord({"msg": "a line"}))


def in_a_try_of_its_own(scene: Scene) -> None:
    try:
        scene.spin_in()
    except Exception:  # noqa: BLE001 - as it is done everywhere
        logging.getLogger("tests").debug("one item failed")


@pytest.mark.parametrize(
    "swallow",
    [
        in_a_finalizer,
        in_the_callback_of_a_weak_reference,
        in_a_handler_of_logging,
        in_a_try_of_its_own,
    ],
)
def test_where_it_was_swallowed_it_is_raised_again(
    thread: ThreadPoolExecutor,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    swallow: Callable[[Scene], None],
) -> None:
    # Python says that it ignores it; pytest's hook would keep it.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def body() -> None:
        swallow(scene)
        scene.lost.set()
        scene.spin()

    late = ByHand(thread, body)
    assert scene.is_in.wait(PATIENCE)
    late.look()
    assert scene.lost.wait(PATIENCE)
    late.look(2)
    assert isinstance(late.ended()[1], TaskTimeout)
    # The next job in the thread is none the worse.
    assert thread.submit(lambda: sum(range(100_000))).result(PATIENCE) == 4_999_950_000


@pytest.mark.parametrize("cleans_up", ["finally", "except", "with"])
def test_a_body_that_handles_it_is_not_told_again_however_long_that_takes(
    thread: ThreadPoolExecutor, scene: Scene, cleans_up: str
) -> None:
    tidies, may_end, done = threading.Event(), threading.Event(), []

    def tidy_up() -> None:
        tidies.set()
        scene.spin(until=may_end)
        done.append("tidied up")

    def body() -> None:
        if cleans_up == "finally":
            try:
                scene.spin_in()
            finally:
                tidy_up()
        elif cleans_up == "except":
            try:
                scene.spin_in()
            except TaskTimeout:
                tidy_up()
        else:
            with contextlib.ExitStack() as stack:
                stack.callback(tidy_up)
                scene.spin_in()

    late = ByHand(thread, body)
    assert scene.is_in.wait(PATIENCE)
    late.look()
    assert tidies.wait(PATIENCE)
    late.look(8)
    may_end.set()
    _, error = late.ended()
    assert done == ["tidied up"]
    assert (error is None) == (cleans_up == "except")


def test_a_body_that_has_let_go_of_it_has_time_to_end(thread: ThreadPoolExecutor, scene: Scene) -> None:
    handles, may_let_go, may_end = threading.Event(), threading.Event(), threading.Event()

    def body() -> str:
        try:
            scene.spin_in()
        except TaskTimeout:
            handles.set()
            may_let_go.wait(PATIENCE)
        scene.lost.set()
        scene.spin(until=may_end)
        return "ended by itself"

    late = ByHand(thread, body)
    assert scene.is_in.wait(PATIENCE)
    late.look()
    assert handles.wait(PATIENCE)
    late.look()
    may_let_go.set()
    assert scene.lost.wait(PATIENCE)
    # Now it is seen that it was let go of, and nothing more.
    late.look()
    may_end.set()
    assert late.ended() == ("ended by itself", None)


def test_an_interrupt_that_is_swallowed_again_and_again_lands_in_no_other_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the race above, with bodies that swallow, so that each may be interrupted many times."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    limits: list[Limit] = []
    over = threading.Event()
    raised = 0

    class Finalized:
        def __del__(self) -> None:
            [len(str(n)) for n in range(5)]

    def interrupt() -> None:
        nonlocal raised
        while not over.is_set():
            for limit in limits[:1]:
                raised += limit._interrupt(limit._token)

    def body() -> int:
        return len([Finalized() for _ in range(5)])

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    bodies, landed, ended, before = 0, 0, 0, time.monotonic()
    try:
        while time.monotonic() - before < 3 or (
            (raised <= landed + 10 or min(landed, ended) <= 10) and time.monotonic() - before < PATIENCE
        ):
            limit = limit_of(60)
            limits.append(limit)
            value, error = limit.run(body)
            limits.clear()
            bodies += 1
            assert error is None or isinstance(error, TaskTimeout), error
            assert (value is None) == (error is not None)
            landed += error is not None
            ended += error is None
    finally:
        over.set()
        interrupter.join()
    assert landed > 10
    assert ended > 10
    assert raised > landed + 10


def test_a_body_that_dies_of_a_query_that_was_cancelled_was_too_late(thread: ThreadPoolExecutor, rows: Rows) -> None:
    """As when the exception itself was swallowed."""
    limit = limit_of(60)

    def die() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select pg_cancel_backend(pg_backend_pid())")
            cursor.fetchone()

    def body() -> None:
        with contextlib.suppress(TaskTimeout):
            limit._interrupt(limit._token)
        die()

    _, error = thread.submit(limit.run, body).result(PATIENCE)
    assert type(error) is TaskTimeout
    assert isinstance(error.__cause__, OperationalError)
    # Not without having been interrupted: whoever cancels a query has his reasons.
    _, error = thread.submit(limit_of(60).run, die).result(PATIENCE)
    assert isinstance(error, OperationalError)


@pytest.mark.parametrize("listens", [False, True])
def test_a_body_whose_query_tells_of_something_meanwhile_is_told_by_its_cancellation(
    thread: ThreadPoolExecutor, rows: Rows, scene: Scene, listens: bool
) -> None:
    """libpq calls Python for a notice: an exception that comes up there is swallowed by psycopg."""
    gate = Gates(rows)
    found: list[Any] = []

    def body() -> None:
        connection.ensure_connection()
        if listens:
            connection.connection.add_notice_handler(lambda _: scene.spin_in())
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "do $$ begin perform pg_advisory_xact_lock(1); raise notice 'passed'; perform pg_sleep(60); end $$"
                )
        finally:
            with connection.cursor() as cursor:
                cursor.execute("select 40 + 2")
                found.append(cursor.fetchone())

    late = ByHand(thread, body)
    wait_until(gate.sessions_at)
    if listens:
        gate.open()
        assert scene.is_in.wait(PATIENCE)
    late.look()
    if not listens:
        gate.open()
    try:
        assert isinstance(late.ended()[1], TaskTimeout)
    finally:
        # What hangs ends with its session.
        rows.db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where query like 'do $$%' and datname = current_database()"
        )
    assert found == [(42,)]


def test_the_query_of_the_next_body_is_not_cancelled_for_one_that_has_ended(
    thread: ThreadPoolExecutor, rows: Rows
) -> None:
    gate = Gates(rows)
    begun = threading.Event()

    def pass_gate() -> str:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(1)")
        return "passed"

    limit = limit_of(60)
    ended = thread.submit(limit.run, begun.wait, PATIENCE)
    # The clock is about to raise, and the body ends: what was raised is taken back.
    wait_until(lambda: limit._token)
    token = limit._token
    turn = token.pop()
    begun.set()
    wait_until(lambda: limit._token is not token)
    limit._raised = turn
    assert ended.result(PATIENCE) == (True, None)
    following = thread.submit(pass_gate)
    wait_until(gate.sessions_at)
    # It has not heard yet that the body has ended.
    course = limit._course_of_raised(token, PATIENCE)
    next(course)
    next(course)
    for each in threading.enumerate():
        if each.name == "queue_tasks cancel":
            each.join(PATIENCE)
    gate.open()
    assert following.result(PATIENCE) == "passed"


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
                # The connection is there to clean up with.
                with connection.cursor() as cursor:
                    cursor.execute("select 1")
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
