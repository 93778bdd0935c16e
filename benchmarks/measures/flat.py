"""Flat cost: what a fetch and a job cost, whatever else is in the table, beside the empty table.

Each situation is a database of its own, and in each round each of them gets jobs to run, which are taken away again.
Fetches are timed one by one, 20 jobs each, by short turns of all situations: a hundredth of the fetches decides, and
what else the machine does in a second must not be taken for what a situation costs. For the rate a worker runs jobs.
"""

from __future__ import annotations

import contextlib
import dataclasses
from functools import partial

from benchmarks.bench import Bench, say
from benchmarks.contestants import OURS, environment, our_worker, start_ours
from benchmarks.harness import Figures, Series, Turn, TurnFailed, percentile, shown
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found
from benchmarks.server import Server

JOBS = 20_000
FETCHES = 1_000
"""Of a situation in a round."""

TURNS = 20
"""In which they are made, there and back through the situations."""

WARM = 5
"""Fetches at the beginning of a turn that are not counted: the processor has seen other databases since."""

SIZE = 20
"""Jobs of a fetch: the slots of a worker."""

OVERHEAD = 1_000
"""Jobs that a worker fetches and the measure does not count."""

RATE, P50, P99 = "jobs/s", "fetch p50, ms", "fetch p99, ms"
WITHIN = 1.2


@dataclasses.dataclass(frozen=True)
class Situation:
    """What is in the table beside the jobs that are run."""

    name: str
    title: str
    contents: tuple[str, ...]
    """Files of sql/flat that load it."""
    live: bool = True
    """Whether jobs are added to be run; else those of the situation are."""
    priority: int = 0
    like: str | None = None
    """The situation whose contents it has."""

    @property
    def database(self) -> str:
        """Its own."""
        return f"flat_{self.name}"


EMPTY = Situation("empty", "empty table", ())
SITUATIONS = (
    EMPTY,
    Situation("ready", "1,000,000 ready", ("ready",), live=False),
    Situation("priority", "high priority in front of 1,000,000 ready", ("ready",), priority=10, like="ready"),
    Situation("scheduled", "1,000,000 scheduled", ("scheduled",)),
    Situation("parked", "100,000 parked", ("parked",)),
    Situation("locked", "100,000 behind 50 hot locks", ("locked",)),
    Situation("finished", "1,000,000 finished", ("finished",)),
    Situation("queues", "1,000 queues of 200", ("queues",), live=False),
    Situation(
        "together",
        "all of it together",
        ("ready", "scheduled", "parked", "locked", "finished", "queues"),
        live=False,
    ),
)


def flat(bench: Bench) -> Found:
    """Rate and p99 of a fetch with a million of this and that in the table, beside the empty table."""
    server = bench.server
    loaded = []
    try:
        for situation in SITUATIONS:
            loaded.append(situation)
            load(server, situation)
        fetches = timed(bench)
        turns: dict[str, Turn] = {situation.name: partial(drained, bench, situation) for situation in SITUATIONS}
        rates = bench.paired(turns, required=(EMPTY.name,))
    finally:
        for situation in loaded:
            server.for_database("drop_database", situation.database)
    found = Found()
    for situation in SITUATIONS:
        if situation.name not in rates:
            found.findings.append(Finding.missing(f"5. {situation.title}", "", rates.failed[situation.name]))
            continue
        found.cells += [
            Cell(situation.title, RATE, rates.median(situation.name, RATE)),
            Cell(situation.title, P50, fetches.median(situation.name, P50)),
            Cell(situation.title, P99, fetches.median(situation.name, P99)),
        ]
        if situation is EMPTY:
            continue
        rate = rates.ratio(situation.name, EMPTY.name, RATE)
        p99 = fetches.ratio(situation.name, EMPTY.name, P99)
        found.findings += [
            Finding.at_least(f"5. rate, {situation.title}, beside the empty table's", 1 / WITHIN, rate, "x"),
            Finding.at_most(f"5. fetch p99, {situation.title}, beside the empty table's", WITHIN, p99, "x"),
        ]
    return found


def load(server: Server, situation: Situation) -> None:
    """Make its database."""
    say(f"loading: {situation.title}")
    server.for_database("drop_database", situation.database)
    template = OURS.database if situation.like is None else f"flat_{situation.like}"
    server.for_database("create_database", situation.database, template)
    if situation.like is None:
        for name in situation.contents:
            server.rows(situation.database, f"flat/{name}")
        vacuum(server, situation)


def vacuum(server: Server, situation: Situation) -> None:
    """As autovacuum would, but not while something is measured."""
    for name in ("queue_tasks/vacuum", "server/checkpoint"):
        server.rows(situation.database, name)


def fill(server: Server, situation: Situation, jobs: int) -> None:
    """Add jobs to be run, where the situation has none of its own."""
    if situation.live:
        server.rows(situation.database, "flat/live", count=jobs, priority=situation.priority)
        vacuum(server, situation)


def clear(server: Server, situation: Situation) -> None:
    """Take away what was run or added."""
    server.rows(situation.database, "flat/clear")
    vacuum(server, situation)


def timed(bench: Bench) -> Series:
    """The milliseconds of fetches, all situations by turns."""
    server = bench.server
    count = max(1, bench.count(FETCHES) // TURNS)
    rounds: dict[str, list[Figures]] = {situation.name: [] for situation in SITUATIONS}
    for number in range(bench.rounds):
        taken: dict[str, list[float]] = {situation.name: [] for situation in SITUATIONS}
        with contextlib.ExitStack() as stack:
            clients = {}
            for situation in SITUATIONS:
                stack.callback(clear, server, situation)
                fill(server, situation, (count + WARM) * TURNS * SIZE)
                environ = environment(server, situation.database)
                client = clients[situation.name] = stack.enter_context(Program(OURS.side("client"), environ))
                client.wait_for("ready")
            for turn in range(TURNS):
                for name in list(clients) if turn % 2 == 0 else list(clients)[::-1]:
                    found = [float(value) for value in clients[name].ask("fetches", WARM + count, SIZE)]
                    taken[name] += found[WARM:]
            for client in clients.values():
                client.ask("rest")
        for name, values in taken.items():
            figures = {P50: percentile(values, 0.5), P99: percentile(values, 0.99)}
            rounds[name].append(figures)
            say(f"round {number + 1} of {bench.rounds}, {name}: {shown(figures)}")
    return Series(rounds)


def drained(bench: Bench, situation: Situation) -> Figures:
    """One turn of a worker."""
    server, jobs = bench.server, bench.count(JOBS)
    try:
        fill(server, situation, jobs + OVERHEAD)
        with start_ours(server, situation.database, our_worker(), count=jobs) as worker:
            first = int(worker.wait_for("first")[0])
            last = int(worker.wait_for("last")[0])
        if last <= first:
            raise TurnFailed("the last body ran before the first")
    finally:
        clear(server, situation)
    return {RATE: (jobs - 1) * 1e9 / (last - first)}
