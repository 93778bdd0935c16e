"""The caller's side of the database: one statement on Django's connection, in the caller's transaction."""

from __future__ import annotations

import contextlib
import operator
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from queue_tasks import leaks
from queue_tasks.database_errors import is_of_the_schema, migration, sqlstate, was_beaten
from queue_tasks.direct_cursor import DirectCursor, may_be_passed_by
from queue_tasks.statements import NOTIFY_USAGE, PREPARE_LOOK

LIMIT_EXCEEDED = "54000"
"""The SQLSTATE of, among others, a full queue of notifications."""

TRIES = 20
"""Of a statement that is a transaction of its own and is beaten again and again."""

LONGEST_PAUSE = 0.2
"""Seconds between tries."""

_KEPT = "_queue_tasks_kept_cursor"
"""The attribute of Django's connection that holds it: it is of the connection's thread, and goes with it."""


def rows(database: str, statement: LiteralString, parameters: dict[str, Any]) -> list[Any]:
    """Run one statement of ours on Django's connection of the alias, and give its rows; see `run`."""
    return run(connections[database], statement, parameters)


def run(
    connection: BaseDatabaseWrapper, statement: LiteralString, parameters: dict[str, Any], *, repeated: bool = False
) -> list[Any]:
    """Run one statement of ours and give its rows.

    repeated: it is the one that is run again and again, and gives no times: its cursor is kept (see `_repeat`).
    Within the caller's transaction whatever goes wrong is the caller's to try again. Outside of one the statement is a
    transaction of its own: then one that lost to another is tried again, as happens where SERIALIZABLE is the default.
    Times are aware, also where USE_TZ is False: who shows them reckons with them.
    Raises Django's errors.
    """
    for tries in range(1, TRIES + 1):
        try:
            if repeated and not _is_watched(connection):
                return _repeat(connection, statement, parameters)
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                found = list(cursor)
            return found if settings.USE_TZ else [aware(connection, row) for row in found]
        except DatabaseError as exc:
            own = connection.autocommit and not connection.in_atomic_block
            full = sqlstate(exc) == LIMIT_EXCEEDED
            if is_of_the_schema(exc):
                lacking = connection.alias
                exc.add_note(f"The database {lacking!r} lacks objects of queue_tasks. Run: {migration(lacking)}")
            if not own or tries == TRIES or not (was_beaten(exc) or (full and tries == 1)):
                raise
            if full:
                _clear_notifications(connection)
            else:
                time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.001 * 2**tries)))  # noqa: S311 - jitter
    raise AssertionError("the last try returns or raises")


@dataclass(frozen=True, slots=True)
class _KeptCursor:
    """A cursor of Django's that is used again, and what it was made of."""

    cursor: CursorWrapper
    made_of: tuple[Any, ...]


def _made_of(connection: BaseDatabaseWrapper, statement: LiteralString) -> tuple[Any, ...]:
    """What has a part in making and using a cursor for a statement: whoever begins to watch them all replaces some."""
    session = connection.connection
    factory = session.cursor_factory
    return (statement, session, factory, factory.execute, type(connection).cursor, CursorWrapper.execute)


def _is_watched(connection: BaseDatabaseWrapper) -> bool:
    """Whether somebody wraps this connection's statements, or makes its cursors himself.

    DEBUG's log of queries, a test's, a toolbar's, a ban. Not what watches for leaks, which needs the statement only.
    """
    if connection.queries_logged or "cursor" in vars(connection):
        return True
    wrappers = connection.execute_wrappers
    return bool(wrappers) and not all(isinstance(wrapper, leaks.Session) for wrapper in wrappers)


def _repeat(connection: BaseDatabaseWrapper, statement: LiteralString, parameters: dict[str, Any]) -> list[Any]:
    """Run a statement by the cursor that ran it before: to make a new one costs as much as to send eight parameters.

    It is Django's cursor, with all that Django does for each statement; what Django does to make one is done here.
    Where nobody would miss psycopg's cursor below it, the statement goes past that.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_thread_sharing()
    # Taken out while it is used: whoever has replaced Django's method may enqueue himself.
    kept: _KeptCursor | None = vars(connection).pop(_KEPT, None)
    made_of = _made_of(connection, statement)
    if kept is None or not all(map(operator.is_, kept.made_of, made_of)):
        cursor = connection.cursor()
        if may_be_passed_by(cursor):
            cursor.cursor = DirectCursor(cursor.cursor, statement)
        kept = _KeptCursor(cursor, made_of)
    kept.cursor.execute(statement, parameters)
    # By the cursor below: the rows have come, and Django's guard against the database's errors costs thrice as much.
    found: list[Any] = kept.cursor.cursor.fetchall()
    vars(connection)[_KEPT] = kept
    return found


def moment(connection: BaseDatabaseWrapper, microseconds: int) -> datetime:
    """The time so long after the beginning of 1970, as Django reads times of this connection.

    In the zone its settings name; naive in that zone where USE_TZ is False.
    """
    # By way of a float, which is exact until the year 2242 and takes a third of a timedelta's time.
    at = datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    if connection.timezone is UTC:
        return at
    local = at.astimezone(ZoneInfo(connection.timezone_name))
    return local if settings.USE_TZ else local.replace(tzinfo=None)


def aware(connection: BaseDatabaseWrapper, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row whose times are aware, also where Django gives naive ones, in the zone of this connection's session."""
    zone = ZoneInfo(connection.timezone_name)
    return tuple(
        value.replace(tzinfo=zone) if isinstance(value, datetime) and value.tzinfo is None else value for value in row
    )


@contextlib.contextmanager
def reading(database: str, seconds: float) -> Iterator[CursorWrapper]:
    """A cursor that only looks, each of its statements for so many seconds at most.

    In a transaction of its own; within the caller's, what holds there holds.
    SQL: sql/queries/prepare_look.sql
    """
    connection = connections[database]
    if connection.in_atomic_block:
        with connection.cursor() as cursor:
            yield cursor
        return
    with transaction.atomic(using=database), connection.cursor() as cursor:
        cursor.execute(PREPARE_LOOK, {"statement_timeout": str(round(1000 * seconds)), "read_only": "on"})
        yield cursor


def _clear_notifications(connection: BaseDatabaseWrapper) -> None:
    """Let the server forget what every listener has read: it does not by itself once its queue is full."""
    with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute(NOTIFY_USAGE)
