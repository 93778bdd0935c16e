"""Child: one place for a worker process under a supervisor, and Life: one process that has it for a while."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from queue_tasks.worker.report import LINE_VARIABLE, Report

logger = logging.getLogger("queue_tasks.worker")

LONGEST_LINE = 2**20
"""Bytes of a line above which it is no report: three histograms of each of some hundreds of tasks are in it."""

NOTHING = Report()


class Life:
    """A process from its start to its end."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = subprocess.Popen(  # noqa: S603 - our own command
                    command,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, LINE_VARIABLE: str(theirs.fileno())},
                    pass_fds=[theirs.fileno()],
                    # A group of its own: Ctrl-C on a terminal is the supervisor's to hear, and killing it takes along
                    # what its jobs have started.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        ours.settimeout(0)
        self.line = ours
        self.started_at = self.heard_at = time.monotonic()
        self.report: Report | None = None
        """The newest."""
        self.was_ready = False
        self.killed = False
        self._said = b""

    def listen(self) -> bool:
        """Take what it has reported; False when it will say nothing more."""
        with contextlib.suppress(BlockingIOError):
            while said := self._receive():
                *lines, self._said = (self._said + said).split(b"\n")
                self._said = self._said[-LONGEST_LINE:]
                for line in lines:
                    report = Report.decode(line)
                    if report is not None:
                        self.report, self.heard_at = report, time.monotonic()
                        self.was_ready = self.was_ready or report.ready
            return False
        return True

    def _receive(self) -> bytes:
        try:
            return self.line.recv(65_536)
        except ConnectionError:
            return b""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        self.process.send_signal(number)


class Child:
    """A place, its number, and who has it."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self.life: Life | None = None
        self.start_at: float | None = None
        """When the next process is to be started, monotonic."""
        self.short_lives = 0
        """Processes in a row that ended soon."""
        self.ever_ready = False
        self.over = False
        """Whether no other process will be started."""
        self._command = command

    def __str__(self) -> str:
        if self.life is None:
            return f"process {self.number}"
        worker = f"worker {self.report.worker_id}, " if self.report.worker_id else ""
        return f"process {self.number} ({worker}pid {self.life.process.pid})"

    @property
    def report(self) -> Report:
        """The newest of the process that has it; an empty one while there is none."""
        life = self.life
        return NOTHING if life is None or life.report is None else life.report

    @property
    def is_ready(self) -> bool:
        """Whether it runs jobs, as far as is known."""
        report = self.report
        return report.ready and not report.dead and not report.unready

    def start(self, selector: selectors.BaseSelector) -> None:
        """Start a process."""
        self.start_at = None
        self.life = Life(self._command)
        selector.register(self.life.line, selectors.EVENT_READ)

    def listen(self, selector: selectors.BaseSelector) -> None:
        """Take what the process has reported."""
        if self.life is not None and not self.life.listen() and self.life.line in selector.get_map():
            selector.unregister(self.life.line)

    def kill(self, why: str) -> None:
        """Kill the process and what it has started, at once, if it runs."""
        if self.life is None or self.life.killed or self.life.process.poll() is not None:
            return
        logger.error("%s is killed: %s; its running jobs will be rescued", self, why)
        self.life.killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.life.process.pid, signal.SIGKILL)

    def close(self, selector: selectors.BaseSelector) -> None:
        """Forget the process, which has ended or was killed."""
        if self.life is None:
            return
        self.life.process.wait()
        if self.life.line in selector.get_map():
            selector.unregister(self.life.line)
        self.life.line.close()
        self.life = None


def in_words(code: int) -> str:
    """How a process ended, as a person reads it: an exit code, or, below 0, a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def program(command: str) -> list[str]:
    """How this process was started, up to the command's name: what starts another one like it.

    command: of Django's command line, such as "queue_worker". Python's own flags are kept.
    """
    given, seen = sys.orig_argv, sys.argv
    end = len(given) - len(seen) + 1
    if len(seen) > 1 and seen[1] == command and 0 < end < len(given) and given[end] == command:
        # Not given[0], which may be found on another PATH, or not at all.
        return [sys.executable, *given[1:end]]
    return [sys.executable, "-m", "django"]
