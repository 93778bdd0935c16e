"""WorkerConnection: which errors cost it its session, which may be tried again, and how often it may try to connect."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from queue_tasks import connections
from queue_tasks.connections import WorkerConnection, connect, is_of_the_moment, is_of_the_value, is_perhaps_of_one
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


@pytest.mark.parametrize(
    ("state", "of_the_moment", "of_the_value"),
    [
        ("08006", True, False),  # connection_failure
        ("0A000", True, False),  # cached plan must not change result type
        ("22P05", False, True),  # untranslatable_character
        ("25006", True, False),  # read_only_sql_transaction
        ("26000", True, False),  # invalid_sql_statement_name: a pooler's other server
        ("40001", False, False),  # serialization_failure: this batch, perhaps one of its rows
        ("40P01", False, False),  # deadlock_detected
        ("42P05", True, False),  # duplicate_prepared_statement
        ("53100", True, False),  # disk_full
        ("53300", True, False),  # too_many_connections
        ("54000", False, True),  # program_limit_exceeded, once it is not the queue of notifications
        ("55P03", False, False),  # lock_not_available
        ("57014", False, False),  # query_canceled, by a timeout or by hand
        ("57P01", True, False),  # admin_shutdown
        ("58030", True, False),  # io_error
    ],
)
def test_each_error_is_known_for_what_it_is(state: str, of_the_moment: bool, of_the_value: bool) -> None:
    error = psycopg.errors.lookup(state)()
    assert error.sqlstate == state
    assert (is_of_the_moment(error), is_of_the_value(error)) == (of_the_moment, of_the_value)


@pytest.mark.parametrize(("state", "of_one"), [("53100", True), ("53200", True), ("53300", False), ("40001", False)])
def test_a_shortage_may_be_of_one_row(state: str, of_one: bool) -> None:
    assert is_perhaps_of_one(psycopg.errors.lookup(state)()) is of_one


async def test_a_server_that_refuses_is_asked_once_a_second_by_all_of_a_process(nowhere: str) -> None:
    tried = 0
    begun = time.monotonic()
    for _ in range(200):
        with pytest.raises(psycopg.OperationalError) as caught:
            await connect(nowhere, "test", statement_timeout=1)
        tried += "not tried again yet" not in str(caught.value)
    assert tried <= 1 + (time.monotonic() - begun) / connections.RECONNECT_WAIT
