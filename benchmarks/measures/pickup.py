"""W3: how long a job waits for an idle worker, from the return of its commit to the start of its body."""

from __future__ import annotations

import contextlib
from functools import partial

from benchmarks.bench import Bench, clients
from benchmarks.contestants import GRAPHILE, OURS, STOCK
from benchmarks.harness import Figures, Turn, percentile
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found

WARM = 20
"""Jobs before the first that counts: they open connections and plan statements."""

COUNT, STOCK_COUNT = 300, 20
"""Jobs that count; of the stock worker fewer, since some of its wait for its poll, five seconds."""

KEPT = "queue_tasks, kept"


def pickup(bench: Bench) -> Found:
    """One job at a time, while the worker is idle, of every queue; all workers run, and one of them has work."""
    with contextlib.ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for contestant, client in stack.enter_context(clients(bench, bench.contestants)).items():
            contestant.reset(bench.server)
            worker = stack.enter_context(contestant.worker(bench.server))
            worker.wait_for("ready")
            row = KEPT if contestant is OURS else contestant.name
            turns[row] = partial(picked_up, client, worker, bench.count(STOCK_COUNT if contestant is STOCK else COUNT))
        series = bench.paired(turns, required=(KEPT,))
    cells = [
        Cell(row, f"W3 {figure}", series.median(row, figure))
        for row in series.turns
        for figure in ("p50, ms", "p99, ms")
    ]
    what = "2. pickup p50 beside graphile-worker's"
    beside = (
        Finding.at_most(what, 0.5, series.ratio(KEPT, GRAPHILE.name, "p50, ms"), "x")
        if GRAPHILE.name in series
        else Finding.missing(what, "at most 0.5x", "no graphile-worker")
    )
    return Found(cells, [beside, Finding.at_most("2. pickup p99", 3, series.median(KEPT, "p99, ms"), "ms")])


def picked_up(client: Program, worker: Program, count: int) -> Figures:
    """One turn."""
    waits = []
    for number in range(count + WARM):
        committed = int(client.ask("one", "clock")[0])
        started = int(worker.wait_for("start")[0])
        if number >= WARM:
            # A body may start before the client has heard of its commit.
            waits.append(max(0.0, (started - committed) / 1e6))
    return {"p50, ms": percentile(waits, 0.5), "p99, ms": percentile(waits, 0.99)}
