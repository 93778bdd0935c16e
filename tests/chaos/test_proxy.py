"""The proxy itself: what passes through it, and what each of its faults does to the two sides."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.chaos.proxy import Proxy
from tests.waiting import wait_until


@pytest.fixture
def proxy(fresh_database: str) -> Iterator[Proxy]:
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute("create table note (word text)")
    with Proxy(fresh_database) as proxy:
        yield proxy


def words(url: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return [row[0] for row in connection.execute("select word from note order by word").fetchall()]


def connect(proxy: Proxy, name: str = "", **options: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(proxy.url, application_name=name, connect_timeout=30, **options)


def insert(connection: psycopg.Connection[Any], *words: str, prepare: bool = False, pipeline: bool = False) -> None:
    for word in words:
        with connection.pipeline() if pipeline else contextlib.nullcontext():
            connection.execute("insert into note values (%s)", [word], prepare=prepare)
    if not connection.autocommit:
        connection.commit()


def test_everything_passes_also_what_is_large(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        text = "ü" * 3_000_000
        assert connection.execute("select %s::text", [text]).fetchone() == (text,)
        with connection.cursor().copy("copy note from stdin") as copy:
            for number in range(1000):
                copy.write_row([f"{number:04}"])
        with connection.pipeline():
            answers = [connection.execute("select %s::int", [number]) for number in range(100)]
        assert [answer.fetchone() for answer in answers] == [(number,) for number in range(100)]
    assert len(words(proxy.url)) == 1000


def test_a_notification_passes_without_being_asked_for(proxy: Proxy) -> None:
    with connect(proxy, autocommit=True) as one, connect(proxy, autocommit=True) as other:
        one.execute("listen news")
        other.execute("notify news, 'told'")
        assert [notice.payload for notice in one.notifies(timeout=30, stop_after=1)] == ["told"]


def test_a_cancel_request_passes(proxy: Proxy, fresh_database: str) -> None:
    with connect(proxy, name="slow") as connection, psycopg.connect(fresh_database, autocommit=True) as watcher:

        def cancel() -> None:
            wait_until(
                lambda: (
                    watcher.execute(
                        "select from pg_stat_activity where application_name = 'slow' and wait_event = 'PgSleep' "
                        "and datname = current_database()"
                    ).fetchone()
                    is not None
                )
            )
            connection.cancel_safe()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(60)")
        thread.join()


def test_a_commit_whose_reply_is_lost_is_a_commit_that_nobody_heard_of(proxy: Proxy, fresh_database: str) -> None:
    loss = proxy.drop_reply_after(b"commit", nth=2)
    with connect(proxy) as connection:
        insert(connection, "heard")
    with pytest.raises(psycopg.OperationalError), connect(proxy) as connection:
        insert(connection, "unheard")
    assert loss.happened.wait(10)
    assert (loss.seen, loss.statement.lower()) == (2, b"commit")
    assert words(fresh_database) == ["heard", "unheard"]
    assert words(proxy.url) == ["heard", "unheard"]


@pytest.mark.parametrize("pipeline", [False, True])
@pytest.mark.parametrize("prepared", [False, True])
def test_the_nth_statement_is_found_also_prepared_and_in_a_pipeline(
    proxy: Proxy, fresh_database: str, prepared: bool, pipeline: bool
) -> None:
    loss = proxy.drop_reply_after(b"INSERT", nth=3, only="struck")
    with connect(proxy, name="spared", autocommit=True) as other:
        insert(other, "another")
    with pytest.raises(psycopg.OperationalError), connect(proxy, name="struck", autocommit=True) as connection:
        insert(connection, *"abcde", prepare=prepared, pipeline=pipeline)
    assert loss.happened.wait(10)
    assert words(fresh_database) == ["a", "another", "b", "c"]


def test_a_request_that_is_lost_never_reaches_the_server(proxy: Proxy, fresh_database: str) -> None:
    loss = proxy.drop_request(lambda statement: statement.startswith(b"insert"), nth=2)
    with pytest.raises(psycopg.OperationalError), connect(proxy, autocommit=True) as connection:
        insert(connection, *"abc")
    assert loss.happened.wait(10)
    assert words(fresh_database) == ["a"]


async def test_in_a_black_hole_nothing_passes_nothing_is_closed_and_what_was_sent_arrives_at_last(
    proxy: Proxy, fresh_database: str
) -> None:
    async with (
        await psycopg.AsyncConnection.connect(proxy.url, application_name="lost", autocommit=True) as lost,
        await psycopg.AsyncConnection.connect(proxy.url, application_name="spared", autocommit=True) as spared,
    ):
        proxy.blackhole(only="lost")
        asked = asyncio.ensure_future(lost.execute("insert into note values ('at last')"))
        await spared.execute("select 1")
        done, _ = await asyncio.wait([asked], timeout=0.2)
        assert done == set()
        assert words(fresh_database) == []
        assert proxy.names == ["lost", "spared"]
        proxy.heal()
        await asyncio.wait_for(asked, 30)
        assert words(fresh_database) == ["at last"]


def test_a_client_that_leaves_in_a_black_hole_is_not_missed_by_the_server_before_it_heals(
    proxy: Proxy, fresh_database: str
) -> None:
    with psycopg.connect(fresh_database, autocommit=True) as watcher:

        def there() -> bool:
            found = watcher.execute(
                "select from pg_stat_activity where application_name = 'gone' and datname = current_database()"
            ).fetchone()
            return found is not None

        connection = connect(proxy, name="gone")
        proxy.blackhole()
        connection.close()
        assert there()
        proxy.heal()
        wait_until(lambda: not there())


def test_cut_closes_both_sides_and_refuse_keeps_the_door_shut(proxy: Proxy) -> None:
    with contextlib.suppress(psycopg.OperationalError), connect(proxy, name="cut") as connection:
        proxy.refuse()
        assert proxy.cut(only="cut") == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with pytest.raises(psycopg.OperationalError):
        connect(proxy)
    proxy.heal()
    assert words(proxy.url) == []


def test_delay_holds_back_every_answer(proxy: Proxy) -> None:
    with connect(proxy, autocommit=True) as connection:
        proxy.delay(0.2)
        before, after = (connection.execute("select clock_timestamp()").fetchall()[0][0] for _ in range(2))
        assert (after - before).total_seconds() >= 0.2


def test_a_server_that_is_not_there_is_a_closed_door() -> None:
    with (
        Proxy("postgresql://postgres@%2Fno-such-folder:5432/none") as proxy,
        pytest.raises(psycopg.OperationalError),
    ):
        psycopg.connect(proxy.url)
