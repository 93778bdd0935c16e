"""The worker as a client of its database: what it sends its statements on, and what it is called there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, Protocol

from queue_tasks.conf import Options
from queue_tasks.connections import WorkerConnection

FINISH_LOCK_TIMEOUT = 0.2
"""Seconds a finish waits for a row that another session holds, and all outcomes of its batch with it."""


class Connection(Protocol):
    """What a store needs of a connection."""

    async def rows(
        self,
        statement: LiteralString,
        parameters: Mapping[str, Any] | None = None,
        *,
        under: LiteralString | None = None,
    ) -> Sequence[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and give its rows. Raises psycopg's errors.

        under: a statement with the same parameters that takes a lock first, in the same transaction.
        """

    async def close(self) -> None:
        """Let go of it."""

    def break_off(self) -> None:
        """Make the call that waits for an answer fail now; the next opens another."""


class Connect(Protocol):
    """Makes a connection to the database of an alias; name: what for, to be shown. WorkerConnection is one."""

    def __call__(
        self,
        alias: str,
        name: str,
        *,
        statement_timeout: float,
        lock_timeout: float | None = None,
        durable: bool = True,
    ) -> Connection:
        """See WorkerConnection."""


class Client:
    """Three connections and a number.

    Leases need not be durable; finishes must be, and are not to wait behind a fetch; the rest are rare.
    """

    def __init__(self, options: Options, connect: Connect = WorkerConnection) -> None:
        timeout = options.statement_timeout
        database = options.database
        self.leasing = connect(database, "fetch", statement_timeout=timeout, durable=False)
        self.finishing = connect(database, "finish", statement_timeout=timeout, lock_timeout=FINISH_LOCK_TIMEOUT)
        self.tending = connect(database, "tend", statement_timeout=timeout)
        self.worker_id = 0
        """The number that statements name; another when the worker is registered anew. Written by WorkerStore only."""

    async def close(self) -> None:
        """Close the connections."""
        for connection in (self.leasing, self.finishing, self.tending):
            await connection.close()
