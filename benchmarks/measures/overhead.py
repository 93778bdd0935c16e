"""What it costs to be watched: a drain with figures, metrics, events and signals, beside one that tells nobody.

The metrics port is asked three times as often as Prometheus would, and every event has a subscriber, or a receiver.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial

from benchmarks.bench import Bench
from benchmarks.contestants import CONCURRENCY, OURS, start_ours
from benchmarks.harness import Figures, Series, TurnFailed
from benchmarks.measures.drain import rate_of
from benchmarks.programs import Program
from benchmarks.report import Finding, Found
from benchmarks.server import Server

COUNT = 100_000
SCRAPE_EVERY = 5.0
"""Seconds; Prometheus asks every 15 unless told otherwise, and a drain takes a few."""

NOTHING, FIGURES, EVENTS, SIGNALS = "nothing", "figures", "subscribers", "receivers"
"""What listens; see sides/heard.py."""

SCRAPED = (EVENTS, SIGNALS)
"""Those that have the metrics port open, and asked."""


JOBS = {"noop": "kept", "ephemeral": "ephemeral"}
"""Job -> what its row is."""


def overhead(bench: Bench) -> Found:
    """No-op jobs on the loop: of all that a worker does, the telling is never more than here."""
    count = bench.count(COUNT)
    found = Found()
    with OURS.client(bench.server) as client:
        for job, kind in JOBS.items():
            series = bench.paired(
                {
                    what: partial(watched, bench.server, client, job, what, count)
                    for what in (NOTHING, FIGURES, EVENTS, SIGNALS)
                },
                required=(NOTHING, FIGURES, EVENTS, SIGNALS),
            )
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


def watched(server: Server, client: Program, job: str, what: str, count: int) -> Figures:
    """One turn."""
    OURS.reset(server)
    client.ask("fill", job, count)
    OURS.settle(server)
    flags = ["queue_worker", f"--concurrency={CONCURRENCY}"]
    port = free_port() if what in SCRAPED else None
    if port is not None:
        flags.append(f"--metrics-port={port}")
    command = [sys.executable, "-m", "benchmarks.sides.heard", what, *flags]
    with start_ours(server, OURS.database, command, count=count) as worker, scraping(port):
        return rate_of(server, OURS, worker, count)


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


@contextlib.contextmanager
def scraping(port: int | None) -> Iterator[None]:
    """Somebody asks for the metrics again and again; None: nobody. Raises TurnFailed when they were never told."""
    if port is None:
        yield
        return
    over = threading.Event()
    told: list[int] = []

    def scrape() -> None:
        while not over.is_set():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                told.append(len(answer.read()))
            over.wait(SCRAPE_EVERY)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if not told:
        raise TurnFailed("the metrics were never told")
