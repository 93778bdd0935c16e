"""Several worker processes: what a second one adds, and whether one takes what another could run."""

from __future__ import annotations

from functools import partial

from benchmarks import durations
from benchmarks.bench import Bench, until_ended
from benchmarks.contestants import OURS, our_worker, start_ours
from benchmarks.harness import Figures
from benchmarks.programs import Program
from benchmarks.report import Finding, Found
from benchmarks.server import Server

ONE, TWO, FOUR_LONG, FOUR_SHORT = "one process", "two processes", "four, long jobs", "four, short jobs"
BUSY_JOBS = 2_400
"""So many that it counts for little when the second process has begun, and which of them is the last to end."""

WORKERS = 4
SLOTS = 5
IDLE = 0.1
"""Seconds without a job in hand, before and after another's fetch, that make a worker idle at that moment."""


def processes(bench: Bench) -> Found:
    """Two worker processes beside one on 5 ms of CPU a job; four workers share what there is."""
    server = bench.server
    with OURS.client(server) as client:
        series = bench.paired(
            {
                ONE: partial(busy, server, client, bench.count(BUSY_JOBS), 1),
                TWO: partial(busy, server, client, bench.count(BUSY_JOBS), 2),
                FOUR_LONG: partial(shared, server, client, "long", WORKERS * SLOTS * 4),
                FOUR_SHORT: partial(shared, server, client, "nap", WORKERS * SLOTS * 20),
            },
            required=(ONE, TWO),
        )
    found = Found(
        findings=[
            Finding.at_least(
                f"8. two processes beside one, jobs of {1000 * durations.BUSY:.0f} ms CPU",
                1.9,
                series.ratio(TWO, ONE, "jobs/s"),
                "x",
                f" (one: {series.median(ONE, 'jobs/s'):.0f} of {1 / durations.BUSY:.0f} jobs/s)",
            )
        ]
    )
    for side, length in ((FOUR_LONG, durations.LONG), (FOUR_SHORT, durations.NAP)):
        milliseconds = f"jobs of {1000 * length:.0f} ms"
        what = f"8. fetches of more than the free slots while another of {WORKERS} workers is idle, {milliseconds}"
        if side in series:
            found.findings.append(Finding.at_most(what, 0, series.worst(side, "greedy fetches")))
            found.findings.append(
                Finding.seen(
                    f"{WORKERS} workers of {SLOTS} slots, {milliseconds}: part of the ideal rate",
                    100 * series.median(side, "jobs/s") * length / (WORKERS * SLOTS),
                    "%",
                )
            )
        else:
            found.findings.append(Finding.missing(what, "at most 0", series.failed[side]))
    return found


def busy(server: Server, client: Program, jobs: int, processes: int) -> Figures:
    """One turn: from the first start to the last end, by the rows."""
    run(server, client, "busy", jobs, processes, concurrency=20)
    return {"jobs/s": jobs / float(server.value(OURS.database, "processes/span"))}


def shared(server: Server, client: Program, job: str, jobs: int) -> Figures:
    """One turn: how often a worker took more than its free slots while another had nothing for a while."""
    run(server, client, job, jobs, WORKERS, concurrency=SLOTS)
    greedy = server.value(OURS.database, "processes/greedy_fetches", slots=SLOTS, workers=WORKERS, idle=IDLE)
    return {
        "greedy fetches": greedy,
        "jobs/s": jobs / float(server.value(OURS.database, "processes/span")),
    }


def run(server: Server, client: Program, job: str, jobs: int, processes: int, *, concurrency: int) -> None:
    """Workers that are idle first, and then have so many jobs at once."""
    OURS.reset(server)
    command = our_worker(f"--processes={processes}", concurrency=concurrency)
    with start_ours(server, OURS.database, command):
        client.ask("fill", job, jobs)
        until_ended(server, OURS, every=0.1)
