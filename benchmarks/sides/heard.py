"""Our worker, watched by turns: `python -m benchmarks.sides.heard JOBS WHAT,WHAT,... queue_worker ...`.

Each WHAT is one of the words of LISTENERS: who listens while the next JOBS jobs end. The first JOBS warm it up.
Said: `begin WHAT`, and `end JOBS SECONDS CPU_SECONDS`. What follows is what manage.py is given.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import django
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from queue_tasks import events, signals  # noqa: E402 - after setup
from queue_tasks.meter import Meter  # noqa: E402
from queue_tasks.store import Written  # noqa: E402
from queue_tasks.worker import metering  # noqa: E402

NEWEST = 100
"""Events that who hears them keeps: that costs next to nothing, and what is left is the telling."""

heard: deque[events.Event] = deque(maxlen=NEWEST)


def nothing(_: ExitStack) -> None:
    """Not even the meter, which has no switch: it is not told."""


def figures(_: ExitStack) -> None:
    """What every worker keeps."""


def subscribers(listening: ExitStack) -> None:
    """A subscriber of every event, too."""
    for signal in all_signals():
        listening.callback(events.subscribe(signal.kind, heard.append))


def receivers(listening: ExitStack) -> None:
    """A receiver of every signal, too."""
    for signal in all_signals():
        signal.connect(receive, weak=False)
        listening.callback(signal.disconnect, receive)


def receive(*, events: tuple[events.Event, ...], **_: object) -> None:
    """Keep the newest."""
    heard.extend(events)


def all_signals() -> list[signals.EventSignal[Any]]:
    """One for each kind of event."""
    return [value for value in vars(signals).values() if isinstance(value, signals.EventSignal)]


LISTENERS: Mapping[str, Callable[[ExitStack], None]] = {
    listen.__name__: listen for listen in (nothing, figures, subscribers, receivers)
}


class Turns:
    """Has those of each turn listen while so many jobs end, one turn after the other. Used on the worker's loop."""

    def __init__(self, jobs: int, order: Sequence[str]) -> None:
        self._jobs = self._until = jobs
        self._ended = 0
        self._metered = True
        self._course = self._turns(order)
        next(self._course)

    def note(self, meter: Meter, batch: Sequence[Written], statuses: Mapping[int, str]) -> None:
        """A batch was written: what metering.note is told."""
        if self._metered:
            meter_note(meter, batch, statuses)
        self._ended += len(batch)
        if self._ended >= self._until:
            self._until += self._jobs
            next(self._course, None)

    def _turns(self, order: Sequence[str]) -> Iterator[None]:
        yield
        for what in order:
            self._metered = what != nothing.__name__
            with ExitStack() as listening:
                LISTENERS[what](listening)
                print("begin", what, flush=True)
                ended, began, used = self._ended, time.perf_counter(), time.process_time()
                yield
                seconds, cpu = time.perf_counter() - began, time.process_time() - used
            print("end", self._ended - ended, seconds, cpu, flush=True)


meter_note = metering.note

if __name__ == "__main__":
    metering.note = Turns(int(sys.argv[1]), sys.argv[2].split(",")).note
    execute_from_command_line(["manage.py", *sys.argv[3:]])
