"""The event loop that a worker runs on: asyncio's own, whose short timers are not rounded up to milliseconds.

And how a task is started on it that need not wait for the loop's next turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import select
import selectors
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SHORT = 0.1
"""Seconds below which a rest is exact: of a longer one, a millisecond is less than a hundredth."""

FD_SETSIZE = 1024
"""The first descriptor that select(2) cannot wait for."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop: that of the project's own policy where it has set one, such as uvloop's."""
    loop = asyncio.new_event_loop()
    if sys.platform == "linux" and type(loop) is asyncio.SelectorEventLoop:
        loop.close()
        loop = asyncio.SelectorEventLoop(ExactSelector())
    return loop


def start_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    name: str,
    context: contextvars.Context | None = None,
) -> asyncio.Task[T]:
    """A task for a coroutine; from Python 3.12 on it has run as far as it does without waiting, often to its end."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)
    return loop.create_task(coroutine, name=name, context=context)


if sys.platform == "linux":

    class ExactSelector(selectors.EpollSelector):
        """Waits by epoll, but no longer than it is asked to.

        epoll counts in milliseconds: rounded up to them, timers become due together, and run one after the other. But
        an epoll is itself a descriptor, which something that counts finer can wait for.
        """

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait for descriptors, so many seconds at most; None: without end."""
            if timeout is not None and 0 < timeout < SHORT and self.fileno() < FD_SETSIZE:
                self._rest(timeout)
                timeout = 0
            return super().select(timeout)

        if sys.version_info >= (3, 13):

            def __init__(self) -> None:
                super().__init__()
                self._timer = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
                self._either = select.poll()
                for descriptor in (self.fileno(), self._timer):
                    self._either.register(descriptor, select.POLLIN)

            def close(self) -> None:
                """Give back the descriptors."""
                super().close()
                os.close(self._timer)

            def _rest(self, seconds: float) -> None:
                # Set anew, it forgets that it went off before. Zero would stop it.
                os.timerfd_settime_ns(self._timer, initial=int(seconds * 1e9) + 1)
                self._either.poll()

        else:

            def _rest(self, seconds: float) -> None:
                # In microseconds; the system adds some fifty, as it does to all but a timer's own descriptor.
                select.select([self.fileno()], (), (), seconds)
