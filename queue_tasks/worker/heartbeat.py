"""Heartbeat: the worker's sign of life, from a thread, an event loop and a connection of its own.

A body that blocks the worker's event loop, or a finish that waits for a lock, must not make a living worker look dead.
While no job runs, here or elsewhere, the listener gives the sign in its place, half as often: on its connection one
statement asks whether that connection lives, beats, and looks around. If it does not, the thread beats after all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from queue_tasks.conf import Options
from queue_tasks.connections import WorkerConnection
from queue_tasks.database_errors import StatementRefused, brief
from queue_tasks.events import ServiceFailed, publish
from queue_tasks.statements import HEARTBEAT
from queue_tasks.worker.lookout import Lookout, Sight
from queue_tasks.worker.memory import resident
from queue_tasks.worker.service import wait_for
from queue_tasks.worker.silence import silent_after

logger = logging.getLogger("queue_tasks.worker")

FIRST_WAIT = 0.1
"""Seconds before beating that failed in an unforeseen way is begun anew."""

STOP_WITHIN = 5.0
"""Seconds a stopping worker waits for the last beat to end."""

LATE_BEATS = 1.1
"""Heartbeats after which one that has not come is late."""

CALM_BEATS = 2
"""Heartbeats between two signs of life while no job runs anywhere. Not more: the end of a worker that takes a job a
moment after one of them is noticed with the next, and its jobs are to be ready again within five seconds."""

CARRIED_WITHIN = 2.25
"""Heartbeats within which the listener must have given a sign in our place."""

LEAST_BEATS = 8
"""Heartbeats that a worker may be silent, at the least, for its signs to be that seldom."""


class Heartbeat:
    """Beats every `options.heartbeat` seconds.

    on_unknown is called on the worker's loop, with its number, at each beat that finds it not registered.
    on_late is called there, with the seconds for which the most silent of the other workers was silent, when its sign
    of life is late: to notice that a worker may be dead costs no statement of its own.
    on_told is called there at each beat with the worker's number and what an operator has told it; `beat_now` when it
    may have been told something.
    busy tells whether a job is in hand, carries whether somebody asks for a `question` in time; from any thread.
    lookout is told what the answers say.
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
        *,
        queues: Sequence[str] | None = None,
        busy: Callable[[], bool] = lambda: True,
        carries: Callable[[], bool] = lambda: False,
        lookout: Lookout | None = None,
    ) -> None:
        self._options = options
        self.worker_id = worker_id
        self._on_unknown = on_unknown
        self._on_late = on_late
        self._on_told = on_told
        self._queues = queues
        self._busy = busy
        self._carries = carries
        self._lookout = lookout or Lookout()
        self.answered_at = time.monotonic()
        """When the database last answered; at first, when this was made. Written by whoever beats."""
        # Whether others have jobs in hand, as the last answer said.
        self._others_run = True
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

    # ------------------------------------------------------------------------------------- by others, while all is calm

    @property
    def calm(self) -> bool:
        """Whether a sign of life now and then is enough: no job runs that anybody knows of. From any thread."""
        options = self._options
        return (
            not self._others_run
            and options.dead_after >= LEAST_BEATS * options.heartbeat
            and self._carries()
            and not self._busy()
        )

    @property
    def due_in(self) -> float | None:
        """Seconds until the listener is to ask our question; None: it is not to."""
        if not self.calm:
            return None
        return max(0.0, self.answered_at + CALM_BEATS * self._options.heartbeat - time.monotonic())

    def question(self) -> dict[str, Any]:
        """The parameters of sql/queries/look_around.sql, for who asks in our place."""
        return {**self._sign(self.worker_id), "queues": self._queues}

    def heed(self, worker_id: int, sight: Sight | None) -> None:
        """What the answer was, on the worker's loop. sight: None when the worker is not registered."""
        self._pass_on(_call, worker_id, None if sight is None else (sight.silence, sight.running, sight.told))
        if sight is not None:
            self._lookout.note(sight)

    # ------------------------------------------------------------------------------------------------ by its own thread

    def _supervise(self, home: asyncio.AbstractEventLoop) -> None:
        """Beat until stopped. What ends the beating unasked, even a SystemExit thrown in, begins it anew."""
        while not self._stopping.is_set():
            try:
                with asyncio.Runner() as runner:
                    runner.run(self._beat(home))
            except asyncio.CancelledError:
                continue
            except BaseException as exc:  # noqa: BLE001 - whatever it is: a silent worker loses its jobs
                logger.warning("heartbeat failed (%s: %s); starting it again", type(exc).__name__, brief(exc))
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
                self._again.clear()
                worker_id = self.worker_id
                try:
                    rows = await connection.rows(HEARTBEAT, {**self._sign(worker_id), "busy": self._busy()})
                except (StatementRefused, OSError) as exc:
                    if not quiet:
                        logger.warning("heartbeat failed (%s); trying again every %g s", brief(exc), options.heartbeat)
                    quiet = True
                else:
                    quiet = False
                    self._pass_on(partial(self._tell, home), worker_id, rows[0] if rows else None)
                wait = options.heartbeat
                while not await wait_for(self._again, wait) and (left := self._carried_for) > 0:
                    # Not longer than a heartbeat: who takes a job must give signs as often, at once.
                    wait = min(left, options.heartbeat)
        finally:
            await connection.close()

    @property
    def _carried_for(self) -> float:
        """Seconds for which the last sign of life is enough, whoever gave it; 0: none is, or a job is in hand."""
        if not self.calm:
            return 0.0
        return max(0.0, self.answered_at + CARRIED_WITHIN * self._options.heartbeat - time.monotonic())

    def _sign(self, worker_id: int) -> dict[str, Any]:
        return {
            "worker_id": worker_id,
            "memory": resident(os.getpid()) or None,
            "dead_after": self._options.dead_after,
            "silent_after": silent_after(self._options),
        }

    def _pass_on(self, tell: Callable[..., None], worker_id: int, answer: Sequence[Any] | None) -> None:
        """Take the answer to a sign of life: a row of queue_tasks_beat_v1; None: the worker is not registered.

        tell: has a function called on the worker's loop.
        """
        self.answered_at = time.monotonic()
        if answer is None:
            tell(self._on_unknown, worker_id)
            return
        silence, self._others_run, told = answer
        if silence > LATE_BEATS * self._options.heartbeat:
            tell(self._on_late, silence)
        tell(self._on_told, worker_id, told)

    def _tell(self, home: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
        try:
            home.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop is closed: there is nobody left to tell.
            self._stopping.set()


def _call(function: Callable[..., None], *arguments: object) -> None:
    """Tell at once, who is on the loop already."""
    function(*arguments)
