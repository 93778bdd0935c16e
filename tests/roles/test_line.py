"""Line: what is sent and heard by libpq's own calls is what psycopg's cursors would send and hear."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg
import pytest

from queue_tasks.connections import connect
from queue_tasks.line import Line
from tests.roles.parts import Rows
from tests.waiting import await_until

SESSION = "queue_tasks line"
NAP = "select pg_sleep(600)"


def is_active(rows: Rows) -> bool:
    found = rows.db.execute(
        "select state from pg_stat_activity where application_name = %s and datname = current_database()", [SESSION]
    )
    return [row["state"] for row in found] == ["active"]


@pytest.fixture
async def line(rows: Rows):
    line = await connect("default", "line", statement_timeout=600)
    assert line.direct
    yield line
    await line.close()


@pytest.mark.parametrize("direct", [True, False])
async def test_parameters_are_named_and_may_come_twice_and_rows_are_read_as_their_types(
    line: Line, direct: bool
) -> None:
    line.direct = direct
    statement = (
        "select %(number)s::bigint, %(texts)s::text[], %(nothing)s::text, %(yes)s::boolean, 7 %% 4, "
        "%(number)s::bigint + 1 from generate_series(1, %(times)s::integer)"
    )
    for times in (1, 3, 0):
        values = {"number": 5, "texts": ['a "b"', "\\", "ä"], "nothing": None, "yes": True, "times": times}
        expected = (5, ['a "b"', "\\", "ä"], None, True, 3, 6)
        assert await line.rows(statement, values) == [expected] * times


async def test_what_gives_no_rows_gives_none(line: Line) -> None:
    assert not await line.rows("set application_name = 'queue_tasks line'")


async def test_an_error_of_the_server_is_psycopg_s_and_leaves_the_session(line: Line) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
        await line.rows("select * from nowhere")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await line.rows("select 1 / %(zero)s::integer", {"zero": 0})
    assert await line.rows("select 1 / %(zero)s::integer", {"zero": 1}) == [(1,)]


async def test_what_is_larger_than_the_socket_takes_at_once_is_sent_and_read_in_parts(line: Line) -> None:
    text = "0123456789" * 1_000_000
    for _ in range(2):
        assert await line.rows("select %(text)s::text", {"text": text}) == [(text,)]
    assert await line.rows("select 1") == [(1,)]


@pytest.mark.skipif(not psycopg.capabilities.has_cancel_safe(), reason="this libpq blocks whoever cancels")
async def test_a_statement_whose_caller_is_cancelled_is_cancelled_in_the_server(line: Line, rows: Rows) -> None:
    call = asyncio.create_task(line.rows(NAP))
    await await_until(lambda: is_active(rows))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await line.rows("select 1") == [(1,)]


async def test_a_libpq_that_blocks_whoever_cancels_is_not_asked_to(
    line: Line, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda: False)
    call = asyncio.create_task(line.rows(NAP))
    await await_until(lambda: is_active(rows))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert line.closed
    rows.terminate(SESSION)


async def test_the_last_words_of_a_server_that_goes_away_are_heard(line: Line, rows: Rows) -> None:
    call = asyncio.create_task(line.rows(NAP))
    await await_until(lambda: is_active(rows))
    rows.terminate(SESSION)
    with pytest.raises(psycopg.errors.AdminShutdown):
        await call
    with pytest.raises(psycopg.OperationalError):
        await line.rows("select 1")


async def test_notifications_are_heard_while_it_waits_and_while_a_statement_runs(rows: Rows) -> None:
    heard: list[tuple[str, str]] = []
    line = await connect(
        "default", "line", statement_timeout=600, hear=lambda channel, payload: heard.append((channel, payload))
    )
    await line.rows("listen line")
    await line.rows("select pg_notify('line', 'own')")
    assert heard == [("line", "own")]
    waiting = asyncio.create_task(line.listen(600))
    rows.db.execute("select pg_notify('line', 'another''s')")
    await await_until(lambda: len(heard) == 2)
    rows.terminate(SESSION)
    with pytest.raises(psycopg.OperationalError):
        await waiting
    await line.close()


async def test_listening_ends_in_time(line: Line) -> None:
    await line.listen(0.01)


async def test_listening_ends_when_what_is_waited_for_is_done(line: Line) -> None:
    done = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(line.listen(600, until=done))
    done.set_result(None)
    await listening


async def test_what_goes_wrong_in_who_hears_ends_the_listening(rows: Rows) -> None:
    def fail(channel: str, payload: str) -> None:
        raise LookupError(payload)

    line = await connect("default", "line", statement_timeout=600, hear=fail)
    await line.rows("listen line")
    rows.db.execute("select pg_notify('line', 'why')")
    with pytest.raises(LookupError, match="why"):
        await line.listen(600)
    await line.close()


@pytest.mark.parametrize("copy", ["copy (select 1) to stdout", "copy line_copies from stdin"])
async def test_what_would_copy_is_refused_and_costs_the_line(line: Line, rows: Rows, copy: LiteralString) -> None:
    await line.rows("create temporary table line_copies (number integer)")
    with pytest.raises(psycopg.NotSupportedError, match="COPY"):
        await line.rows(copy)
    assert line.closed
    with pytest.raises(psycopg.NotSupportedError, match="COPY"):
        await line.rows("select 1")


async def test_who_waits_is_told_when_it_is_given_up(line: Line, rows: Rows) -> None:
    call = asyncio.create_task(line.rows(NAP))
    await await_until(lambda: is_active(rows))
    line.lose(psycopg.OperationalError("given up"))
    with pytest.raises(psycopg.OperationalError, match="given up"):
        await call
    with pytest.raises(psycopg.OperationalError, match="given up"):
        await line.rows("select 1")
    with pytest.raises(psycopg.OperationalError, match="given up"):
        await line.listen(600)
    rows.terminate(SESSION)
