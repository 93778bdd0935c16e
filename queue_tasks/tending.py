"""Tending: what keeps Django's own connections fit from job to job, in the threads where bodies run."""

from __future__ import annotations

import contextlib
import logging
import select
import time
from collections.abc import Iterator

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq

from queue_tasks import leaks

logger = logging.getLogger("queue_tasks")

IDLE_CHECK = 30.0
"""Seconds after which an idle Django connection is asked whether it still lives."""


def tend_before_task() -> None:
    """Make this thread's Django connections fit for a task: drop those that died since the last one.

    A connection is not opened anew for each job, whatever CONN_MAX_AGE says: in a worker, the thread is what lives.
    """
    leaks.watch_this_thread()
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        with _alone(connection):
            if connection.vendor != "postgresql":
                connection.close_if_unusable_or_obsolete()
            elif _speaks_unasked(connection) or _idle_for(connection) > IDLE_CHECK:
                _close_unless_usable(connection)
            elif connection.settings_dict["CONN_MAX_AGE"]:
                connection.close_if_unusable_or_obsolete()


def tend_after_task(owner: str) -> None:
    """Undo what a task left open on this thread's Django connections, and say so. owner: for the message."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        with _alone(connection):
            if _is_open(connection):
                logger.warning(
                    "%s left a transaction open on database %r; it was rolled back. "
                    "Use transaction.atomic() as a with block.",
                    owner,
                    connection.alias,
                )
                _discard(connection)
            elif left := leaks.of(connection):
                logger.warning(
                    "%s left something in the session of database %r that the next job would have met: %s. "
                    "The connection was replaced. Use SET LOCAL or set_config(..., true) in a transaction, drop what "
                    "is temporary, give locks back.",
                    owner,
                    connection.alias,
                    ", ".join(left),
                )
                # The server's side of it, which a pool would keep.
                connection.connection.close()
                _discard(connection)
            elif connection.in_atomic_block or _has_another_autocommit(connection) or getattr(connection, "pool", None):
                # Of a pool: others wait for it, and a pool knows how to keep a connection.
                _discard(connection)
            elif connection.errors_occurred:
                _close_unless_usable(connection)
            leaks.forget(connection)
            connection.queries_log.clear()
            _last_used[id(connection)] = time.monotonic()


def close_all() -> None:
    """Close this thread's Django connections."""
    for connection in connections.all(initialized_only=True):
        _last_used.pop(id(connection), None)
        with _alone(connection):
            _discard(connection)


@contextlib.contextmanager
def _alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Tend one connection: what fails in it concerns neither the others nor the job, but the connection is given up."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - of any database's driver
        logger.warning("the connection to database %r is given up: %s", connection.alias, exc)
        connection.connection = None


def _is_open(connection: BaseDatabaseWrapper) -> bool:
    """Whether the live connection is within a transaction."""
    raw = connection.connection
    if connection.vendor != "postgresql":
        return connection.in_atomic_block or not connection.get_autocommit()
    return not raw.closed and raw.info.transaction_status != pq.TransactionStatus.IDLE


def _has_another_autocommit(connection: BaseDatabaseWrapper) -> bool:
    """Whether a task has left autocommit switched: what the next one writes would be rolled back at its end."""
    # Of another vendor a connection without autocommit passes for one within a transaction.
    return connection.vendor == "postgresql" and connection.autocommit != connection.settings_dict["AUTOCOMMIT"]


def is_in_error(connection: BaseDatabaseWrapper) -> bool:
    """Whether the transaction of a Postgres connection is broken: nothing but its rollback is left to do."""
    raw = connection.connection
    return raw is not None and raw.info.transaction_status == pq.TransactionStatus.INERROR


_last_used: dict[int, float] = {}
"""When a task last used a connection, by the wrapper's id; each entry is of one thread."""


def _idle_for(connection: BaseDatabaseWrapper) -> float:
    return time.monotonic() - _last_used.get(id(connection), 0.0)


def _speaks_unasked(connection: BaseDatabaseWrapper) -> bool:
    """Whether the server has sent something to an idle connection: nearly always its farewell. No round trip."""
    try:
        poll = select.poll()
        poll.register(connection.connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error, ValueError):
        return True


def _close_unless_usable(connection: BaseDatabaseWrapper) -> None:
    if connection.is_usable():
        connection.errors_occurred = False
    else:
        _discard(connection)


def _discard(connection: BaseDatabaseWrapper) -> None:
    # Within an atomic block Django keeps a closed connection until the block ends; this block never will.
    connection.in_atomic_block = False
    connection.savepoint_ids = []
    # Which Django looks at before it connects: a durable block would be refused.
    connection.atomic_blocks = []
    connection.needs_rollback = False
    connection.closed_in_transaction = False
    connection.run_on_commit = []
    connection.close()
