"""Half-open connections: a network that swallows everything and closes nothing is found out, in time, by every role."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from queue_tasks import connections
from queue_tasks.conf import Options
from queue_tasks.connections import Deadline, WorkerConnection, within
from queue_tasks.database_errors import NoAnswer
from queue_tasks.worker import listener
from queue_tasks.worker.heartbeat import Heartbeat
from tests.aliases import alias_of
from tests.chaos.proxy import Proxy
from tests.roles.parts import Calls, Rows
from tests.roles.test_listener import Ears
from tests.waiting import PATIENCE, await_until

NAP = "/* queue_tasks: nap */ select pg_sleep(%(seconds)s)"


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    """The alias "through" leads to the test's database by way of it."""
    with Proxy(dsn) as proxy, alias_of("through", proxy.url):
        yield proxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, where it is not an option; as much as a busy machine needs where it must not be lost."""
    monkeypatch.setattr(connections, "MARGIN", 0.5)
    monkeypatch.setattr(connections, "CONNECT_DEADLINE", 5.0)
    monkeypatch.setattr(listener, "CHECK_EVERY", 0.3)
    monkeypatch.setattr(listener, "ANSWER_WITHIN", 1.0)


@pytest.fixture
async def connection(transactional_db: None, proxy: Proxy, quick: None):
    connection = WorkerConnection("through", "test", statement_timeout=2)
    yield connection
    proxy.heal()
    await connection.close()


async def test_a_call_that_no_answer_comes_to_ends_in_time_and_the_next_one_succeeds(
    connection: WorkerConnection, proxy: Proxy
) -> None:
    assert await connection.rows("select 1") == [(1,)]
    proxy.blackhole()
    begun = time.monotonic()
    with pytest.raises(NoAnswer, match=r"no answer from the database within 2\.5 s"):
        await connection.rows("select 2")
    assert 2.4 < time.monotonic() - begun < PATIENCE
    proxy.heal()
    assert await connection.rows("select 3") == [(3,)]


async def test_a_connection_that_cannot_be_made_ends_in_time(
    connection: WorkerConnection, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_DEADLINE", 1.0)
    proxy.blackhole()
    begun = time.monotonic()
    with pytest.raises(NoAnswer, match="no connection to the database within 1 s"):
        await connection.rows("select 1")
    assert time.monotonic() - begun < PATIENCE


async def test_a_call_that_is_cancelled_while_no_answer_comes_ends_in_time_as_cancelled(
    connection: WorkerConnection, proxy: Proxy
) -> None:
    await connection.rows("select 1")
    proxy.blackhole()
    call = asyncio.create_task(connection.rows("select 2"))
    await await_until(lambda: connection._line is not None and connection._turn.locked())
    call.cancel()
    done, _ = await asyncio.wait([call], timeout=PATIENCE)
    assert done
    assert call.cancelled()


async def test_a_blocked_event_loop_is_not_taken_for_a_silent_server(connection: WorkerConnection) -> None:
    call = asyncio.create_task(connection.rows(NAP, {"seconds": 0.2}))
    await await_until(lambda: connection._line is not None and connection._turn.locked())
    time.sleep(3)  # noqa: ASYNC251 - blocks the loop, as a bad coroutine does
    assert len(await call) == 1


async def test_an_answer_in_time_leaves_no_timer(connection: WorkerConnection) -> None:
    line = await connection.open()
    with Deadline(line, 60) as deadline:
        await line.rows("select 1")
    assert deadline._timer.cancelled()


async def test_the_heartbeat_goes_on_after_its_connection_has_fallen_silent(
    rows: Rows, proxy: Proxy, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    options = Options.read({"database": "through", "heartbeat": 0.1, "dead_after": 3, "statement_timeout": 1})
    worker = rows.db.execute("insert into procrastinate_workers default values returning id").fetchall()[0]["id"]

    def beat():
        return rows.db.execute("select last_heartbeat from procrastinate_workers").fetchall()[0]["last_heartbeat"]

    unknown = Calls()
    async with Heartbeat(options, worker, unknown):
        first = beat()
        await await_until(lambda: beat() > first)
        proxy.blackhole("queue_tasks heartbeat")
        await await_until(lambda: "heartbeat failed (no answer from the database" in caplog.text)
        proxy.heal()
        before = beat()
        await await_until(lambda: beat() > before)
    assert not unknown


async def test_a_heartbeat_without_an_answer_does_not_hold_up_the_worker_s_stop(
    rows: Rows, proxy: Proxy, quick: None
) -> None:
    options = Options.read({"database": "through", "heartbeat": 0.1, "dead_after": 3, "statement_timeout": 1})
    async with Heartbeat(options, 1, Calls()) as heartbeat:
        await await_until(lambda: rows.sessions("queue_tasks heartbeat"))
        proxy.blackhole()
        begun = time.monotonic()
    assert time.monotonic() - begun < 7
    proxy.heal()
    assert heartbeat._thread is not None
    await await_until(lambda: not heartbeat._thread.is_alive())


async def test_a_listener_hears_again_after_its_connection_has_fallen_silent(
    rows: Rows, proxy: Proxy, quick: None, failures: list
) -> None:
    async with Ears(Options.read({"database": "through"})) as ears:
        proxy.blackhole("queue_tasks listen")
        await await_until(lambda: failures)
        proxy.heal()
        await await_until(lambda: len(ears.listening) == 2)
        ears.forget()
        rows.add()
        await await_until(lambda: ears.ready)
    assert isinstance(failures[0].error, NoAnswer)


def test_a_synchronous_call_that_no_answer_comes_to_ends_in_time(transactional_db: None, proxy: Proxy) -> None:
    with psycopg.connect(proxy.url, autocommit=True, application_name="tests.half_open") as raw:
        proxy.blackhole()
        begun = time.monotonic()
        with pytest.raises(NoAnswer), within(raw, 0.5):
            raw.execute("select 1")
        assert time.monotonic() - begun < PATIENCE
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    proxy.heal()


def test_whatever_the_options_say_silence_is_noticed_within_fifteen_seconds() -> None:
    options = Options()
    assert options.statement_timeout + connections.MARGIN <= 15
    assert listener.CHECK_EVERY + listener.ANSWER_WITHIN <= 15
    assert connections.CONNECT_DEADLINE <= 15
