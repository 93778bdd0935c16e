"""The one contract of everything in the worker that runs until it is stopped.

A service is an async context manager. Entering starts its loop; leaving stops it, and returns only when it has stopped.
A loop that raises is said aloud and started again after a wait that grows; it never ends the worker. One that is
cancelled by nobody who may (a task of a job can cancel whatever it finds on the loop) is started again as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from queue_tasks.database_errors import brief
from queue_tasks.events import ServiceFailed, publish
from queue_tasks.worker.fitness import Fitness

"""Where the server's own words on an error end, and what it was about begins."""

logger = logging.getLogger("queue_tasks.worker")


class Service(ABC):
    """A supervised loop. Subclasses write `run`, and `finish` when something is to be done after the loop has ended."""

    name = "service"

    def __init__(self) -> None:
        self._loop: asyncio.Task[None] | None = None
        # Who entered it: when that task ends without leaving, the loop may be cancelled by anybody.
        self._owner: asyncio.Task[Any] | None = None
        self._fitness = Fitness()
        self.worker_id = 0

    @abstractmethod
    async def run(self) -> None:
        """The loop. It ends by being cancelled, or by returning when it has nothing more to do, ever."""

    async def finish(self) -> None:  # noqa: B027 - most have nothing left to do
        """What is left to do after the loop has ended; the services entered before are still running."""

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        self._start_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the loop and finish. May be called twice, and on a service that never started."""
        if await self._end_loop():
            await self.finish()

    async def restart(self) -> None:
        """End the loop and start it anew, if it runs."""
        if await self._end_loop():
            self._start_loop()

    @property
    def loop(self) -> asyncio.Task[None] | None:
        """What runs it, perhaps to its end; None before it is entered, and once it is stopped."""
        return self._loop

    @property
    def failed(self) -> bool:
        """Whether the loop has ended although nobody stopped it and it had not come to its end."""
        loop = self._loop
        return loop is not None and loop.done() and (loop.cancelled() or loop.exception() is not None)

    @property
    def failing_for(self) -> float:
        """Seconds since the loop began to fail again and again; 0 when it runs."""
        return self._fitness.failing_for(time.monotonic())

    def _start_loop(self) -> None:
        self._loop = asyncio.create_task(self._supervise(), name=f"queue_tasks {self.name}")

    async def _end_loop(self) -> bool:
        """End the loop; False when it was never begun, or somebody else ends it."""
        loop, self._loop = self._loop, None
        if loop is None:
            return False
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        return True

    async def _supervise(self) -> None:
        while True:
            self._fitness.begin(time.monotonic())
            try:
                await self.run()
            except asyncio.CancelledError as exc:
                self._end_if_stopped()
                error: BaseException = exc
            except Exception as exc:  # noqa: BLE001 - whatever ends a loop, it is started again
                error = exc
            else:
                return
            wait = self._fitness.fail(time.monotonic(), by_itself=isinstance(error, Exception))
            self._say(error, wait)
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                self._end_if_stopped()

    def _end_if_stopped(self) -> None:
        """Let a cancellation through that is somebody's who may stop the loop; forget any other."""
        me, owner = asyncio.current_task(), self._owner
        # Who stops a loop takes it away first.
        if me is None or self._loop is not me or owner is None or owner.done() or owner.cancelling():
            raise  # noqa: PLE0704 - the cancellation that is being handled
        me.uncancel()

    def _say(self, error: BaseException, wait: float) -> None:
        logger.log(
            logging.WARNING if self._fitness.failed_once else logging.INFO,
            "%s failed (%s: %s); trying again in %.1f s",
            self.name,
            type(error).__name__,
            brief(error),
            wait,
            exc_info=error if logger.isEnabledFor(logging.DEBUG) else None,
        )
        publish(ServiceFailed(self.worker_id, self.name, error, wait))


async def wait_for(event: asyncio.Event, timeout: float | None) -> bool:  # noqa: ASYNC109 - a wait that may end in vain is its point
    """Wait until the event is set, at most `timeout` seconds; whether it is."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return False
    return True
