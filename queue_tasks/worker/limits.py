"""Limit: the time limit of a body that no await interrupts, kept by raising TaskTimeout in its thread.

The exception must land in the body: not in our own code around it, not in the next job. So each run of a body, or each
step of a coroutine, has a token that exactly one can take, because `list.pop` is atomic:

* the clock takes it before it raises;
* the body's thread takes it when the body has ended, and nothing can be raised any more. If it is gone, somebody has
  raised or is about to: the thread waits until it is done, and takes back what has not arrived by then.

An exception that somebody handles, or that passes through a `finally`, exists. One that exists no more, while the body
runs on, was let go of: by the body, or in a place that swallows exceptions, such as `__del__`, the callback of a weak
reference, a handler of `logging`. With it comes the token back, and the clock may raise once more; it does not before
the body has had some time to end.

A thread within C (a query, a sleep, a loop of numpy's) sees an exception only when it comes out of there; queries are
therefore cancelled as well. A psycopg without its C sees it at once and turns its back on the query, and so does what
libpq calls to tell of a notice: a query that runs on is cancelled as the exception comes up.
What ignores all this is stuck: see `course`.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from django.db import Error

from queue_tasks.database_errors import StatementRefused, was_cancelled
from queue_tasks.exceptions import TaskTimeout
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.queries import be_done_with_cancels, cancel_queries, leave_queries

ARRIVES_WITHIN = 0.05
"""Seconds in which an exception arrives in a thread that runs Python; one that has not is within C, or a query."""

LOOP_MARGIN = 0.1
"""Seconds after the deadline in which a loop that turns would have stopped the coroutine by itself."""

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)
_raise_in_thread.restype = ctypes.c_int
_NOTHING_TO_RAISE = ctypes.py_object()

_IDLE: list[int] = []
"""The token of a limit of which nothing runs."""

_interrupted: dict[int, Limit] = {}
"""Thread -> the limit whose exception is on its way there."""


class _Interrupt(TaskTimeout):
    """What is raised: by its class alone, so the words come from the limit. To whoever sees it, a TaskTimeout."""

    def __init__(self, *args: Any) -> None:
        limit = _interrupted.pop(threading.get_ident(), None)
        if limit is None:
            # Somebody has made one more of a class that he has seen.
            Exception.__init__(self, *args)
        else:
            super().__init__(limit.name, limit.seconds)
            limit.note_arrival(self)


_Interrupt.__module__ = TaskTimeout.__module__
_Interrupt.__name__ = _Interrupt.__qualname__ = TaskTimeout.__name__


class Limit:
    """Of one attempt. name: of the task; seconds: its timeout; deadline: of `time.monotonic()`."""

    __slots__ = (
        "_exception",
        "_open",
        "_raised",
        "_token",
        "_turn",
        "arrived",
        "deadline",
        "name",
        "seconds",
        "thread",
    )

    def __init__(self, name: str, seconds: float, deadline: float) -> None:
        self.name = name
        self.seconds = seconds
        self.deadline = deadline
        self.arrived = False
        """Whether the exception that was raised last has come up in the thread."""
        # Written by the body's thread. What there is to take in a token is the number of its turn.
        self.thread = 0
        self._token = _IDLE
        self._turn = 0
        self._exception: weakref.ref[_Interrupt] | None = None
        # Written by the clock: the turn it took, once it has raised.
        self._raised = 0
        # Taken by whoever says how the body ended.
        self._open: list[None] = [None]

    @property
    def interrupted(self) -> bool:
        """Whether anything was raised."""
        return self.arrived or self._raised > 0

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
        self._turn += 1
        token = [self._turn]
        ended: Ended | None = None
        try:
            self._token = token
            try:
                ended = body(*arguments), None
            except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
                ended = None, exc
            # From here on it does not come back.
            self._token = _IDLE
            try:
                token.pop()
            except IndexError:
                while self._raised != self._turn:
                    time.sleep(0.0005)
                _raise_in_thread(thread, _NOTHING_TO_RAISE)
        except _Interrupt as late:
            self._token = _IDLE
            # The body had ended, or was about to: its own end counts, if it got as far as to say it.
            if ended is None:
                ended = None, late
        if self.interrupted:
            _interrupted.pop(thread, None)
            be_done_with_cancels()
            ended = self._judged(ended)
        return ended

    def course(self, patience: float, on_stuck: Callable[[Limit], None]) -> Generator[float]:
        """For the clock: a body in a thread. on_stuck is called when it has not ended `patience` s after the raise."""
        yield self.deadline
        while not self._interrupt(token := self._token):
            # It has not begun, or has just ended: its connections are being tended, which may hang as well.
            if self.thread and time.monotonic() >= self.deadline + patience:
                yield time.monotonic() + patience
                break
            yield time.monotonic() + ARRIVES_WITHIN
        else:
            yield from self._course_of_raised(token, patience)
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
                yield from self._course_of_raised(token, patience)
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

    def note_arrival(self, exception: _Interrupt) -> None:
        """For the exception, as it comes up in the body's thread.

        The one moment between the driver and the body: after it the body is free to use its connections, or to give
        them to others. So no request to cancel may be under way any more.
        """
        # From here on the clock asks for none.
        self.arrived = True
        leave_queries()
        token = self._token
        self._exception = weakref.ref(exception, lambda _: self._take_back(token))

    def _take_back(self, token: list[int]) -> None:
        """As the exception ceases to exist: while the same body runs, it may be raised again."""
        # Not by another thread's doing: the body could end at any moment.
        if token is self._token and token is not _IDLE and threading.get_ident() == self.thread:
            self._turn += 1
            token.append(self._turn)

    def _course_of_raised(self, token: list[int], patience: float) -> Generator[float]:
        """From the raise on, until patience ends."""
        over = time.monotonic() + patience
        yield time.monotonic() + ARRIVES_WITHIN
        self._cancel_queries(token)
        while time.monotonic() < over:
            was_let_go = bool(token)
            yield min(time.monotonic() + patience / 4, over)
            # By now it has had a quarter of its patience to end by itself.
            if was_let_go and self._interrupt(token):
                yield time.monotonic() + ARRIVES_WITHIN
                self._cancel_queries(token)

    def _cancel_queries(self, token: list[int]) -> None:
        cancel_queries(self.thread, still=lambda: self._token is token and not self.arrived)

    def _interrupt(self, token: list[int]) -> bool:
        try:
            turn = token.pop()
        except IndexError:
            return False
        self.arrived = False
        try:
            _interrupted[self.thread] = self
            _raise_in_thread(self.thread, _Interrupt)
        finally:
            self._raised = turn
        return True

    def _judged(self, ended: Ended) -> Ended:
        """How a body ended that was interrupted: one that fails since its query was cancelled was too slow."""
        error = ended[1]
        if not isinstance(error, (Error, StatementRefused)) or not was_cancelled(error):
            return ended
        timeout = self.timeout()
        timeout.__cause__ = error
        return None, timeout


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
