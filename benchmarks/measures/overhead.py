"""What it costs to be watched: figures, metrics, events and signals, beside a worker that tells nobody.

One worker drains, and is watched and not by turns of so many jobs each: what is compared is the same process with the
same tables a moment later, for two processes differ by more than what is looked for, and so do two minutes.
"""

from __future__ import annotations

import socket
import sys
import urllib.request

from benchmarks.bench import Bench, say
from benchmarks.contestants import CONCURRENCY, OURS, start_ours
from benchmarks.harness import Figures, Series, shown
from benchmarks.programs import Program
from benchmarks.report import Finding, Found

COUNT = 12_000
"""Jobs of a turn: about a third of a second."""

NOTHING, FIGURES, EVENTS, SIGNALS = "nothing", "figures", "subscribers", "receivers"
"""Who listens; see sides/heard.py."""

ORDER = (NOTHING, FIGURES, EVENTS, SIGNALS, SIGNALS, EVENTS, FIGURES, NOTHING)
"""Of the turns: there and back, so that what the tables become by it meets all alike."""

CYCLES = 5
"""Times that they are gone through in a round, by one worker."""

SCRAPED = (EVENTS, SIGNALS)
"""In whose turns the metrics are asked for, once a cycle: thirty times as often as Prometheus would."""

JOBS = {"noop": "kept", "ephemeral": "ephemeral"}
"""Job -> what its row is."""


def overhead(bench: Bench) -> Found:
    """No-op jobs on the loop: of all that a worker does, the telling is never more than here."""
    found = Found()
    with OURS.client(bench.server) as client:
        for job, kind in JOBS.items():
            rounds = []
            for number in range(bench.rounds):
                rounds.append(watched(bench, client, job))
                for what, figures in rounds[-1].items():
                    say(f"{kind}, round {number + 1} of {bench.rounds}, {what}: {shown(figures)}")
            series = Series({what: [figures[what] for figures in rounds] for what in rounds[0]})
            found.findings += findings(series, kind)
    return found


def findings(series: Series, kind: str) -> list[Finding]:
    """What issue 6 of the goals asks of jobs as a task has them, and what the parts cost."""

    def beside(what: str) -> tuple[float, str, str]:
        cpu = series.ratio(what, NOTHING, "CPU s/1,000")
        return series.ratio(what, NOTHING, "jobs/s"), "x", f" (CPU {cpu:.2f}x)"

    return [
        Finding.seen(f"drain, {kind}, figures recorded, beside none", *beside(FIGURES)),
        Finding.at_least(f"6. drain, {kind}, metrics scraped and every event heard", 0.95, *beside(EVENTS)),
        Finding.seen(f"drain, {kind}, metrics scraped and a receiver of every signal", *beside(SIGNALS)),
    ]


def watched(bench: Bench, client: Program, job: str) -> dict[str, Figures]:
    """One round: who listens -> what the worker did meanwhile."""
    server, count = bench.server, bench.count(COUNT)
    order = ORDER * CYCLES
    OURS.reset(server)
    # One turn to begin with, and one that is left at the end.
    client.ask("fill", job, count * (len(order) + 2))
    OURS.settle(server)
    port = free_port()
    flags = ["queue_worker", f"--concurrency={CONCURRENCY}", f"--metrics-port={port}"]
    command = [sys.executable, "-m", "benchmarks.sides.heard", str(count), ",".join(order), *flags]
    turns: dict[str, list[list[float]]] = {what: [] for what in ORDER}
    with start_ours(server, OURS.database, command) as worker:
        for number, what in enumerate(order):
            worker.wait_for("begin")
            if what in SCRAPED and number % len(ORDER) < len(ORDER) / 2:
                scrape(port)
            turns[what].append([float(value) for value in worker.wait_for("end")])
    return {what: together(parts) for what, parts in turns.items()}


def together(turns: list[list[float]]) -> Figures:
    """The figures of several turns: jobs, seconds and CPU seconds of each."""
    jobs, seconds, cpu = (sum(values) for values in zip(*turns, strict=True))
    return {"jobs/s": jobs / seconds, "CPU s/1,000": 1000 * cpu / jobs}


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


def scrape(port: int) -> None:
    """Ask for the metrics. Raises OSError when they are not told."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        answer.read()
