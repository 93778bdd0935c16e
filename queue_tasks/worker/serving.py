"""Serving: what a child process does with the jobs it is given, one at a time, in its main thread.

The same as the worker does with a fetched job, by the same code: resolve the task, decode the arguments, run the body,
judge its end. What the worker is told of it is text; only the worker writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

from queue_tasks import bridge, tracing
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome
from queue_tasks.worker.attempt import Attempt, Ended, StopReason
from queue_tasks.worker.clock import Course, clock
from queue_tasks.worker.execution import Execution
from queue_tasks.worker.limits import Limit
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.memory import run_within
from queue_tasks.worker.threads import ThreadExecutor, run_tended
from queue_tasks.worker.wire import Message, job_from_wire, options_from_wire, outcome_to_wire, pack

PROGRESS_EVERY = 0.1
"""Seconds between two notes of progress that are sent on."""

TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
"""What sends a process a signal when its time has come, SIGALRM the first."""


class Serving:
    """channel: the socket to the worker. setup: the worker's first message."""

    def __init__(self, channel: socket.socket, setup: Message) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._pid = os.getpid()
        self._orders: SimpleQueue[Message] = SimpleQueue()
        # Written by the main thread, read by those that listen and tell progress.
        self._attempt: Attempt | None = None
        # The newest progress that is not sent yet, and when the last one was.
        self._note: dict[str, Any] | None = None
        self._told_at = 0.0
        options = options_from_wire(setup["options"])
        self._place = MainThread(options.timeout_patience)
        facade = bridge.WorkerFacade(setup["name"], 0, None, lambda: None)
        self._execution = Execution(options, self._place, OwnLoop(), facade)

    def serve(self, messages: Iterator[Message]) -> None:
        """Say that it is ready, and run what is ordered for ever."""
        threading.Thread(target=self._listen, args=(messages,), name="queue_tasks child", daemon=True).start()
        self._send({"ready": self._pid})
        while True:
            self._run(self._orders.get())

    def _listen(self, messages: Iterator[Message]) -> None:
        try:
            for message in messages:
                if "run" in message:
                    self._orders.put(message)
                elif "stop" in message and self._attempt is not None:
                    self._attempt.stop(StopReason[message["stop"]])
        finally:
            # Without ears it is of no use to anybody.
            os._exit(1)

    def _run(self, order: Message) -> None:
        job = job_from_wire(order["run"])
        self._place.memory = None if order["memory_limit"] is None else (order["memory_limit"], job.task_name)
        attempt = self._attempt = Attempt(job, order["worker_id"], self._take_note)
        self._execution.look_for_listeners()
        with tracing.continuing(order["trace"]):
            outcome = self._outcome(attempt)
        self._attempt = self._note = None
        if os.getpid() != self._pid:
            # A copy that the body made of this process has come back from it.
            os._exit(0)
        try:
            self._send({"outcome": outcome_to_wire(outcome, job, attempt.worker_id)})
        except ValueError as exc:
            error = ValueError(f"the return value makes {exc}. Store it in a row or a file, and return its id.")
            failed = self._execution.fail(error, attempt)
            self._send({"outcome": outcome_to_wire(failed, job, attempt.worker_id)})

    def _outcome(self, attempt: Attempt) -> Outcome:
        """The attempt's outcome. Nothing on the way to it waits for a loop: not here."""
        running = self._execution.run_bare(attempt)
        try:
            running.send(None)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        raise RuntimeError(f"{attempt.job.task_name} waits for an event loop, and a process has none")

    def _take_note(self, job: FetchedJob, note: dict[str, Any]) -> None:
        """From any thread of the body's: the newest progress is sent, now or in a moment."""
        waits, self._note = self._note is not None, note
        if time.monotonic() - self._told_at >= PROGRESS_EVERY:
            self._tell_progress(job)
        elif not waits:
            clock.watch(self._tell_later(job))

    def _tell_later(self, job: FetchedJob) -> Course:
        yield self._told_at + PROGRESS_EVERY
        self._tell_progress(job)

    def _tell_progress(self, job: FetchedJob) -> None:
        note, self._note = self._note, None
        attempt = self._attempt
        if note is not None and attempt is not None and attempt.job is job and os.getpid() == self._pid:
            self._told_at = time.monotonic()
            self._send({"progress": note})

    def _send(self, message: Message) -> None:
        data = pack(message)
        try:
            with self._sending:
                self._channel.sendall(data)
        except OSError:
            # The worker is gone, or the body has closed the socket: the worker sees this process end.
            os._exit(1)


class MainThread(ThreadExecutor):
    """Runs plain functions where it is called. memory: the bytes a body may take, and its task's name."""

    def __init__(self, patience: float) -> None:
        super().__init__(size=0, patience=patience)
        self.memory: tuple[int, str] | None = None

    async def run(self, body: Callable[[], Any], owner: str, limit: Limit | None = None) -> Ended:
        """See ThreadExecutor. A body that ignores its timeout is the worker's to end: with this process."""
        if self.memory is not None:
            body = partial(run_within, *self.memory, body)
        # In a context of its own, as in a thread: an activated language or time zone ends with the body.
        context = contextvars.copy_context()
        with _without_timers():
            if limit is None:
                return context.run(run_tended, body, owner)
            course = limit.course(self._patience, lambda _: None)
            clock.watch(course)
            try:
                return context.run(run_tended, body, owner, limit)
            finally:
                clock.forget(course)


@contextlib.contextmanager
def _without_timers() -> Iterator[None]:
    """Stop at the end what was started within: the alarm that a body has set itself is not to strike the next one."""
    off = [timer for timer in TIMERS if signal.getitimer(timer) == (0.0, 0.0)]
    try:
        yield
    finally:
        for timer in off:
            signal.setitimer(timer, 0)


class OwnLoop(LoopExecutor):
    """Awaits what a plain function gives to be awaited, on a loop made for it."""

    async def run(self, body: Callable[[], Awaitable[Any]], owner: str) -> Ended:  # noqa: ARG002 - as LoopExecutor
        """See LoopExecutor."""

        async def wait() -> Any:
            return await body()

        try:
            return asyncio.run(wait()), None
        except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
            return None, exc
