"""What every side says and hears; the standard library only."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping

COUNT = int(os.environ.get("BENCHMARK_COUNT", "0"))
MARK = int(os.environ.get("BENCHMARK_MARK", "0"))

_bodies = itertools.count(1)  # next() is one step of the interpreter: threads need no lock


def say(*words: object) -> None:
    """One line, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def tally() -> None:
    """Count a body, and say when it was the first, a mark, or the last."""
    number = next(_bodies)
    if number == 1:
        say("first", time.monotonic_ns())
    elif number == COUNT:
        say("last", time.monotonic_ns())
    elif MARK and number % MARK == 0:
        say("mark", number, time.monotonic_ns())


def clock() -> None:
    """Say when a body started."""
    say("start", time.monotonic_ns())


def serve(verbs: Mapping[str, Callable[..., object]]) -> None:
    """Answer lines until there are no more."""
    say("ready")
    for line in sys.stdin:
        verb, *values = line.split()
        say("done", verbs[verb](*values))


def timed(work: Callable[[], object]) -> float:
    """Seconds it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
