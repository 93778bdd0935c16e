"""Our own psycopg connections: how they are opened, kept alive, given up in time, and replaced when lost.

The web side does not use these: it enqueues on Django's connection, in the caller's transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, LiteralString, Self

import psycopg
from django.db import connections

from queue_tasks.database_errors import DATABASE_ERRORS, NoAnswer, NotifyQueueFull, is_of_the_session
from queue_tasks.line import Line
from queue_tasks.sockets import cut
from queue_tasks.statements import (
    BEGIN_TRANSACTION,
    COMMIT_TRANSACTION,
    NOTIFY_USAGE,
    PREPARE_SESSION,
    PREPARE_TRANSACTION,
    ROLLBACK_TRANSACTION,
)

CONNECT_TIMEOUT = 5
"""Seconds, for each host of the connection's parameters."""

CONNECT_DEADLINE = 15.0
"""Seconds, for all hosts and their names."""

RECONNECT_WAIT = 1.0
"""Seconds between tries to connect to a database that refused the last one, of all connections of a process."""

MARGIN = 3.0
"""Seconds beyond a statement's own timeout after which no answer means that none will come."""

LOOP_LATE = 0.5
"""Seconds a deadline's timer may be late before that tells of a blocked event loop, not of a silent server."""

QUEUE_IS_FULL = 0.5
"""The used part of the NOTIFY queue from which a refused statement is taken to be its doing."""

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
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **parameters,
        "application_name": f"queue_tasks {name}"[:63],
    }


def session_settings(
    *, statement_timeout: float, lock_timeout: float | None = None, durable: bool = True
) -> dict[str, str]:
    """Arguments of prepare_session and prepare_transaction. Timeouts in seconds; of locks, None: the statement's."""
    return {
        "statement_timeout": str(round(statement_timeout * 1000)),
        "lock_timeout": str(round((lock_timeout or statement_timeout) * 1000)),
        "synchronous_commit": "on" if durable else "off",
    }


class Heeding:
    """`with Heeding()`: whoever is cancelled within ends cancelled, whatever came of what was awaited.

    psycopg 3.2 waits by `asyncio.wait_for`, which on Python 3.11 forgets a cancellation that comes together with what
    is waited for; and a connection that breaks says so instead.
    """

    __slots__ = ("_cancels", "_task")

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancels = self._task.cancelling() if self._task else 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None or isinstance(error, asyncio.CancelledError):
            return
        if self._task.cancelling() > self._cancels:
            raise asyncio.CancelledError from error


class Deadline(Heeding):
    """`with Deadline(line, seconds)`: what is awaited within is answered in time, or the connection is cut.

    Raises NoAnswer when it was cut. To cancel is not enough: the server is then asked to cancel as well, and its word
    awaited, which a network that swallows everything never brings.
    """

    __slots__ = ("_due", "_line", "_seconds", "_timer", "expired")

    def __init__(self, line: Line, seconds: float) -> None:
        self._line = line
        self._seconds = seconds
        self.expired = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._seconds
        self._timer = loop.call_at(self._due, self._expire)
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        super().__exit__(kind, error, trace)
        if self.expired and isinstance(error, Exception):
            raise NoAnswer("answer from the database", self._seconds) from error

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._due > LOOP_LATE:
            # The loop was blocked, or the process was stopped: the answer may be there, and not read yet.
            self._due = loop.time() + min(self._seconds, MARGIN)
            self._timer = loop.call_at(self._due, self._expire)
            return
        self.expired = True
        cut(self._line.connection)


@contextlib.contextmanager
def within(connection: psycopg.Connection[Any], seconds: float) -> Iterator[None]:
    """A Deadline for a synchronous connection: a thread of its own keeps it, so not for statements that are many."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        cut(connection)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except psycopg.Error as exc:
        if expired.is_set():
            raise NoAnswer("answer from the database", seconds) from exc
        raise
    finally:
        timer.cancel()
        timer.join()


_refused: dict[tuple[Any, ...], tuple[float, str]] = {}
"""Of databases that refused a connection: when to try again, and what was said."""


class Turn:
    """`with Turn(parameters)`: one try to connect. While a database refuses, one a second for the whole process.

    Raises psycopg.OperationalError when it is too early.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._place = tuple(parameters.get(name) for name in ("host", "port", "dbname", "user"))

    def __enter__(self) -> None:
        now = time.monotonic()
        again_at, said = _refused.get(self._place, (0.0, ""))
        if now < again_at:
            raise psycopg.OperationalError(f"{said} (less than {RECONNECT_WAIT:g} s ago; not tried again yet)")
        if said:
            self._refuse(said)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            _refused.pop(self._place, None)
        elif isinstance(error, Exception):
            self._refuse(str(error).strip() or "no answer")

    def _refuse(self, said: str) -> None:
        wait = RECONNECT_WAIT * random.uniform(1, 1.25)  # noqa: S311 - jitter
        _refused[self._place] = (time.monotonic() + wait, said)


async def connect(
    alias: str,
    name: str,
    *,
    statement_timeout: float,
    lock_timeout: float | None = None,
    durable: bool = True,
    hear: Callable[[str, str], None] | None = None,
) -> Line:
    """A line on a new connection for one purpose. hear: of its notifications.

    Through a pooler the session may be another's at the next statement: then nothing is set on it and nothing prepared.
    Raises psycopg's errors, NoAnswer among them.
    """
    parameters = connection_parameters(alias, name)
    settings = session_settings(statement_timeout=statement_timeout, lock_timeout=lock_timeout, durable=durable)
    line: Line | None = None
    try:
        with Turn(parameters), Heeding():
            try:
                async with asyncio.timeout(CONNECT_DEADLINE):
                    connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            except TimeoutError as exc:
                raise NoAnswer("connection to the database", CONNECT_DEADLINE) from exc
            line = Line(connection, hear=hear)
            with Deadline(line, statement_timeout + MARGIN):
                rows = await line.rows(PREPARE_SESSION, {**settings, "backend_pid": connection.info.backend_pid})
            line.direct = rows[0][0]
    except BaseException:
        if line is not None:
            await line.close()
        raise
    return line


def connect_synchronously(alias: str, name: str, *, statement_timeout: float) -> tuple[psycopg.Connection[Any], bool]:
    """See `connect`: an autocommit connection, and whether it is Postgres' own, with no pooler in between."""
    connection = psycopg.connect(**connection_parameters(alias, name), autocommit=True, prepare_threshold=None)
    try:
        settings = session_settings(statement_timeout=statement_timeout, durable=False)
        with within(connection, statement_timeout + MARGIN):
            cursor = connection.execute(PREPARE_SESSION, {**settings, "backend_pid": connection.info.backend_pid})
            direct: bool = cursor.fetchall()[0][0]
    except BaseException:
        connection.close()
        raise
    return connection, direct


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
        self._deadline = statement_timeout + min(MARGIN, statement_timeout)
        # While there is a connection.
        self._line: Line | None = None
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
        Raises psycopg's errors; NoAnswer when none came three seconds after the statement's own timeout.
        """
        async with self._turn:
            try:
                try:
                    return await self._rows(statement, parameters, under)
                except psycopg.errors.ProgramLimitExceeded as exc:
                    if await self._notify_queue_is_full():
                        raise NotifyQueueFull(f"the server's queue of notifications is full: {exc}") from exc
                    # It may have been until a moment ago, which says nothing of the values: once more.
                    return await self._rows(statement, parameters, under)
            except BaseException as exc:
                # A statement that the server refused leaves a good connection; anything else a doubtful one.
                if not isinstance(exc, psycopg.Error) or isinstance(exc, DATABASE_ERRORS) or is_of_the_session(exc):
                    await self.close()
                raise

    async def _rows(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None, under: LiteralString | None
    ) -> Sequence[tuple[Any, ...]]:
        line = await self.open()
        with Deadline(line, self._deadline):
            if line.direct and not under:
                return await line.rows(statement, parameters)
            return await self._in_transaction(line, statement, parameters, under)

    async def open(self) -> Line:
        """The line, on a connection that is opened and prepared if need be."""
        if self._line is not None and self._line.closed:
            await self.close()
        if self._line is None:
            self._line = await connect(
                self.alias,
                self.name,
                statement_timeout=self.statement_timeout,
                lock_timeout=self.lock_timeout,
                durable=self.durable,
            )
        return self._line

    async def close(self) -> None:
        """Close the connection if there is one; the next call opens another."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    def break_off(self) -> None:
        """Make the call that waits for an answer fail now, as if the connection were lost; the next opens another."""
        if self._line is not None:
            cut(self._line.connection)

    async def _in_transaction(
        self,
        line: Line,
        statement: LiteralString,
        parameters: Mapping[str, Any] | None,
        under: LiteralString | None,
    ) -> Sequence[tuple[Any, ...]]:
        await line.rows(BEGIN_TRANSACTION)
        try:
            if not line.direct:
                settings = session_settings(
                    statement_timeout=self.statement_timeout, lock_timeout=self.lock_timeout, durable=self.durable
                )
                await line.rows(PREPARE_TRANSACTION, settings)
            if under:
                await line.rows(under, parameters)
            rows = await line.rows(statement, parameters)
        except Exception:
            try:
                await line.rows(ROLLBACK_TRANSACTION)
            except psycopg.Error:
                await self.close()
            raise
        await line.rows(COMMIT_TRANSACTION)
        return rows

    async def _notify_queue_is_full(self) -> bool:
        """Ask, which also clears what every listener has read: once it is full, nothing else does that."""
        ((used,),) = await self._rows(NOTIFY_USAGE, None, None)
        return bool(used >= QUEUE_IS_FULL)
