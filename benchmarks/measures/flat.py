"""Flat cost: what a fetch and a job cost, whatever else is in the table, beside the empty table.

Each situation is a database of its own. In each round each of them gets jobs to run, which are fetched and finished 20
at a time, each fetch with its time, and then run by a worker; then they are taken away again.
"""

from __future__ import annotations

import dataclasses
from functools import partial

from benchmarks.bench import Bench, say
from benchmarks.contestants import OURS, environment, our_worker, start_ours
from benchmarks.harness import Figures, Turn, TurnFailed, percentile
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found
from benchmarks.server import Server

JOBS = 20_000
FETCHES = 400
SIZE = 20
"""Jobs of a fetch: the slots of a worker."""

OVERHEAD = 1_000
"""Jobs that a worker fetches and the measure does not count."""

RATE, P99 = "jobs/s", "fetch p99, ms"
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
    shares: str | None = None
    """The situation whose database it uses."""

    @property
    def database(self) -> str:
        """Its own, or another's."""
        return f"flat_{self.shares or self.name}"


EMPTY = Situation("empty", "empty table", ())
SITUATIONS = (
    EMPTY,
    Situation("ready", "1,000,000 ready", ("ready",), live=False),
    Situation("priority", "high priority in front of 1,000,000 ready", ("ready",), priority=10, shares="ready"),
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
            if situation.shares is None:
                loaded.append(situation)
                load(server, situation)
        turns: dict[str, Turn] = {situation.name: partial(measured, bench, situation) for situation in SITUATIONS}
        series = bench.paired(turns, required=(EMPTY.name,))
    finally:
        for situation in loaded:
            server.for_database("drop_database", situation.database)
    found = Found()
    for situation in SITUATIONS:
        if situation.name not in series:
            found.findings.append(Finding.missing(f"5. {situation.title}", "", series.failed[situation.name]))
            continue
        found.cells += [Cell(situation.title, figure, series.median(situation.name, figure)) for figure in (RATE, P99)]
        if situation is EMPTY:
            continue
        rate = series.ratio(situation.name, EMPTY.name, RATE)
        p99 = series.ratio(situation.name, EMPTY.name, P99)
        found.findings += [
            Finding.at_least(f"5. rate, {situation.title}, beside the empty table's", 1 / WITHIN, rate, "x"),
            Finding.at_most(f"5. fetch p99, {situation.title}, beside the empty table's", WITHIN, p99, "x"),
        ]
    return found


def load(server: Server, situation: Situation) -> None:
    """Make its database."""
    say(f"loading: {situation.title}")
    server.for_database("drop_database", situation.database)
    server.for_database("create_database", situation.database, OURS.database)
    for name in situation.contents:
        server.rows(situation.database, f"flat/{name}")
    vacuum(server, situation)


def vacuum(server: Server, situation: Situation) -> None:
    """As autovacuum would, but not while something is measured."""
    for name in ("queue_tasks/vacuum", "server/checkpoint"):
        server.rows(situation.database, name)


def measured(bench: Bench, situation: Situation) -> Figures:
    """One turn."""
    server, database = bench.server, situation.database
    jobs, fetches = bench.count(JOBS), bench.count(FETCHES)
    try:
        if situation.live:
            fetched = (fetches + 10) * SIZE
            server.rows(database, "flat/live", count=jobs + fetched + OVERHEAD, priority=situation.priority)
            vacuum(server, situation)
        with Program(OURS.side("client"), environment(server, database)) as client:
            client.wait_for("ready")
            taken = [float(value) for value in client.ask("fetches", fetches, SIZE)]
        with start_ours(server, database, our_worker(), count=jobs) as worker:
            first = int(worker.wait_for("first")[0])
            last = int(worker.wait_for("last")[0])
        if last <= first:
            raise TurnFailed("the last body ran before the first")
    finally:
        server.rows(database, "flat/clear")
        vacuum(server, situation)
    return {
        RATE: (jobs - 1) * 1e9 / (last - first),
        "fetch p50, ms": percentile(taken, 0.5),
        P99: percentile(taken, 0.99),
    }
