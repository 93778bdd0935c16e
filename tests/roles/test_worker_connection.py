"""WorkerConnection: which errors cost it its session, which may be tried again, and how often it may try to connect."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from queue_tasks import connections
from queue_tasks.connections import WorkerConnection, connect
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


async def test_a_server_that_refuses_is_asked_once_a_second_by_all_of_a_process(nowhere: str) -> None:
    tried = 0
    begun = time.monotonic()
    for _ in range(200):
        with pytest.raises(psycopg.OperationalError) as caught:
            await connect(nowhere, "test", statement_timeout=1)
        tried += "not tried again yet" not in str(caught.value)
    assert tried <= 1 + (time.monotonic() - begun) / connections.RECONNECT_WAIT
