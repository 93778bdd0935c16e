"""Our worker with somebody listening to what it tells: `python -m benchmarks.sides.heard WHAT queue_worker ...`.

WHAT is one of the words of LISTENERS; what follows is what manage.py is given.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import django
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from queue_tasks import events, signals  # noqa: E402 - after setup
from queue_tasks.worker import metering  # noqa: E402

NEWEST = 100
"""Events that who hears them keeps: that costs next to nothing, and what is left is the telling."""

heard: deque[events.Event] = deque(maxlen=NEWEST)


def nothing() -> None:
    """Not even the meter and the figures, which have no switch: they are taken out."""
    metering.note = lambda *_: None


def figures() -> None:
    """What every worker keeps."""


def subscribers() -> None:
    """A subscriber of every event."""
    for signal in all_signals():
        events.subscribe(signal.kind, heard.append)


def receivers() -> None:
    """A receiver of every signal."""
    for signal in all_signals():
        signal.connect(receive, weak=False)


def receive(*, events: tuple[events.Event, ...], **_: object) -> None:
    """Keep the newest."""
    heard.extend(events)


def all_signals() -> list[signals.EventSignal[Any]]:
    """One for each kind of event."""
    return [value for value in vars(signals).values() if isinstance(value, signals.EventSignal)]


LISTENERS: Mapping[str, Callable[[], None]] = {
    listen.__name__: listen for listen in (nothing, figures, subscribers, receivers)
}

if __name__ == "__main__":
    LISTENERS[sys.argv[1]]()
    execute_from_command_line(["manage.py", *sys.argv[2:]])
