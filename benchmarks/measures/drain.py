"""W1: how fast a worker empties a queue, and what CPU it takes.

The queue is filled, then a worker is started. Counted are the time from its first body to the moment the database knows
of no job that has not ended, and the CPU seconds of the worker's process in that time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks.bench import Bench, clients, until_ended
from benchmarks.contestants import GRAPHILE, OURS, PGQUEUER, STOCK, Contestant, our_worker, start_ours
from benchmarks.harness import Figures, Series, Turn
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found
from benchmarks.server import Server

COUNTS = {OURS: 60_000, GRAPHILE: 60_000, PGQUEUER: 30_000, STOCK: 2_000}
EPHEMERAL = "queue_tasks, ephemeral"
KEPT = "queue_tasks, kept"


def drain(bench: Bench) -> Found:
    """No-op jobs on the loop, of every queue."""
    with clients(bench, bench.contestants) as ready:
        turns: dict[str, Turn] = {}
        for contestant, client in ready.items():
            count = bench.count(COUNTS[contestant])
            for row, job in jobs_of(contestant).items():
                turns[row] = partial(drained, bench.server, contestant, client, job, count)
        series = bench.paired(turns, required=(EPHEMERAL, KEPT))
    return Found(
        cells=[
            cell
            for row in series.turns
            for cell in (
                Cell(row, "W1 drain, jobs/s", series.median(row, "jobs/s")),
                Cell(row, "CPU s per 1,000", series.median(row, "CPU s/1,000")),
            )
        ],
        findings=findings(series),
        notes=[f"{row} left out of W1: {why}" for row, why in series.failed.items()],
    )


def jobs_of(contestant: Contestant) -> dict[str, str]:
    """Row of the table -> job that is drained."""
    return {EPHEMERAL: "ephemeral", KEPT: "noop"} if contestant is OURS else {contestant.name: "noop"}


def findings(series: Series) -> list[Finding]:
    """What issue 1 of the goals asks."""
    found = []
    for row, name, cpu in ((EPHEMERAL, "ephemeral", 0.03), (KEPT, "kept", 0.055)):
        for peer, limit in ((GRAPHILE, 1.2 if row == EPHEMERAL else 0.75), (PGQUEUER, None if row == EPHEMERAL else 2)):
            if limit is None:
                continue
            what = f"1. drain, {name}, beside {peer.name}"
            if peer.name in series:
                found.append(Finding.at_least(what, limit, series.ratio(row, peer.name, "jobs/s"), "x"))
            else:
                found.append(Finding.missing(what, f"at least {limit:g}x", f"no {peer.name}"))
        found.append(Finding.at_most(f"1. CPU per 1,000 jobs, {name}", cpu, series.median(row, "CPU s/1,000"), "s"))
    if STOCK.name in series:
        found.append(
            Finding.seen(
                "drain, kept, beside procrastinate's own worker", series.ratio(KEPT, STOCK.name, "jobs/s"), "x"
            )
        )
    return found


def drained(server: Server, contestant: Contestant, client: Program, job: str, count: int) -> Figures:
    """One turn."""
    contestant.reset(server)
    client.ask("fill", job, count)
    contestant.settle(server)
    with contestant.worker(server, count=count) as worker:
        return rate_of(server, contestant, worker, count)


def drained_by(
    server: Server, client: Program, job: str, count: int, flags: Sequence[str], concurrency: int
) -> Figures:
    """One turn of our worker with other flags."""
    OURS.reset(server)
    client.ask("fill", job, count)
    OURS.settle(server)
    command = our_worker(*flags, concurrency=concurrency)
    with start_ours(server, OURS.database, command, count=count) as worker:
        return rate_of(server, OURS, worker, count)


def rate_of(server: Server, contestant: Contestant, worker: Program, count: int) -> Figures:
    """What a worker that has just been started makes of the jobs there are."""
    first = int(worker.wait_for("first")[0])
    used = worker.cpu()
    worker.wait_for("last")
    until_ended(server, contestant)
    seconds = (time.monotonic_ns() - first) / 1e9
    return {"jobs/s": count / seconds, "CPU s/1,000": 1000 * (worker.cpu() - used) / count}
