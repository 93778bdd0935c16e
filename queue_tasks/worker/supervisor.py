"""Supervisor: starts worker processes, watches them, replaces those that end, and ends them all when it is told to.

It has no event loop, no database connection and no job: what could harm a worker cannot harm it. Its children are
programs of their own (exec, never a bare fork), each with a line over which it reports each second, and over which it
learns that its supervisor is gone.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from queue_tasks.meter import Meter
from queue_tasks.worker.child import Child, Life, in_words
from queue_tasks.worker.health import Health
from queue_tasks.worker.report import Report
from queue_tasks.worker.stop_signals import BURST, STOP_SIGNALS, told_to

logger = logging.getLogger("queue_tasks.worker")

TICK = 1.0
"""Seconds between looks at everything."""

KILL_MARGIN = 2.5
"""Seconds after the time of grace until a process is killed: a healthy one ends itself half a second earlier."""

SILENCE_MARGIN = 2.0
"""Seconds more than `dead_after` that a process may say nothing."""

START_LIMIT = 300.0
"""Seconds a process may take to load the project before its first report."""

HEALTHY_AFTER = 30.0
"""Seconds a process must have been ready for its end to count as the first."""

LONGEST_WAIT = 30.0
"""Seconds between starts of a process that does not become ready, at the most."""

LONGEST_WAIT_OF_READY = 2.0
"""Seconds between starts of one that does, at the most: a job that kills it is no reason to let others wait."""

PAUSED = 5.0
"""Seconds between two looks from which on the supervisor itself was not running: silence then says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """What a supervisor is told."""

    processes: int
    grace: float
    """Seconds running jobs have to end."""
    dead_after: float
    """Seconds after which a process that says nothing is killed."""
    drain: bool = False
    """A process that ends has nothing more to do, unless it asks to be replaced."""


class Supervisor:
    """command gives the program and arguments of the n-th process, from 1.

    on_ready is called once, with the newest report of each, when all processes have become ready.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        command: Callable[[int], Sequence[str]],
        on_ready: Callable[[list[Report]], None],
    ) -> None:
        self.settings = settings
        self.ended = 0
        """Attempts that ended, in all processes there have been."""
        self.failed = 0
        """Jobs that failed for good."""
        self._on_ready = on_ready
        # Of the processes that have ended; each is counted there or among the living, never in both.
        self._meter = Meter()
        self._counting = threading.Lock()
        self._children = [Child(number, command(number)) for number in range(1, settings.processes + 1)]
        self._told_ready = False
        self._told_at: float | None = None
        self._kill_at = math.inf
        self._code = 0
        self._ticked_at = time.monotonic()

    def run(self) -> int:
        """Supervise until told to stop, or until each process has drained.

        Returns the exit code: 0, or 1 when a process did not end as it was told to, none could be started, a second
        signal came, or, while draining, a job failed for good. In the main thread only: signals are heard there.
        """
        ear, mouth = socket.socketpair()
        ear.settimeout(0)
        # SIGCHLD, too, so that the end of a process is not waited for.
        with ear, told_to(mouth, (*STOP_SIGNALS, signal.SIGCHLD)), selectors.DefaultSelector() as selector:
            selector.register(ear, selectors.EVENT_READ)
            try:
                for child in self._children:
                    child.start_at = 0.0
                while not all(child.over for child in self._children):
                    self._tick(selector)
                    selector.select(self._until_next())
                    self._hear(ear)
            finally:
                # Also when something unforeseen ends this loop: no child is left behind.
                for child in self._children:
                    child.kill("the supervisor ends")
                    child.close(selector)
        return self._code

    def health(self) -> Health:
        """What is wrong with the whole. From any thread.

        A process that has just ended, or is silent, is this supervisor's own business. One whose loop is blocked is
        not: killing it would break off jobs that may yet succeed.
        """
        dead, unready = [], []
        if time.monotonic() - self._ticked_at > PAUSED:
            dead.append("the supervisor does not turn")
        for child in self._children:
            dead += [f"process {child.number}: {what}" for what in child.report.dead]
        if self._told_at is not None:
            unready.append("it is stopping")
        elif not self._told_ready:
            unready.append("it is starting")
        elif not any(child.is_ready for child in self._children):
            unready.append("no process is ready")
        return Health(tuple(dead), tuple(unready))

    def measure(self) -> Meter:
        """What all processes have done together, those that have ended too. From any thread."""
        meter = Meter()
        with self._counting:
            meter.add(self._meter)
            for child in self._children:
                meter.add(child.report.meter)
        return meter

    # -------------------------------------------------------------------------------------------------------- turning

    def _tick(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        paused = now - self._ticked_at > PAUSED
        self._ticked_at = now
        for child in self._children:
            if child.start_at is not None and now >= child.start_at:
                self._start(child, selector, now)
            life = child.life
            if life is None:
                continue
            child.listen(selector)
            code = life.process.poll()
            if code is not None:
                self._ended(child, life, code, now)
                with self._counting:
                    self._meter.add(child.report.meter)
                    child.close(selector)
                continue
            if paused:
                life.heard_at = now
            self._watch(child, life, now)
        if not self._told_ready and self._told_at is None and all(child.is_ready for child in self._children):
            self._told_ready = True
            self._on_ready([child.report for child in self._children])

    def _start(self, child: Child, selector: selectors.BaseSelector, now: float) -> None:
        try:
            child.start(selector)
        except OSError as exc:
            # Such as no memory, or no more processes: that may pass.
            child.start_at = now + LONGEST_WAIT_OF_READY
            logger.error("%s could not be started (%s); trying again", child, exc)  # noqa: TRY400 - it says all there is

    def _watch(self, child: Child, life: Life, now: float) -> None:
        """Kill a process that says nothing, or takes too long to stop."""
        limit = START_LIMIT if life.report is None else self.settings.dead_after + SILENCE_MARGIN
        silent = now - life.heard_at
        if now >= self._kill_at:
            self._code = 1
            child.kill("it did not stop in time")
        elif silent >= limit:
            child.kill(f"it has said nothing for {silent:.0f} s")

    def _ended(self, child: Child, life: Life, code: int, now: float) -> None:
        """Count what a process did, and decide what follows its end."""
        report = child.report
        self.ended += report.ended
        self.failed += report.failed
        if self.settings.drain and report.failed:
            self._code = 1
        if self._told_at is not None:
            # Told before it could listen, it is ended by the signal itself.
            if code not in (0, -signal.SIGTERM):
                self._code = 1
            child.over = True
            return
        if self.settings.drain and not report.recycled:
            if code:
                logger.error("%s ended with %s", child, in_words(code))
                self._code = 1
            child.over = True
            return
        self._replace(child, life, code, now)

    def _replace(self, child: Child, life: Life, code: int, now: float) -> None:
        """Have another process start, unless none ever became ready and each has tried."""
        recycled = child.report.recycled
        if (recycled and child.report.ended) or (life.was_ready and now - life.started_at >= HEALTHY_AFTER):
            child.short_lives = 0
        else:
            child.short_lives += 1
        child.ever_ready = child.ever_ready or life.was_ready
        some_ready = any(other.ever_ready or other.is_ready for other in self._children)
        if not some_ready and all(other.short_lives for other in self._children):
            logger.critical("none of %d processes could start; ending (%s)", len(self._children), in_words(code))
            self._code = code if code > 0 else 1
            self._stop()
            child.over = True
            return
        # Not again at once while none is ready: the others are about to find the same.
        wait = _wait_after(child.short_lives, was_ready=life.was_ready) if some_ready else TICK
        child.start_at = now + wait
        why = recycled or f"ended with {in_words(code)}"
        when = f"in {wait:.0f} s" if wait else "now"
        level = logging.INFO if recycled and code == 0 else logging.WARNING
        logger.log(level, "%s: %s; starting another %s", child, why, when)

    def _until_next(self) -> float:
        """Seconds until something is to be done, whether or not anything is heard."""
        now = time.monotonic()
        starts = [child.start_at for child in self._children if child.start_at is not None]
        return max(0.0, min(now + TICK, self._kill_at if self._kill_at > now else math.inf, *starts) - now)

    # -------------------------------------------------------------------------------------------------------- stopping

    def _hear(self, ear: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while numbers := ear.recv(64):
                for number in numbers:
                    if number in STOP_SIGNALS:
                        self._told()

    def _told(self) -> None:
        now = time.monotonic()
        if self._told_at is None:
            self._stop()
        elif now - self._told_at > BURST:
            self._code = 1
            for child in self._children:
                child.kill("second signal")

    def _stop(self) -> None:
        """Tell each process to stop; from now on none is started."""
        self._told_at = time.monotonic()
        self._kill_at = self._told_at + self.settings.grace + KILL_MARGIN
        for child in self._children:
            child.start_at = None
            if child.life is None:
                child.over = True
            else:
                child.life.signal(signal.SIGTERM)


def _wait_after(short_lives: int, *, was_ready: bool) -> float:
    """Seconds until the next start after so many processes in a row that ended soon: none after one, 1 after two."""
    longest = LONGEST_WAIT_OF_READY if was_ready else LONGEST_WAIT
    return 0.0 if short_lives <= 1 else min(longest, 2.0 ** (short_lives - 2))
