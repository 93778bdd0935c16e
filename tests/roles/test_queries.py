"""Queries: another thread cancels them, and harms nobody else by that, whatever libpq and network do."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections

from queue_tasks.exceptions import TaskTimeout
from queue_tasks.worker import queries
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.clock import clock
from queue_tasks.worker.limits import Limit
from queue_tasks.worker.queries import cancel_queries
from queue_tasks.worker.threads import ThreadExecutor
from tests.aliases import alias_of
from tests.chaos.proxy import CANCELS, Proxy
from tests.roles.parts import Gates, Rows
from tests.roles.test_execution import Bench
from tests.waiting import PATIENCE, START, await_until, wait_until

NAP = "select pg_sleep(600)"

PROGRAM = f"""
import sys
import threading
import django
import psycopg
django.setup()
from django.db import connection
from queue_tasks.worker.queries import cancel_queries

psycopg.capabilities.has_cancel_safe = lambda check=False: False

def nap():
    with connection.cursor() as cursor:
        cursor.execute("{NAP}")

thread = threading.Thread(target=nap, daemon=True)
thread.start()
for line in sys.stdin:
    if line == "cancel\\n":
        cancel_queries(thread.ident)
    print(line, end="", flush=True)
"""
"""Cancels a query when told to, as with an old libpq, and says again whatever it is told."""


def is_napping(rows: Rows) -> bool:
    found = rows.db.execute(
        "select from pg_stat_activity where query = %s and state = 'active' and datname = current_database()", [NAP]
    )
    return bool(found.fetchall())


@pytest.mark.parametrize("libpq", ["as it is", "an old one"])
def test_a_query_is_cancelled_and_its_connection_stays(rows: Rows, monkeypatch: pytest.MonkeyPatch, libpq: str) -> None:
    if libpq == "an old one":
        monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda: False)
    said: list[object] = []

    def nap() -> None:
        try:
            with connection.cursor() as cursor:
                try:
                    cursor.execute(NAP)
                except OperationalError as exc:
                    said.append(exc.__cause__)
                cursor.execute("select 40 + 2")
                said.append(cursor.fetchone())
        finally:
            connection.close()

    thread = threading.Thread(target=nap)
    thread.start()
    wait_until(lambda: is_napping(rows))
    cancel_queries(thread.ident or 0)
    thread.join(PATIENCE)
    assert isinstance(said[0], psycopg.errors.QueryCanceled)
    assert said[1] == (42,)


async def test_an_old_libpq_that_waits_for_a_silent_network_does_not_stop_the_process(rows: Rows, dsn: str) -> None:
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with Proxy(dsn) as proxy:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            env={**settings, "DATABASE_URL": proxy.url},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert program.stdin
        assert program.stdout
        try:
            await await_until(lambda: is_napping(rows), START)
            proxy.blackhole()
            before = len(proxy.names)
            program.stdin.write(b"cancel\n")
            await await_until(lambda: len(proxy.names) > before)
            program.stdin.write(b"still there?\n")
            async with asyncio.timeout(PATIENCE):
                assert await program.stdout.readline() == b"cancel\n"
                assert await program.stdout.readline() == b"still there?\n"
            assert is_napping(rows)
        finally:
            program.kill()
            await program.wait()
            rows.db.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where query = %s and datname = current_database()",
                [NAP],
            )
            await await_until(lambda: not is_napping(rows))


# ------------------------------------------------------------------------------------------------ a cancel that is late

SESSIONS = "late"
"""The alias, and the application_name, of sessions that lead through the proxy."""


def pass_gate(number: int) -> str:
    with connections[SESSIONS].cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [number])
    return "passed"


@pytest.fixture
def gates(rows: Rows) -> Gates:
    return Gates(rows, 2)


@pytest.fixture(params=["as it is", "an old one"])
def any_libpq(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "an old one":
        monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda: False)


@pytest.fixture
def late(gates: Gates, dsn: str) -> Iterator[Proxy]:
    """A network that holds requests to cancel back until it is healed."""
    with Proxy(dsn) as proxy, alias_of(SESSIONS, proxy.url, CONN_MAX_AGE=0, OPTIONS={"application_name": SESSIONS}):
        proxy.blackhole(only=CANCELS)
        yield proxy
        proxy.heal()


class InAThread:
    """Bodies that run one after the other in one thread, whose session is the only one of its pool."""

    def __init__(self) -> None:
        connections.settings[SESSIONS]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 1}
        self.threads = ThreadExecutor(1, patience=PATIENCE)
        self.limit = Limit("tests.late", 60, time.monotonic() + 60)

    async def run_late(self, body: Callable[[], Any]) -> Ended:
        return await self.threads.run(body, "a job", self.limit)

    async def run(self, body: Callable[[], Any]) -> Ended:
        return await self.threads.run(body, "a job")

    def cut_off(self, _: asyncio.Task[Ended]) -> None:
        """What runs late."""
        self.limit.deadline = time.monotonic()
        clock.watch(self.limit.course(PATIENCE, lambda _: None))

    async def close(self) -> None:
        self.threads.close()
        await asyncio.to_thread(self.threads.join, PATIENCE)


class InTheCallersThread(InAThread):
    """As in tests of users, whose session it is."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1)
        self.limit = Limit("tests.late", 60, time.monotonic() + 60)

    async def run_late(self, body: Callable[[], Any]) -> Ended:
        return await asyncio.get_running_loop().run_in_executor(self.thread, self.limit.run, body)

    async def run(self, body: Callable[[], Any]) -> Ended:
        return await asyncio.get_running_loop().run_in_executor(self.thread, body), None

    async def close(self) -> None:
        self.thread.submit(connections.close_all)
        self.thread.shutdown()


class InACoroutinesThread(InAThread):
    """What coroutines run in a thread, one after the other, and in its session."""

    def __init__(self) -> None:
        self.bench = Bench()

    async def run_late(self, body: Callable[[], Any]) -> Ended:
        return await self.run(body)

    async def run(self, body: Callable[[], Any]) -> Ended:
        return await self.bench.loops.run(sync_to_async(body), "a job")

    def cut_off(self, running: asyncio.Task[Ended]) -> None:
        running.cancel()

    async def close(self) -> None:
        await self.bench.close()


@pytest.fixture(params=[InAThread, InTheCallersThread, InACoroutinesThread])
async def place(request: pytest.FixtureRequest, late: Proxy, gates: Gates) -> AsyncIterator[InAThread]:
    place: InAThread = request.param()
    yield place
    late.heal()
    for number in (1, 2):
        gates.open(number)
    await place.close()


@pytest.mark.usefixtures("any_libpq")
async def test_a_cancel_that_is_late_does_not_hit_the_next_job(
    place: InAThread, late: Proxy, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "CANCEL_WITHIN", 0.2)
    first = asyncio.create_task(place.run_late(partial(pass_gate, 1)))
    await await_until(lambda: gates.sessions_at(1))
    place.cut_off(first)
    await await_until(lambda: CANCELS in late.names)
    # The query ends by itself, and the next job is in one of its own when the request arrives.
    gates.open(1)
    await asyncio.wait([first])
    second = asyncio.create_task(place.run(partial(pass_gate, 2)))
    await await_until(lambda: gates.sessions_at(2))
    late.heal()
    await await_until(lambda: CANCELS not in late.names)
    gates.open(2)
    assert await second == ("passed", None)
    assert first.cancelled() or isinstance(first.result()[1], TaskTimeout)
