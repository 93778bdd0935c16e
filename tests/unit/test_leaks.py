"""Which statements leave something in their session, told from their text."""

import pytest
from django.db import connection
from psycopg import sql

from queue_tasks.leaks import Session, _text, is_suspect

LEAVING = {
    "set statement_timeout = 5": "SET statement_timeout",
    "SET session ROLE bob": "SET role",
    "set session authorization bob": "SET authorization",
    "SET\n  TIME ZONE 'x'": "SET time",
    "select set_config('a.b', '1', false)": "SET a.b",
    "SELECT SET_CONFIG(%s, %s, false)": "SET ...",
    "select set_config('a', '1', %s)": "SET a",
    "create temp table x()": "a temporary table",
    "CREATE LOCAL TEMPORARY VIEW v AS select 1": "a temporary table",
    "select 1 as n into temp foo": "a temporary table",
    "LISTEN abc": "LISTEN abc",
    "select pg_advisory_lock(1)": "a session advisory lock",
    "select pg_try_advisory_lock_shared(1, 2)": "a session advisory lock",
    "/* hi */ set x to 1": "SET x",
    "-- hi\nset x to 1": "SET x",
    "select 1; set y = 2": "SET y",
}
HARMLESS = [
    "set local x = 1",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "select set_config('a', '1', true)",
    "SELECT set_config('search_path', 'x', 'true')",
    "select pg_advisory_xact_lock(1)",
    "select pg_try_advisory_xact_lock_shared(1)",
    "update t set x = 1",
    "select * from a order by 1 offset 5",
    "create table reset_listen (x int)",
    "insert into t values ('temp', 'discard')",
    "notify listen",
]
GIVEN_BACK = [
    ("set x = 1", "reset x"),
    ("set x = 1", "set y = 1", "RESET ALL"),
    ("set role bob", "reset role"),
    ("listen a", "listen b", "unlisten *"),
    ("listen a", "UNLISTEN a"),
    ("select pg_advisory_lock(1)", "select pg_advisory_unlock(1)"),
    ("select pg_advisory_lock(1)", "select pg_advisory_lock(1)", "select pg_advisory_unlock_all()"),
    ("create temp table x()", "discard temp"),
    ("set x = 1", "create temp table x()", "select pg_advisory_lock(1)", "discard all"),
]


def left_by(*statements) -> list[str]:
    session = Session()
    for statement in statements:
        session(lambda *_: None, statement, None, False, {"connection": connection})
    return list(session.left.values())


@pytest.mark.parametrize(("statement", "left"), LEAVING.items())
def test_a_statement_that_leaves_something_is_known(statement, left):
    assert left_by(statement) == [left]


@pytest.mark.parametrize("statement", HARMLESS)
def test_a_statement_that_leaves_nothing_is_not_taken_for_one(statement):
    assert left_by(statement) == []


@pytest.mark.parametrize("statements", GIVEN_BACK)
def test_what_was_given_back_is_not_left(statements):
    assert left_by(*statements) == []


def test_a_lock_taken_twice_is_given_back_twice():
    lock, unlock = "select pg_advisory_lock(1)", "select pg_advisory_unlock(1)"
    assert left_by(lock, lock, unlock) == ["a session advisory lock"]
    assert left_by(lock, lock, unlock, unlock) == []


def test_a_statement_that_failed_leaves_nothing():
    def fails(*_):
        raise ValueError("no")

    session = Session()
    with pytest.raises(ValueError, match="no"):
        session(fails, "set x = 1", None, False, {})
    assert not session.left


def test_what_django_sends_most_is_not_even_looked_at():
    assert not is_suspect('SELECT "auth_user"."id" FROM "auth_user" WHERE "auth_user"."id" = %s LIMIT 21')
    assert not is_suspect('UPDATE "auth_user" SET "password" = %s WHERE "auth_user"."id" = %s')
    assert not is_suspect('INSERT INTO "auth_group" ("name") VALUES (%s) RETURNING "auth_group"."id"')


def test_a_composed_statement_and_bytes_are_read_too():
    assert _text(sql.SQL("set {} = 1").format(sql.Identifier("x"))) == 'set "x" = 1'
    assert _text(b"set x = 1") == "set x = 1"
