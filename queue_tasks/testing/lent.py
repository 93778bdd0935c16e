"""Django's own connections, lent to jobs: a Store on them, and what keeps a task from harming the test's transaction.

Everything here that speaks to the database runs in the thread that synchronous Django code belongs to (asgiref's
thread-sensitive one): the caller's own, when the caller is synchronous.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

from asgiref.sync import sync_to_async
from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from queue_tasks.caller import aware
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.clock import clock
from queue_tasks.worker.limits import Limit
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.threads import ThreadExecutor

logger = logging.getLogger("queue_tasks.testing")


class LentConnection:
    """Django's connection to one database, as a Store uses it; in a test's transaction, each call is a savepoint."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    async def rows(
        self,
        statement: LiteralString,
        parameters: Mapping[str, Any] | None = None,
        *,
        under: LiteralString | None = None,
    ) -> Sequence[tuple[Any, ...]]:
        """Run one statement and give its rows. Raises psycopg's errors, not Django's."""
        if under:
            await sync_to_async(self._rows, thread_sensitive=True)(under, parameters)
        return await sync_to_async(self._rows, thread_sensitive=True)(statement, parameters)

    async def close(self) -> None:
        """Nothing: it is not ours."""

    def break_off(self) -> None:
        """Nothing, for the same reason."""

    def _rows(self, statement: LiteralString, parameters: Mapping[str, Any] | None) -> list[tuple[Any, ...]]:
        try:
            with transaction.atomic(using=self.alias), connections[self.alias].cursor() as cursor:
                cursor.execute(statement, parameters)
                rows = cursor.fetchall() if cursor.description else []
        except Error as exc:
            if exc.__cause__ is None:
                raise
            raise exc.__cause__ from None
        # As the worker's own connections give them.
        return [aware(connections[self.alias], row) for row in rows]


def lend(
    alias: str,
    name: str,  # noqa: ARG001 - as store.client.Connect, as the rest
    *,
    statement_timeout: float,  # noqa: ARG001
    lock_timeout: float | None = None,  # noqa: ARG001
    durable: bool = True,  # noqa: ARG001
) -> LentConnection:
    """The connection a Store is given instead of one of its own."""
    return LentConnection(alias)


class CallersThread(ThreadExecutor):
    """Runs plain functions in the caller's thread."""

    def __init__(self) -> None:
        super().__init__(size=0)

    async def run(self, body: Callable[[], Any], owner: str, limit: Limit | None = None) -> Ended:
        """See ThreadExecutor. A body that ignores its timeout goes on: the thread is the caller's."""
        if limit is None:
            return await sync_to_async(_run_fenced, thread_sensitive=True)(body, owner)
        course = limit.course(0, lambda _: None)
        clock.watch(course)
        try:
            return await sync_to_async(_run_fenced, thread_sensitive=True)(body, owner, limit)
        finally:
            clock.forget(course)


@asynccontextmanager
async def fenced(owner: str) -> AsyncIterator[None]:
    """A Fence around what runs on the loop and swallows its own errors."""
    fence = Fence(owner)
    await sync_to_async(fence.put_up, thread_sensitive=True)()
    try:
        yield
    finally:
        await sync_to_async(fence.take_down, thread_sensitive=True)(None)


class CallersLoop(LoopExecutor):
    """Runs coroutines on the loop; what they call by sync_to_async, as the ORM does, uses the caller's connection."""

    async def run(self, body: Callable[[], Awaitable[Any]], owner: str) -> Ended:
        """See LoopExecutor."""
        fence = Fence(owner)
        await sync_to_async(fence.put_up, thread_sensitive=True)()
        value, error = None, None
        try:
            value = await body()
        except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
            error = exc
        error = await sync_to_async(fence.take_down, thread_sensitive=True)(error)
        if isinstance(error, asyncio.CancelledError):
            raise error
        return value, error


def _run_fenced(body: Callable[[], Any], owner: str, limit: Limit | None = None) -> Ended:
    fence = Fence(owner)
    fence.put_up()
    value, error = None, None
    if limit is not None:
        value, error = limit.run(body)
        return value, fence.take_down(error)
    try:
        value = body()
    except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
        error = exc
    return value, fence.take_down(error)


@dataclass(frozen=True, slots=True)
class _Before:
    """How a connection was when the task began."""

    savepoint: str | None
    """None: it was not in a transaction."""
    savepoints: int
    blocks: int
    """Atomic blocks that were open, and their savepoints."""
    callbacks: int
    """Functions that waited for the commit."""


class Fence:
    """Around a task: makes of the test's transaction what the worker's autocommit would be.

    What the task wrote stays, also when it raised, as it would stay committed. Only when it left the transaction in
    error is everything it wrote undone: without that, the test could not go on. What the task gave to
    `transaction.on_commit` runs when the task ends.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._before: dict[str, _Before] = {}

    def put_up(self) -> None:
        """Remember how the connections are."""
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block or _is_open(connection):
                self._before[connection.alias] = _Before(
                    connection.savepoint() if connection.in_atomic_block else None,
                    len(connection.savepoint_ids),
                    len(connection.atomic_blocks),
                    len(connection.run_on_commit),
                )

    def take_down(self, error: BaseException | None) -> BaseException | None:
        """Let committed effects follow, mend what is broken; the task's error, else that of a callback."""
        for connection in connections.all(initialized_only=True):
            before = self._before.get(connection.alias)
            if before is None:
                self._end_left_open(connection)
            elif before.savepoint is not None and not connection.closed_in_transaction:
                problem = self._run_callbacks(connection, before)
                error = problem if error is None else error
                self._mend(connection, before, before.savepoint)
        return error

    def _run_callbacks(self, connection: BaseDatabaseWrapper, before: _Before) -> BaseException | None:
        """What waits for a commit, unless there will be none."""
        while len(connection.run_on_commit) > before.callbacks and not _is_broken(connection, before):
            waiting: Any = connection.run_on_commit.pop(before.callbacks)
            _, callback, robust = waiting
            try:
                callback()
            except BaseException as exc:
                if not robust:
                    return exc
                logger.exception("Error calling %s in on_commit().", getattr(callback, "__qualname__", callback))
        return None

    def _mend(self, connection: BaseDatabaseWrapper, before: _Before, savepoint: str) -> None:
        if _is_broken(connection, before):
            if len(connection.savepoint_ids) > before.savepoints:
                self._say_left_open(connection)
            del connection.savepoint_ids[before.savepoints :]
            del connection.atomic_blocks[before.blocks :]
            del connection.run_on_commit[before.callbacks :]
            connection.needs_rollback = False
            connection.savepoint_rollback(savepoint)
        connection.savepoint_commit(savepoint)

    def _end_left_open(self, connection: BaseDatabaseWrapper) -> None:
        """In a test that commits: what the worker does with a transaction that a task forgot."""
        if connection.in_atomic_block or _is_open(connection):
            self._say_left_open(connection)
            connection.in_atomic_block = connection.needs_rollback = connection.closed_in_transaction = False
            connection.savepoint_ids, connection.atomic_blocks, connection.run_on_commit = [], [], []
            connection.close()

    def _say_left_open(self, connection: BaseDatabaseWrapper) -> None:
        logger.warning(
            "%s left a transaction open on database %r; it was rolled back. Use transaction.atomic() as a with block.",
            self._owner,
            connection.alias,
        )


def _is_broken(connection: BaseDatabaseWrapper, before: _Before) -> bool:
    """Whether nothing more can be done in the transaction as it is."""
    return (
        connection.needs_rollback
        or len(connection.savepoint_ids) > before.savepoints
        or _status(connection) == "INERROR"
    )


def _is_open(connection: BaseDatabaseWrapper) -> bool:
    return _status(connection) in ("ACTIVE", "INTRANS", "INERROR")


def _status(connection: BaseDatabaseWrapper) -> str:
    """The state of the connection's transaction in psycopg's words; of other databases nothing is known."""
    if connection.vendor != "postgresql" or connection.connection is None:
        return ""
    return str(connection.connection.info.transaction_status.name)
