"""Heartbeat: the worker's sign of life, from a thread and a connection of its own.

A body that blocks the event loop, or a finish that waits for a lock, must not make a living worker look dead.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from queue_tasks.conf import Options
from queue_tasks.connections import connection_parameters, session_settings
from queue_tasks.events import ServiceFailed, publish
from queue_tasks.statements import HEARTBEAT, PREPARE_SESSION

logger = logging.getLogger("queue_tasks.worker")

FIRST_WAIT = 0.1
"""Seconds before beating that failed in an unforeseen way is begun anew."""


class Heartbeat:
    """Beats every `options.heartbeat` seconds.

    on_unknown is called on the loop, with the worker's number, at each beat that finds it not registered.
    `worker_id` may be changed.
    """

    def __init__(self, options: Options, worker_id: int, on_unknown: Callable[[int], None]) -> None:
        self._options = options
        self.worker_id = worker_id
        self._on_unknown = on_unknown
        self.answered_at = time.monotonic()
        """When the database last answered; at first, when this was made."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: psycopg.Connection | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._supervise, args=(loop,), name="queue_tasks heartbeat", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the beating; may be called twice."""
        self._stopping.set()
        if self._thread is not None:
            # In the loop's default executor, which the thread of a stuck task cannot fill: tasks have their own.
            await asyncio.to_thread(self._thread.join, 5)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _supervise(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat until stopped. What ends the beating unasked, even a SystemExit thrown in, begins it anew."""
        while not self._stopping.is_set():
            try:
                self._beat(loop)
            except BaseException as exc:  # noqa: BLE001 - whatever it is: a silent worker loses its jobs
                why = str(exc).strip() or "no message"
                logger.warning("heartbeat failed (%s: %s); starting it again", type(exc).__name__, why)
                publish(ServiceFailed(self.worker_id, "heartbeat", exc, FIRST_WAIT))
                self._stopping.wait(FIRST_WAIT)
        self._close()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        quiet = False
        while not self._stopping.is_set():
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                worker_id = self.worker_id
                known = self._connection.execute(HEARTBEAT, {"worker_id": worker_id}).fetchone()
            except psycopg.Error as exc:
                if not quiet:
                    logger.warning(
                        "heartbeat failed (%s); trying again every %g s", str(exc).strip(), self._options.heartbeat
                    )
                quiet = True
                self._close()
            else:
                quiet = False
                self.answered_at = time.monotonic()
                if known is None:
                    self._tell_unknown(loop, worker_id)
            self._stopping.wait(self._options.heartbeat)

    def _tell_unknown(self, loop: asyncio.AbstractEventLoop, worker_id: int) -> None:
        try:
            loop.call_soon_threadsafe(self._on_unknown, worker_id)
        except RuntimeError:
            # The loop is closed: there is nobody left to tell.
            self._stopping.set()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> psycopg.Connection:
        # A heartbeat that waits longer than a worker may be silent is of no use.
        limit = min(self._options.statement_timeout, self._options.dead_after / 2)
        parameters = connection_parameters(self._options.database, "heartbeat")
        connection = psycopg.connect(**parameters, autocommit=True)
        try:
            connection.execute(PREPARE_SESSION, session_settings(statement_timeout=limit, durable=False))
        except BaseException:
            connection.close()
            raise
        return connection
