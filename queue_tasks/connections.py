"""Our own psycopg connections: how they are opened, kept alive, and replaced when lost.

The web side does not use these: it enqueues on Django's connection, in the caller's transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import pq

from queue_tasks.statements import PREPARE_SESSION

logger = logging.getLogger("queue_tasks")

DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError)
"""What a lost, refused or overloaded connection raises; worth trying again."""

StatementRefused = psycopg.Error
"""What the server answers to a statement it will not run, and the root of all errors of a connection."""

OF_THE_MOMENT = ("08", "0A", "25", "42", "53", "57P", "58")
"""SQLSTATEs, or their beginnings, of a server that is going away, read-only, full, or in the middle of a migration."""

OF_THE_VALUE = ("22", "54")
"""SQLSTATEs, or their beginnings, of a value that cannot be stored: of no use to send again."""

CONNECT_TIMEOUT = 10
"""Seconds."""

IDLE_CHECK = 30.0
"""Seconds after which an idle Django connection is asked whether it still lives."""

_NOT_PSYCOPG = ("cursor_factory", "context", "autocommit", "prepare_threshold", "server_side_binding")
"""What Django's parameters have beside psycopg's."""


def connection_parameters(alias: str, name: str) -> dict[str, Any]:
    """Arguments of `psycopg.connect` for a database of DATABASES, with keepalives and an application name."""
    parameters = dict(connections[alias].get_connection_params())
    for key in _NOT_PSYCOPG:
        parameters.pop(key, None)
    role = connections[alias].settings_dict["OPTIONS"].get("assume_role")
    if role:
        # As Django does after connecting; libpq's options take a backslash before a space.
        escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
        parameters["options"] = f"{parameters.get('options', '')} -c role={escaped}".strip()
    return {
        "connect_timeout": CONNECT_TIMEOUT,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        **parameters,
        "application_name": f"queue_tasks {name}"[:63],
    }


def is_of_the_moment(error: Exception) -> bool:
    """Whether an error says nothing of the values that were sent: the same statement may succeed a little later."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate.startswith(OF_THE_MOMENT)
    return isinstance(error, (*DATABASE_ERRORS, OSError))


def is_of_the_value(error: Exception) -> bool:
    """Whether an error is of values that never can be written, as they are."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate.startswith(OF_THE_VALUE)
    # psycopg, or Python, could not even put them on the wire.
    return not is_of_the_moment(error)


def is_doubtful(error: Exception) -> bool:
    """Whether the statement may have been carried out all the same: no answer came, or that of a server going away."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate.startswith(("08", "57P"))
    return isinstance(error, (*DATABASE_ERRORS, OSError))


def waited_for_a_lock(error: Exception) -> bool:
    """Whether a statement was given up because another session held a lock for longer than the lock timeout."""
    return isinstance(error, psycopg.errors.LockNotAvailable)


def session_settings(
    *, statement_timeout: float, lock_timeout: float | None = None, durable: bool = True
) -> dict[str, str]:
    """Arguments of the statement prepare_session. Timeouts in seconds; of locks, None: the statement's."""
    return {
        "statement_timeout": str(round(statement_timeout * 1000)),
        "lock_timeout": str(round((lock_timeout or statement_timeout) * 1000)),
        "synchronous_commit": "on" if durable else "off",
    }


class WorkerConnection:
    """One asynchronous connection that opens when it is needed and is replaced after it failed.

    Not durable: commits do not wait for the disk; for leases, which may be lost in a crash of the database.
    A call that fails has closed the connection; whether to call again is the caller's decision.
    """

    def __init__(
        self,
        alias: str,
        name: str,
        *,
        statement_timeout: float,
        lock_timeout: float | None = None,
        durable: bool = True,
    ) -> None:
        self.alias = alias
        self.name = name
        self.statement_timeout = statement_timeout
        self.lock_timeout = lock_timeout
        self.durable = durable
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()

    async def rows(
        self,
        statement: LiteralString,
        parameters: Mapping[str, Any] | None = None,
        *,
        under: LiteralString | None = None,
    ) -> Sequence[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and give its rows.

        under: a statement with the same parameters that takes a lock first, in the same transaction.
        Raises psycopg's errors; TimeoutError when no answer came five seconds after the statement's own timeout.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(self.statement_timeout + 5):
                    connection = await self.open()
                    async with connection.transaction() if under else contextlib.nullcontext():
                        if under:
                            await connection.execute(under, parameters)
                        cursor = await connection.execute(statement, parameters)
                        return await cursor.fetchall() if cursor.description else ()
            except BaseException as exc:
                # A statement that the server refused leaves a good connection; anything else a doubtful one.
                if not isinstance(exc, psycopg.Error) or isinstance(exc, DATABASE_ERRORS):
                    await self.close()
                raise

    async def open(self) -> psycopg.AsyncConnection[Any]:
        """The live connection, opened and prepared if need be."""
        if self._connection is None or self._connection.closed:
            parameters = connection_parameters(self.alias, self.name)
            connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True, prepare_threshold=2)
            try:
                await connection.execute(
                    PREPARE_SESSION,
                    session_settings(
                        statement_timeout=self.statement_timeout, lock_timeout=self.lock_timeout, durable=self.durable
                    ),
                )
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    async def close(self) -> None:
        """Close the connection if there is one; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def tend_before_task() -> None:
    """Make this thread's Django connections fit for a task: drop those that died since the last one.

    A connection is not opened anew for each job, whatever CONN_MAX_AGE says: in a worker, the thread is what lives.
    """
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
            elif connection.in_atomic_block or getattr(connection, "pool", None):
                # Of a pool: others wait for it, and a pool knows how to keep a connection.
                _discard(connection)
            elif connection.errors_occurred:
                _close_unless_usable(connection)
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
    connection.needs_rollback = False
    connection.closed_in_transaction = False
    connection.run_on_commit = []
    connection.close()
