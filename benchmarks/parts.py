"""The parts of a run, by name: each a module of measures/, with a function from a Bench to what it found."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.measures.drain import drain
from benchmarks.measures.enqueue import enqueue
from benchmarks.measures.flat import flat
from benchmarks.measures.idle import idle
from benchmarks.measures.notify import notify
from benchmarks.measures.overhead import overhead
from benchmarks.measures.pickup import pickup
from benchmarks.measures.processes import processes
from benchmarks.measures.snapshot import snapshot
from benchmarks.measures.soak import soak
from benchmarks.measures.sync import sync
from benchmarks.report import Found

Measure = Callable[[Bench], Found]

SPEED: dict[str, Measure] = {
    "drain": drain,
    "sync": sync,
    "enqueue": enqueue,
    "pickup": pickup,
    "idle": idle,
    "notify": notify,
    "overhead": overhead,
}
"""How fast, beside other queues."""

STEADY: dict[str, Measure] = {
    "flat": flat,
    "snapshot": snapshot,
    "processes": processes,
    "soak": soak,
}
"""Whether it stays so, whatever else is in the tables and however long it runs."""
