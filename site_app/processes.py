"""The programs of the site: started as processes, watched, and stopped all together, whatever happens.

with stopped_by_signals(), Programs() as programs:
    web = programs.start("web", ...)
    programs.wait()         # until one ends by itself, which is an error, or a signal comes
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

PROJECT = Path(__file__).resolve().parent.parent
TIED = Path(__file__).resolve().parent / "tied.py"

GRACE = 15.0  # seconds a program has to stop after SIGTERM
RAISE_AGAIN_AFTER = 0.01  # seconds until a stop that Python has lost is raised anew
LAST_LINES = 30  # lines of a program's output shown when it failed


class ProgramError(Exception):
    """A program ended, or did not become ready; the message has its last lines."""


class Program:
    """One running process. Its output goes to ours, or through a thread into a file, and can be waited for."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        fds: Sequence[int],
        log: Path | None,
        ended: threading.Event,
    ) -> None:
        self.name = name
        self.log = log
        self.lines: deque[str] = deque(maxlen=500)  # written by the reading thread, under `news`
        self.news = threading.Condition()
        self.over = False  # written by the watching thread, under `news`
        self.ended = ended  # set by the watching thread of any program
        self.process = subprocess.Popen(
            [sys.executable, str(TIED), str(os.getpid()), *arguments],
            cwd=PROJECT,
            env=dict(env),
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=None if log is None else subprocess.PIPE,
            stderr=None if log is None else subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C reaches us only, and we stop them in order
        )
        self.thread = threading.Thread(target=self._watch, name=f"watch {name}", daemon=True)
        self.thread.start()

    def wait_for_line(self, beginning: str, timeout: float) -> str:
        """The first line that begins so. Raises ProgramError when the program ends first, or the time is over."""
        deadline = time.monotonic() + timeout
        with self.news:
            while True:
                for line in self.lines:
                    if line.startswith(beginning):
                        return line
                if self.over:
                    raise ProgramError(self.obituary())
                if not self.news.wait(deadline - time.monotonic()):
                    raise ProgramError(f"{self.name} said no line {beginning!r} within {timeout:.0f} s.\n{self.tail()}")

    def obituary(self) -> str:
        """What to say about a program that has ended."""
        return f"{self.name} ended by itself (exit code {self.process.returncode}).\n{self.tail()}"

    def tail(self) -> str:
        """The last lines of its output, if it is kept."""
        if self.log is None:
            return "Its output is above."
        return f"The last lines of {self.log}:\n" + "".join(f"    {line}\n" for line in list(self.lines)[-LAST_LINES:])

    def _watch(self) -> None:
        """Read the output, if it is ours to read, until the end; then note the end."""
        if self.log is not None and self.process.stdout is not None:
            with self.log.open("w") as file, self.process.stdout as output:
                for line in output:
                    file.write(line)
                    file.flush()
                    with self.news:
                        self.lines.append(line.rstrip("\n"))
                        self.news.notify_all()
        self.process.wait()
        with self.news:
            self.over = True
            self.news.notify_all()
        self.ended.set()


class Programs:
    """All programs of one run. Leaving the `with` block stops every one of them."""

    def __init__(self) -> None:
        self.running: list[Program] = []
        self.ended = threading.Event()

    def start(
        self,
        name: str,
        *arguments: str,
        env: Mapping[str, str],
        fds: Sequence[int] = (),
        log: Path | None = None,
    ) -> Program:
        """Start one. arguments: the program's path and what it is given; log: where its output goes, None: to ours."""
        program = Program(name, arguments, env=env, fds=fds, log=log, ended=self.ended)
        self.running.append(program)
        return program

    def check(self) -> None:
        """Raise ProgramError when one has ended by itself."""
        for program in self.running:
            if program.process.poll() is not None:
                program.thread.join(1)
                raise ProgramError(program.obituary())

    def wait(self) -> None:
        """Wait until one ends by itself, which raises ProgramError."""
        self.ended.wait()
        self.check()

    def stop(self) -> None:
        """Stop all of them: politely, then for sure. An interruption (a second Ctrl-C) goes straight to for sure."""
        try:
            for program in reversed(self.running):
                if program.process.poll() is None:
                    program.process.terminate()
            deadline = time.monotonic() + GRACE
            for program in self.running:
                program.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for program in self.running:
                kill_group(program.process.pid)
                program.process.wait()
                program.thread.join(1)
            self.running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def kill_group(leader: int) -> None:
    """Kill whatever is left of a program's process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the block by an exception, so that everything inside is cleaned up.

    Python only prints what is raised at the end of an object's life: there it is raised again a moment later, at the
    latest at the end of the block.
    """
    asked: list[KeyboardInterrupt | SystemExit] = []
    print_lost = sys.unraisablehook

    def leave(number: int, _frame: FrameType | None) -> None:
        asked.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
        raise asked[-1]

    def leave_again(_number: int, _frame: FrameType | None) -> None:
        raise asked[-1]

    def note_lost(lost: "sys.UnraisableHookArgs") -> None:
        if any(lost.exc_value is stop for stop in asked):
            signal.setitimer(signal.ITIMER_REAL, RAISE_AGAIN_AFTER)
        else:
            print_lost(lost)

    handlers = {**dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), leave), signal.SIGALRM: leave_again}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    sys.unraisablehook = note_lost
    try:
        yield
        _leave_if(asked)
    except Exception as error:
        stop = stop_behind(error)
        if stop is None:
            raise
        # What a signal cuts short, such as a query, may complain while it is cleaned up; the stop is what happened.
        raise stop from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = print_lost
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_if(asked: Sequence[BaseException]) -> None:
    if asked:
        raise asked[-1]


def stop_behind(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """The stop by a signal during whose handling an error was raised; None when there was none."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if isinstance(found, KeyboardInterrupt | SystemExit):
            return found
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            pending += [found.__cause__, found.__context__]
    return None


def listen_on(host: str, port: int) -> socket.socket:
    """An open socket for the web server; port 0 is any free one. Connections wait in it until the server is up."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ProgramError(
            f"Port {port} of {host} cannot be opened: {error.strerror}. Another program may have it; "
            f"choose another one: PORT={port + 1}"
        ) from error
    listener.listen(128)
    return listener


def start_web(programs: Programs, listener: socket.socket, env: Mapping[str, str], log: Path | None = None) -> Program:
    """Start the web server on an open socket."""
    fd = listener.fileno()
    arguments = (sys.executable, "-m", "site_app.web", "--fd", str(fd))
    return programs.start("the web server", *arguments, env=env, fds=(fd,), log=log)


def start_worker(programs: Programs, env: Mapping[str, str], log: Path | None = None) -> Program:
    """Start one worker for all queues."""
    return programs.start("the worker", sys.executable, "manage.py", "queue_worker", env=env, log=log)


def migrate(env: Mapping[str, str]) -> None:
    """Bring the database up to date. Raises ProgramError."""
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    done = subprocess.run(command, cwd=PROJECT, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProgramError(f"The database could not be migrated (exit code {done.returncode}):\n{done.stderr}")
