"""Heartbeat: the worker's sign of life, from a thread, an event loop and a connection of its own.

A body that blocks the worker's event loop, or a finish that waits for a lock, must not make a living worker look dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from queue_tasks.conf import Options
from queue_tasks.connections import WorkerConnection
from queue_tasks.database_errors import StatementRefused
from queue_tasks.events import ServiceFailed, publish
from queue_tasks.statements import HEARTBEAT
from queue_tasks.worker.memory import resident
from queue_tasks.worker.service import wait_for

logger = logging.getLogger("queue_tasks.worker")

FIRST_WAIT = 0.1
"""Seconds before beating that failed in an unforeseen way is begun anew."""

STOP_WITHIN = 5.0
"""Seconds a stopping worker waits for the last beat to end."""

LATE_BEATS = 1.1
"""Heartbeats after which one that has not come is late."""


class Heartbeat:
    """Beats every `options.heartbeat` seconds.

    on_unknown is called on the worker's loop, with its number, at each beat that finds it not registered.
    on_late is called there, with the seconds for which the most silent of the other workers was silent, when its sign
    of life is late: to notice that a worker may be dead costs no statement of its own.
    on_told is called there at each beat with the worker's number and what an operator has told it; `beat_now` when it
    may have been told something.
    `worker_id` may be changed.
    """

    name = "heartbeat"

    def __init__(
        self,
        options: Options,
        worker_id: int,
        on_unknown: Callable[[int], None],
        on_late: Callable[[float], None] = lambda _: None,
        on_told: Callable[[int, str | None], None] = lambda *_: None,
    ) -> None:
        self._options = options
        self.worker_id = worker_id
        self._on_unknown = on_unknown
        self._on_late = on_late
        self._on_told = on_told
        self.answered_at = time.monotonic()
        """When the database last answered; at first, when this was made."""
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._thread: threading.Thread | None = None
        # Of the thread.
        self._beating: asyncio.Task[None] | None = None
        self._again = asyncio.Event()

    async def __aenter__(self) -> Self:
        home = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._supervise, args=(home,), name="queue_tasks heartbeat", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the beating; may be called twice."""
        self._stopping.set()
        if self._thread is None:
            return
        beating = self._beating
        if beating is not None:
            # A closed loop: it has ended.
            with contextlib.suppress(RuntimeError):
                beating.get_loop().call_soon_threadsafe(beating.cancel)
        # Not by a thread that waits for the thread: tasks may have taken all that there are.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await self._ended.wait()
                self._thread.join(1)

    def beat_now(self) -> None:
        """Do not wait for the next beat; from any thread."""
        beating = self._beating
        if beating is not None:
            # A closed loop: the next one begins with a beat.
            with contextlib.suppress(RuntimeError):
                beating.get_loop().call_soon_threadsafe(self._again.set)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _supervise(self, home: asyncio.AbstractEventLoop) -> None:
        """Beat until stopped. What ends the beating unasked, even a SystemExit thrown in, begins it anew."""
        while not self._stopping.is_set():
            try:
                with asyncio.Runner() as runner:
                    runner.run(self._beat(home))
            except asyncio.CancelledError:
                continue
            except BaseException as exc:  # noqa: BLE001 - whatever it is: a silent worker loses its jobs
                why = str(exc).strip() or "no message"
                logger.warning("heartbeat failed (%s: %s); starting it again", type(exc).__name__, why)
                self._tell(home, publish, ServiceFailed(self.worker_id, self.name, exc, FIRST_WAIT))
                self._stopping.wait(FIRST_WAIT)
        self._tell(home, self._ended.set)

    async def _beat(self, home: asyncio.AbstractEventLoop) -> None:
        self._again = asyncio.Event()
        self._beating = asyncio.current_task()
        options = self._options
        # A beat that waits longer than a worker may be silent is of no use.
        limit = min(options.statement_timeout, options.dead_after / 3)
        connection = WorkerConnection(options.database, "heartbeat", statement_timeout=limit, durable=False)
        quiet = False
        try:
            while not self._stopping.is_set():
                worker_id = self.worker_id
                self._again.clear()
                try:
                    beat = {
                        "worker_id": worker_id,
                        "dead_after": options.dead_after,
                        "memory": resident(os.getpid()) or None,
                    }
                    rows = await connection.rows(HEARTBEAT, beat)
                except (StatementRefused, OSError) as exc:
                    if not quiet:
                        logger.warning(
                            "heartbeat failed (%s); trying again every %g s", str(exc).strip(), options.heartbeat
                        )
                    quiet = True
                else:
                    quiet = False
                    self.answered_at = time.monotonic()
                    self._heed(home, worker_id, rows[0][0] if rows else None)
                    if rows:
                        self._tell(home, self._on_told, worker_id, rows[0][1])
                await wait_for(self._again, options.heartbeat)
        finally:
            await connection.close()

    def _heed(self, home: asyncio.AbstractEventLoop, worker_id: int, silence: float | None) -> None:
        """Pass on what a beat has found out. silence: None when the worker is not registered."""
        if silence is None:
            self._tell(home, self._on_unknown, worker_id)
        elif silence > LATE_BEATS * self._options.heartbeat:
            self._tell(home, self._on_late, silence)

    def _tell(self, home: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
        try:
            home.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop is closed: there is nobody left to tell.
            self._stopping.set()
