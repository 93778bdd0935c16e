"""Report: what a supervised worker process tells its supervisor each second, and the line it goes through.

One JSON object in a line, over a pair of sockets: the supervisor makes it, and names the child's end by an environment
variable. What a report costs the worker is one `send`; what its end tells the child is that the supervisor is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass, field, fields
from typing import Self

from queue_tasks.meter import Meter

LINE_VARIABLE = "QUEUE_TASKS_SUPERVISOR_FD"
"""The environment variable with the number of the child's end of the line."""

EVERY = 1.0
"""Seconds between reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The state of a worker process; each report replaces the one before."""

    worker_id: int = 0
    ready: bool = False
    """Whether it has been ready; what is wrong since then is in the two lists."""
    listening: bool = False
    """Whether notifications reach it."""
    dead: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    ended: int = 0
    """Attempts in its life."""
    failed: int = 0
    """Jobs that failed for good."""
    memory: int = 0
    """Bytes of resident memory."""
    recycled: str | None = None
    """Why it wants to be replaced."""
    meter: Meter = field(default_factory=Meter)
    """What it has done, for whoever scrapes it."""

    def encode(self) -> bytes:
        """The line that says it."""
        said = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return json.dumps({**said, "meter": self.meter.as_json()}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Report | None:
        """What a line says; None when it is no report: a task's code can write to any open file."""
        try:
            said = json.loads(line)
            values = {entry.name: said[entry.name] for entry in fields(cls)}
            values |= {"dead": tuple(values["dead"]), "unready": tuple(values["unready"])}
            return cls(**values | {"meter": Meter.from_json(values["meter"])})
        except (ValueError, KeyError, TypeError):
            return None


class SupervisorLine:
    """The child's end. Sends from one thread; another may wait for its end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unsent = b""

    @classmethod
    def take(cls) -> Self | None:
        """The line of the process that supervises this one, if any does; our own children do not find it."""
        number = os.environ.pop(LINE_VARIABLE, None)
        if number is None:
            return None
        end = socket.socket(fileno=int(number))
        end.set_inheritable(False)
        return cls(end)

    def send(self, report: Report) -> None:
        """Tell; a supervisor that does not listen at the moment holds nobody up, it misses reports."""
        unsent = self._unsent or report.encode()
        # An error: it is gone, which `until_gone` tells.
        with contextlib.suppress(OSError):
            unsent = unsent[self._end.send(unsent, socket.MSG_DONTWAIT) :]
        # What is left goes first next time: a line is never broken into by another.
        self._unsent = unsent

    def until_gone(self) -> None:
        """Wait until the supervisor is no more."""
        # It never says anything: whatever comes is the end.
        with contextlib.suppress(OSError):
            while self._end.recv(1024):
                pass

    def close(self) -> None:
        """End the line."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
