"""Limit: the time limit of a body that no await interrupts, kept by raising TaskTimeout in its thread.

The exception must land in the body: not in our own code around it, not in the next job. So each run of a body, or each
step of a coroutine, has a token that exactly one can take, because `list.pop` is atomic:

* the clock takes it before it raises;
* the body's thread takes it when the body has ended, and nothing can be raised any more. If it is gone, somebody has
  raised or is about to: the thread waits until it is done, and takes back what has not arrived by then.

A thread within C (a query, a sleep, a loop of numpy's) sees an exception only when it comes out of there; queries are
therefore cancelled as well. A psycopg without its C sees it at once and turns its back on the query, which would run on
in the server and keep its connection from all others, a rollback among them: so it has to see the query's end first.
What ignores all this is stuck: see `course`.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from queue_tasks.exceptions import TaskTimeout
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.queries import cancel_queries, outlast_queries

ARRIVES_WITHIN = 0.05
"""Seconds in which an exception arrives in a thread that runs Python; one that has not is within C, or a query."""

LOOP_MARGIN = 0.1
"""Seconds after the deadline in which a loop that turns would have stopped the coroutine by itself."""

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_raise_in_thread.restype = ctypes.c_int
_NOTHING_TO_RAISE = ctypes.py_object()

_IDLE: list[None] = []
"""The token of a limit of which nothing runs."""

_interrupted: dict[int, Limit] = {}
"""Thread -> the limit whose exception is on its way there."""


class _Interrupt(TaskTimeout):
    """What is raised: by its class alone, so the words come from the limit. To whoever sees it, a TaskTimeout."""

    def __init__(self, *args: Any) -> None:
        limit = _interrupted.get(threading.get_ident())
        if limit is None:
            Exception.__init__(self, *args)
        else:
            outlast_queries()
            limit.arrived = True
            super().__init__(limit.name, limit.seconds)


_Interrupt.__module__ = TaskTimeout.__module__
_Interrupt.__name__ = _Interrupt.__qualname__ = TaskTimeout.__name__


class Limit:
    """Of one attempt. name: of the task; seconds: its timeout; deadline: of `time.monotonic()`."""

    __slots__ = ("_open", "_raised", "_token", "arrived", "deadline", "name", "seconds", "thread")

    def __init__(self, name: str, seconds: float, deadline: float) -> None:
        self.name = name
        self.seconds = seconds
        self.deadline = deadline
        self.arrived = False
        """Whether the exception that was raised last has come up in the thread."""
        # Written by the body's thread.
        self.thread = 0
        self._token: list[None] = _IDLE
        # Written by the clock: the token it took, once it has raised.
        self._raised: list[None] | None = None
        # Taken by whoever says how the body ended.
        self._open: list[None] = [None]

    @property
    def interrupted(self) -> bool:
        """Whether anything was raised."""
        return self.arrived or self._raised is not None

    def settle(self) -> bool:
        """Whether the caller is the first, and only, one to say how the body ended; from any thread."""
        try:
            self._open.pop()
        except IndexError:
            return False
        return True

    def run(self, body: Callable[..., Any], *arguments: Any) -> Ended:
        """Run the body, or a step of it, in this thread. Raises nothing but what others raise in this thread."""
        thread = self.thread = threading.get_ident()
        token: list[None] = [None]
        ended: Ended | None = None
        try:
            self._token = token
            try:
                ended = body(*arguments), None
            except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
                ended = None, exc
            try:
                token.pop()
            except IndexError:
                while self._raised is not token:
                    time.sleep(0.0005)
                _raise_in_thread(thread, _NOTHING_TO_RAISE)
        except _Interrupt as late:
            # The body had ended, or was about to: its own end counts, if it got as far as to say it.
            if ended is None:
                ended = None, late
        self._token = _IDLE
        if self._raised is not None:
            _interrupted.pop(thread, None)
        return ended

    def course(self, patience: float, on_stuck: Callable[[Limit], None]) -> Generator[float]:
        """For the clock: a body in a thread. on_stuck is called when it has not ended `patience` s after the raise."""
        yield self.deadline
        raised = self.deadline
        # It has not begun, or has just ended: its connections are being tended, which may hang as well.
        while not self._interrupt(self._token) and (not self.thread or time.monotonic() < raised + patience):
            yield time.monotonic() + ARRIVES_WITHIN
        yield from self._course_of_raised(patience)
        on_stuck(self)

    def course_on_loop(
        self, patience: float, expired: Callable[[], bool], on_stuck: Callable[[Limit], None]
    ) -> Generator[float]:
        """For the clock: a coroutine. expired: whether the loop itself has told the coroutine, which is cleaning up.

        on_stuck is called when one of its steps still blocks the loop `patience` seconds after the raise.
        """
        yield self.deadline + LOOP_MARGIN
        seen = None
        while True:
            token = self._token
            if token is not _IDLE and (token is seen or not expired()):
                self._interrupt(token)
                yield from self._course_of_raised(patience)
                if self._token is token:
                    on_stuck(self)
                    return
            seen = token
            yield time.monotonic() + max(patience, LOOP_MARGIN)

    def stack(self) -> str:
        """Where the body's thread is, as Python prints it."""
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001 - documented, for debuggers
        return "".join(traceback.format_stack(frame)) if frame is not None else "(the thread has ended)\n"

    def timeout(self) -> TaskTimeout:
        """The error of a body that did not end by itself."""
        return TaskTimeout(self.name, self.seconds)

    def _course_of_raised(self, patience: float) -> Generator[float]:
        """From the raise on, until patience ends."""
        raised = time.monotonic()
        yield raised + ARRIVES_WITHIN
        if not self.arrived:
            cancel_queries(self.thread)
        yield raised + patience

    def _interrupt(self, token: list[None]) -> bool:
        try:
            token.pop()
        except IndexError:
            return False
        self.arrived = False
        try:
            _interrupted[self.thread] = self
            _raise_in_thread(self.thread, _Interrupt)
        finally:
            self._raised = token
        return True


class Steps:
    """Awaits a coroutine step by step, each within the limit, so that a step that blocks the loop can be ended."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], limit: Limit) -> None:
        self._coroutine = coroutine
        self._limit = limit

    def __await__(self) -> Generator[Any, Any, Any]:
        """See the class."""
        coroutine: Any = self._coroutine
        step: Any = coroutine.send
        given: Any = None
        while True:
            awaited, raised = self._limit.run(step, given)
            if isinstance(raised, StopIteration):
                return raised.value
            if isinstance(raised, _Interrupt) and coroutine.cr_frame is not None:
                # It came as the step ended: the coroutine, which waits for something already, does not know of it.
                step, given = coroutine.throw, raised
                continue
            if raised is not None:
                raise raised
            try:
                step, given = coroutine.send, (yield awaited)
            except BaseException as exc:  # noqa: BLE001 - it is the coroutine's
                step, given = coroutine.throw, exc
