"""Heartbeat: the worker's sign of life, from a thread and a connection of its own.

A body that blocks the event loop, or a finish that waits for a lock, must not make a living worker look dead.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from queue_tasks.conf import Options
from queue_tasks.connections import connection_parameters, session_settings
from queue_tasks.statements import HEARTBEAT, PREPARE_SESSION

logger = logging.getLogger("queue_tasks.worker")


class Heartbeat:
    """Beats every `options.heartbeat` seconds.

    on_unknown is called on the loop, with the worker's number, at each beat that finds it not registered.
    `worker_id` may be changed.
    """

    def __init__(self, options: Options, worker_id: int, on_unknown: Callable[[int], None]) -> None:
        self._options = options
        self.worker_id = worker_id
        self._on_unknown = on_unknown
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._beat, args=(loop,), name="queue_tasks heartbeat", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if self._thread is not None:
            # In the loop's default executor, which the thread of a stuck task cannot fill: tasks have their own.
            await asyncio.to_thread(self._thread.join, 5)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        connection: psycopg.Connection | None = None
        quiet = False
        while not self._stopping.is_set():
            try:
                if connection is None or connection.closed:
                    connection = self._connect()
                worker_id = self.worker_id
                known = connection.execute(HEARTBEAT, {"worker_id": worker_id}).fetchone()
                quiet = False
                if known is None:
                    loop.call_soon_threadsafe(self._on_unknown, worker_id)
            except psycopg.Error as exc:
                if not quiet:
                    logger.warning(
                        "heartbeat failed (%s); trying again every %g s", str(exc).strip(), self._options.heartbeat
                    )
                quiet = True
                if connection is not None:
                    connection.close()
            except RuntimeError:
                # The loop is closed: there is nobody left to tell.
                break
            self._stopping.wait(self._options.heartbeat)
        if connection is not None:
            connection.close()

    def _connect(self) -> psycopg.Connection:
        # A heartbeat that waits longer than a worker may be silent is of no use.
        limit = min(self._options.statement_timeout, self._options.dead_after / 2)
        parameters = connection_parameters(self._options.database, "heartbeat")
        connection = psycopg.connect(**parameters, autocommit=True)
        connection.execute(PREPARE_SESSION, session_settings(statement_timeout=limit, durable=False))
        return connection
