"""ProcessExecutor: runs jobs in child processes, one at a time in each, that can be killed and harm nobody by it.

Children are started by exec when they are needed, up to one for each slot, used again last in first out, and ended when
they are idle for long. What is said to them and comes back is in wire.py, what they do in serving.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from queue_tasks import tracing
from queue_tasks.conf import Options
from queue_tasks.exceptions import MemoryLimitExceeded, ProcessDied, RaisedInProcess, TaskTimeout
from queue_tasks.frames import path_of
from queue_tasks.outcomes import Outcome
from queue_tasks.worker.attempt import Attempt, StopReason
from queue_tasks.worker.clock import Course, clock
from queue_tasks.worker.context import note_of
from queue_tasks.worker.ending import STOP_MARGIN
from queue_tasks.worker.memory import resident
from queue_tasks.worker.wire import Message, Unpacker, job_to_wire, options_to_wire, outcome_from_wire, pack

SCRIPT = str(Path(__file__).with_name("task_process.py"))
"""What a child runs: by its path, so that nothing is imported before it has made sure that it ends with us."""

START_WITHIN = 60.0
"""Seconds a child has to become ready."""

IDLE_FOR = 60.0
"""Seconds after which a child that nobody needs is ended."""

LOOK_EVERY = 0.1
"""Seconds between looks at the memory of a child that has a limit."""

LAST_WORDS = 0.5
"""Seconds after a child's end in which what it had said may still come."""

END_WITHIN = 1.0
"""Seconds a child has to end when we have closed its socket."""

EXIT_WITHIN = 5.0
"""Seconds a child has to end when it has closed its socket: as it ends, which may take some on a busy machine."""

SHUTDOWN_PATIENCE = 0.7 * STOP_MARGIN
"""Seconds a body has to end when the worker's time of grace is over."""


class ProcessExecutor:
    """name: of the worker."""

    def __init__(self, options: Options, name: str) -> None:
        self._patience = options.timeout_patience
        self._path = [path or os.getcwd() for path in sys.path]  # noqa: PTH109 - as sys.path has it
        self._setup = {
            "name": name,
            "path": self._path,
            "pythonpath": os.environ.get("PYTHONPATH"),
            "options": options_to_wire(options),
        }
        self._idle: list[TaskProcess] = []
        self._all: set[TaskProcess] = set()

    async def run(self, attempt: Attempt, timeout: float | None, memory_limit: int | None) -> Outcome:  # noqa: ASYNC109 - the task's
        """Run an attempt in a child, and give the outcome that child has found.

        timeout: seconds; memory_limit: bytes the body may take. Raises what became of the child otherwise: TaskTimeout,
        MemoryLimitExceeded, ProcessDied, or CancelledError when the attempt was told to stop and did not.
        """
        child = self._take_idle() or await self._start()
        child.serves(attempt)
        try:
            await child.until_ready()
            outcome = await child.run(timeout, memory_limit)
        except BaseException:
            child.kill(None)
            raise
        finally:
            child.serves(None)
        if isinstance(outcome.error, RaisedInProcess) and outcome.error.path == path_of(MemoryLimitExceeded):
            # Its heap is what it is.
            child.close()
        elif child.alive:
            self._idle.append(child)
            child.when_idle = asyncio.get_running_loop().call_later(IDLE_FOR, child.close)
        return outcome

    async def close(self) -> None:
        """End all children, and return when they have ended."""
        children = list(self._all)
        for child in children:
            child.close()
        for child in children:
            await child.ended.wait()

    def _take_idle(self) -> TaskProcess | None:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
        return None

    async def _start(self) -> TaskProcess:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # In this thread: the child is to end with the thread that has started it.
                process = subprocess.Popen(  # noqa: ASYNC220, S603 - some milliseconds; nothing here is a job's
                    [
                        sys.executable,
                        *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined] # noqa: SLF001 - as multiprocessing does
                        # A script's folder has no place in its path.
                        "-P",
                        SCRIPT,
                        str(theirs.fileno()),
                        str(os.getpid()),
                    ],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(self._path)},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    # Signals of the terminal are the worker's; and what a body starts can be killed with it.
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        child = TaskProcess(process, self._patience, self._forget)
        self._all.add(child)
        await loop.connect_accepted_socket(lambda: child, ours)
        child.say(self._setup)
        return child

    def _forget(self, child: TaskProcess) -> None:
        self._all.discard(child)
        if child in self._idle:
            self._idle.remove(child)


class TaskProcess(asyncio.Protocol):
    """One child process, as the worker sees it. Owned by the loop; `kill` may be called from any thread."""

    def __init__(
        self, process: subprocess.Popen[bytes], patience: float, on_end: Callable[[TaskProcess], None]
    ) -> None:
        self._process = process
        self._patience = patience
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unpacker = Unpacker()
        self._ready = self._loop.create_future()
        self._outcome: asyncio.Future[Outcome | BaseException] | None = None
        self._attempt: Attempt | None = None
        self._courses: list[Course] = []
        self._quiet = False
        """Whether its socket has come to its end."""
        self._killing = threading.Lock()
        # Under the lock, as what it serves. Whether its number may be another's by now, and what it was killed for.
        self._reaped = False
        self._why: BaseException | None = None
        self.alive = True
        self.ended = asyncio.Event()
        self.when_idle: asyncio.TimerHandle | None = None
        clock.watch(self._start_course())
        # A thread that only waits: the socket tells nothing when a copy of the child holds its other end.
        threading.Thread(target=self._wait, name="queue_tasks child", daemon=True).start()

    def serves(self, attempt: Attempt | None) -> None:
        """Whose job it has from now on; None: nobody's."""
        if self._attempt is not None:
            self._attempt.on_stop = None
        for course in self._courses:
            clock.forget(course)
        self._courses.clear()
        if self.when_idle is not None:
            self.when_idle.cancel()
        with self._killing:
            self._attempt = attempt
        if attempt is not None:
            attempt.on_stop = self._stop

    async def until_ready(self) -> None:
        """Return when Django is set up in it."""
        problem = await asyncio.shield(self._ready)
        if problem is not None:
            raise problem

    async def run(self, timeout: float | None, memory_limit: int | None) -> Outcome:  # noqa: ASYNC109 - the task's
        """Run the attempt it serves. See ProcessExecutor.run."""
        attempt = self._attempt
        assert attempt is not None
        if attempt.stop_reason is not None:
            raise asyncio.CancelledError
        attempt.started = time.monotonic()
        self._outcome = self._loop.create_future()
        self.say(
            {
                "run": job_to_wire(attempt.job),
                "worker_id": attempt.worker_id,
                "memory_limit": memory_limit,
                "trace": tracing.carrier(),
            }
        )
        if timeout is not None:
            attempt.deadline = attempt.started + timeout
            late = TaskTimeout(attempt.job.task_name, timeout)
            self._watch(self._kill_course(attempt.deadline + self._patience, late, attempt))
        if memory_limit is not None:
            self._watch(self._memory_course(attempt, memory_limit))
        try:
            outcome = await self._outcome
        finally:
            self._outcome = None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def say(self, message: Message) -> None:
        """Send a message; one that cannot be sent is as good as an end."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(message))

    def kill(self, why: BaseException | None, of: Attempt | None = None) -> None:
        """End it, and what it has started, at once. why: what its job fails of, if nothing was before.

        of: only if it serves this attempt; the clock may come when that has just ended, and another has begun.
        """
        with self._killing:
            if self._reaped or (of is not None and of is not self._attempt):
                return
            self._why = self._why or why
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.alive = False

    def close(self) -> None:
        """Let it end: it does when its socket is closed."""
        self.alive = False
        if self._transport is not None:
            self._transport.close()
        clock.watch(self._kill_course(time.monotonic() + END_WITHIN, None))

    # ---------------------------------------------------------------------------------------------------- its socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            for message in self._unpacker.feed(data):
                self._take(message)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
            self.kill(ProcessDied(f"sent what is no message ({type(exc).__name__}: {exc!s:.200}), and was killed"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio.Protocol
        """See asyncio.Protocol."""
        self._quiet = True
        self.alive = False
        if not self.ended.is_set():
            # It has ended, or a body has closed its files.
            closed = ProcessDied("closed its socket to the worker, and was killed")
            clock.watch(self._kill_course(time.monotonic() + EXIT_WITHIN, closed))

    def _take(self, message: Message) -> None:
        attempt = self._attempt
        if "ready" in message:
            if not self._ready.done():
                self._ready.set_result(None)
        elif "progress" in message:
            if attempt is not None:
                attempt.note_progress(attempt.job, note_of(**message["progress"]))
        elif self._outcome is None or attempt is None:
            raise ValueError("an outcome of no job")
        elif not self._outcome.done():
            times = {"started": attempt.started, "ended": time.monotonic()}
            self._outcome.set_result(outcome_from_wire({**message["outcome"], **times}))

    # ------------------------------------------------------------------------------------------------------- its end

    def _wait(self) -> None:
        # Without reaping it: until then its number is its own, and can be killed.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        try:
            self._loop.call_soon_threadsafe(self._died)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            self._reap()

    def _died(self) -> None:
        self.alive = False
        code = self._reap()
        if self._quiet:
            self._end(code)
        else:
            self._loop.call_later(LAST_WORDS, self._end, code)

    def _reap(self) -> int:
        with self._killing:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # What its body has started ends with it.
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reaped = True
            return self._process.wait()

    def _end(self, code: int) -> None:
        if self._transport is not None:
            self._transport.abort()
        why = self._why or ProcessDied(_how(code))
        if not self._ready.done():
            self._ready.set_result(why)
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(why)
        self.serves(None)
        self.ended.set()
        self._on_end(self)

    def _stop(self, reason: StopReason) -> None:
        """Tell the body; end it when it does not end."""
        if self._outcome is None:
            # Not begun.
            self.kill(asyncio.CancelledError())
            return
        self.say({"stop": reason.name})
        patience = SHUTDOWN_PATIENCE if reason is StopReason.SHUTDOWN else self._patience
        self._watch(self._kill_course(time.monotonic() + patience, asyncio.CancelledError(), self._attempt))

    # ----------------------------------------------------------------------------------------------------- its limits

    def _watch(self, course: Course) -> None:
        self._courses.append(course)
        clock.watch(course)

    def _start_course(self) -> Course:
        yield time.monotonic() + START_WITHIN
        if not self._ready.done():
            self.kill(ProcessDied(f"was not ready within {START_WITHIN:g} s, and was killed"))

    def _kill_course(self, when: float, why: BaseException | None, of: Attempt | None = None) -> Course:
        yield when
        self.kill(why, of)

    def _memory_course(self, of: Attempt, limit: int) -> Course:
        allowed = resident(self._process.pid) + limit
        while True:
            yield time.monotonic() + LOOK_EVERY
            if resident(self._process.pid) > allowed:
                self.kill(MemoryLimitExceeded(of.job.task_name, limit), of)
                return


def _how(code: int) -> str:
    """In words, how a process has ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was ended by signal {-code}"
