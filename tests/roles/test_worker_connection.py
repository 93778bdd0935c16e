"""WorkerConnection: which errors cost it its session, which may be tried again, and how often it may try to connect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from queue_tasks import connections
from queue_tasks.connections import Heeding, WorkerConnection, connect
from tests.aliases import alias_of
from tests.roles.parts import Rows

PID = "select pg_backend_pid()"


@pytest.fixture
async def connection(rows: Rows):
    connection = WorkerConnection("default", "test", statement_timeout=5)
    yield connection
    await connection.close()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The alias of a server that is not there."""
    with alias_of("nowhere", "postgresql://nobody@127.0.0.1:1/none"):
        yield "nowhere"
    connections._refused.clear()


async def test_a_server_that_has_become_read_only_is_left_for_the_next_one(connection: WorkerConnection) -> None:
    ((before,),) = await connection.rows(PID)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await connection.rows(
            "insert into procrastinate_workers default values returning id", under="set transaction read only"
        )
    ((after,),) = await connection.rows(PID)
    assert after != before


async def test_a_plan_that_a_migration_has_made_stale_is_made_anew(connection: WorkerConnection, rows: Rows) -> None:
    rows.db.execute("create table stale_plan (a int)")
    try:
        for _ in range(4):
            await connection.rows("select * from stale_plan")
        rows.db.execute("alter table stale_plan add column b int")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan"):
            await connection.rows("select * from stale_plan")
        assert await connection.rows("select * from stale_plan") == []
    finally:
        rows.db.execute("drop table stale_plan")


async def test_a_statement_that_is_refused_for_its_values_keeps_the_session(connection: WorkerConnection) -> None:
    ((before,),) = await connection.rows(PID)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.rows("select 1 / 0")
    assert await connection.rows(PID) == [(before,)]


async def test_a_statement_refused_under_a_lock_is_rolled_back_and_keeps_the_session(
    connection: WorkerConnection,
) -> None:
    ((before,),) = await connection.rows(PID)
    lock = "select pg_advisory_xact_lock(78)"
    held = "select pg_backend_pid(), count(*)::int from pg_locks where locktype = 'advisory' and objid = 78"
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.rows("select 1 / 0", under=lock)
        assert await connection.rows(held, under=lock) == [(before, 1)]
        assert await connection.rows(held) == [(before, 0)]


async def test_a_transaction_whose_end_is_unknown_costs_the_session(connection: WorkerConnection, rows: Rows) -> None:
    ((before,),) = await connection.rows(PID)
    with pytest.raises(psycopg.errors.AdminShutdown):
        await connection.rows("select pg_terminate_backend(pg_backend_pid())", under="select 1")
    ((after,),) = await connection.rows(PID)
    assert after != before


async def test_a_statement_that_only_a_copy_can_follow_costs_the_session(connection: WorkerConnection) -> None:
    ((before,),) = await connection.rows(PID)
    with pytest.raises(psycopg.NotSupportedError, match="COPY"):
        await connection.rows("copy (select 1) to stdout")
    ((after,),) = await connection.rows(PID)
    assert after != before


async def test_who_is_cancelled_ends_cancelled_although_what_he_waits_for_forgets_it() -> None:
    begun = asyncio.Event()

    async def forget() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

    async def call() -> None:
        with Heeding():
            await forget()

    task = asyncio.create_task(call())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_server_that_refuses_is_asked_once_a_second_by_all_of_a_process(nowhere: str) -> None:
    tried = 0
    begun = time.monotonic()
    for _ in range(200):
        with pytest.raises(psycopg.OperationalError) as caught:
            await connect(nowhere, "test", statement_timeout=1)
        tried += "not tried again yet" not in str(caught.value)
    assert tried <= 1 + (time.monotonic() - begun) / connections.RECONNECT_WAIT
