"""A fleet: several real worker processes, their signals, and a service manager that starts those that ended anew.

    with Fleet(start, size=4) as fleet:             # Chaos.fleet() makes it
        victim = fleet.kill(random.choice(fleet.living))
        fleet.freeze(fleet.living[0]); ...; fleet.thaw(...)

`deaths` tells what was done to whom and when; `exits` how each process that is gone ended, and whether it was asked to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.acceptance.workers import WorkerProcess
from tests.waiting import wait_until


@dataclass
class Member:
    """One worker process of the fleet."""

    number: int
    worker: WorkerProcess
    requested: str = ""
    """The signal it was sent to end by; empty: it was not asked to end."""
    asked_at: float = 0.0
    """Seconds since 1970."""
    frozen: bool = False
    exited: bool = False

    @property
    def pid(self) -> int:
        return self.worker.process.pid


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    pid: int
    code: int
    requested: str
    seconds: float
    """From the request to the end; 0 when there was none."""
    output: str = field(repr=False)


class Fleet:
    """`size` workers, ready; killed at the end of the block, whatever happens in it.

    respawn: a worker that ended for whatever reason is replaced within a tenth of a second, as a service manager would.
    """

    def __init__(self, start: Callable[[int], WorkerProcess], size: int, *, respawn: bool = True) -> None:
        self._start = start
        self._size = size
        self._respawn = respawn
        self._lock = threading.Lock()  # guards what is below
        self._closing = threading.Event()
        self._members: list[Member] = []
        self._started = 0
        self._exits: list[Exit] = []
        self.deaths: list[tuple[int, float]] = []
        """(pid, seconds since 1970) of every SIGKILL."""
        self._watcher = threading.Thread(target=self._watch, name="chaos fleet")

    def __enter__(self) -> Self:
        try:
            for _ in range(self._size):
                self._add()
            for member in self.living:
                member.worker.until_ready()
        except BaseException:
            self._end()
            raise
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._watcher.join()
        self._collect()
        self._end()
        self._collect()

    # ------------------------------------------------------------------------------------------------ what there is

    @property
    def living(self) -> list[Member]:
        """The members that have not ended, in the order of their start."""
        with self._lock:
            return [member for member in self._members if not member.exited and member.worker.process.poll() is None]

    @property
    def ready(self) -> list[Member]:
        """Those of them that have said that they are ready, and were not asked to end since."""
        return [member for member in self.living if member.worker.said_ready and not member.requested]

    @property
    def output(self) -> str:
        """What everybody said."""
        with self._lock:
            return "\n".join(f"[{member.pid}] {line}" for member in self._members for line in self._lines(member))

    @staticmethod
    def _lines(member: Member) -> list[str]:
        return member.worker.output.splitlines()

    @property
    def exits(self) -> list[Exit]:
        """How those ended that did, up to now."""
        self._collect()
        return self._exits

    # ------------------------------------------------------------------------------------------------ what is done

    def kill(self, member: Member) -> Member:
        """SIGKILL."""
        self._ask(member, signal.SIGKILL)
        self.deaths.append((member.pid, member.asked_at))
        return member

    def terminate(self, member: Member) -> Member:
        """SIGTERM."""
        return self._ask(member, signal.SIGTERM)

    def freeze(self, member: Member) -> Member:
        """SIGSTOP."""
        member.frozen = True
        member.worker.send(signal.SIGSTOP)
        return member

    def thaw(self, member: Member) -> Member:
        """SIGCONT."""
        member.worker.send(signal.SIGCONT)
        member.frozen = False
        return member

    def stop(self, timeout: float = 60) -> list[Exit]:
        """SIGTERM to all, no replacements; how each ended."""
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join()
        asked = {self.terminate(member).pid for member in self.living}
        wait_until(lambda: not self.living, timeout, "the fleet did not stop")
        return [exit_ for exit_ in self.exits if exit_.pid in asked]

    def until_whole(self, timeout: float = 60) -> None:
        """Wait until as many workers as there should be are ready."""
        wait_until(lambda: len(self.ready) >= self._size, timeout, "the fleet is not whole again")

    def _ask(self, member: Member, number: signal.Signals) -> Member:
        member.requested = number.name
        member.asked_at = time.time()
        member.worker.send(number)
        return member

    # ------------------------------------------------------------------------------------------------ how it is done

    def _add(self) -> None:
        with self._lock:
            number, self._started = self._started, self._started + 1
        worker = self._start(number)
        with self._lock:
            self._members.append(Member(number, worker))

    def _watch(self) -> None:
        while not self._closing.wait(0.05):
            self._collect()
            for _ in range(self._size - len(self.living) if self._respawn else 0):
                self._add()

    def _collect(self) -> None:
        """Note the exits of those that ended since the last look."""
        with self._lock:
            gone = [m for m in self._members if not m.exited and m.worker.process.poll() is not None]
            for member in gone:
                member.exited = True
                code = member.worker.wait()
                seconds = time.time() - member.asked_at if member.requested else 0.0
                self._exits.append(Exit(member.pid, code, member.requested, seconds, member.worker.output))

    def _end(self) -> None:
        for member in self._members:
            if member.worker.process.poll() is None:
                member.requested = member.requested or "the end"
                # A frozen process dies of SIGKILL as well.
                member.worker.end()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # Its children: it was started as the leader of a group.
                os.killpg(member.pid, signal.SIGKILL)
