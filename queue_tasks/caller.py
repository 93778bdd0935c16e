"""The caller's side of the database: one statement on Django's connection, in the caller's transaction."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any, LiteralString

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from queue_tasks.statements import NOTIFY_USAGE, PREPARE_LOOK

BEATEN = ("40001", "40P01")
"""SQLSTATEs of a transaction that lost to another one and did nothing: serialization_failure, deadlock_detected."""

LIMIT_EXCEEDED = "54000"
"""The SQLSTATE of, among others, a full queue of notifications."""

TRIES = 20
"""Of a statement that is a transaction of its own and is beaten again and again."""

LONGEST_PAUSE = 0.2
"""Seconds between tries."""


def rows(database: str, statement: LiteralString, parameters: dict[str, Any]) -> list[Any]:
    """Run one statement of ours and give its rows.

    Within the caller's transaction whatever goes wrong is the caller's to try again. Outside of one the statement is a
    transaction of its own: then one that lost to another is tried again, as happens where SERIALIZABLE is the default.
    Raises Django's errors.
    """
    connection = connections[database]
    own = not connection.in_atomic_block and connection.get_autocommit()
    for tries in range(1, TRIES + 1):
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall())
        except DatabaseError as exc:
            state = getattr(exc.__cause__, "sqlstate", None)
            if not own or tries == TRIES or not (state in BEATEN or (state == LIMIT_EXCEEDED and tries == 1)):
                raise
            if state == LIMIT_EXCEEDED:
                _clear_notifications(connection)
            else:
                time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.001 * 2**tries)))  # noqa: S311 - jitter
    raise AssertionError("the last try returns or raises")


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
