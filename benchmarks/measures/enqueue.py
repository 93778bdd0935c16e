"""W2: enqueueing one by one, each in a transaction of its own, and in bulk; a stream of a million."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench, clients
from benchmarks.contestants import GRAPHILE, OURS, PGQUEUER, STOCK, Contestant
from benchmarks.harness import Figures, Series, Turn
from benchmarks.measures.drain import EPHEMERAL, KEPT, jobs_of
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found
from benchmarks.server import Server

BARE = "one INSERT and commit, nothing else"
PREPARING = "queue_tasks, kept, prepared"
LIBRARY = "graphile-worker, by its library"
"""By addJob() and addJobs(), which give back what they have made; the row without them calls its functions in SQL."""
SINGLES = 1_500
BULK = {OURS: 50_000, GRAPHILE: 50_000, PGQUEUER: 50_000, STOCK: 10_000}
STREAM = 1_000_000
SHORT = 50_000
MOST_GROWTH = 16
"""Megabytes that the client of a long stream may be larger than that of a short one."""


def enqueue(bench: Bench) -> Found:
    """Single and bulk enqueue of every queue; the memory of a long stream."""
    with clients(bench, bench.contestants) as ready, OURS.client(bench.server, BENCHMARK_PREPARES="yes") as preparing:
        singles: dict[str, Turn] = {
            BARE: partial(bare, ready[OURS], bench.count(SINGLES)),
            PREPARING: partial(enqueued, bench.server, OURS, preparing, "single", "noop", bench.count(SINGLES)),
        }
        bulks: dict[str, Turn] = {}
        for contestant, client in ready.items():
            for row, job in jobs_of(contestant).items():
                one_by_one = partial(enqueued, bench.server, contestant, client, "single", job)
                singles[row] = partial(one_by_one, bench.count(SINGLES))
                in_bulk = partial(enqueued, bench.server, contestant, client, "fill", job)
                bulks[row] = partial(in_bulk, bench.count(BULK[contestant]))
        if GRAPHILE in ready:
            by_library = partial(enqueued, bench.server, GRAPHILE, ready[GRAPHILE])
            singles[LIBRARY] = partial(by_library, "librarySingle", "noop", bench.count(SINGLES))
            bulks[LIBRARY] = partial(by_library, "libraryFill", "noop", bench.count(BULK[GRAPHILE]))
        single = bench.paired(singles, required=(BARE, KEPT, PREPARING))
        bulk = bench.paired(bulks, required=(EPHEMERAL, KEPT))
    cells = [Cell(row, "W2 single, jobs/s", single.median(row, "jobs/s")) for row in single.turns]
    cells += [Cell(row, "W2 bulk, jobs/s", bulk.median(row, "jobs/s")) for row in bulk.turns]
    return Found(cells, [*single_findings(single), *bulk_findings(bulk), *stream(bench)])


def single_findings(series: Series) -> list[Finding]:
    """One by one."""
    found = [
        Finding.at_least("3. single enqueue through Django", 2_500, series.median(KEPT, "jobs/s"), "jobs/s"),
        Finding.seen("single enqueue beside one INSERT and commit", series.ratio(KEPT, BARE, "jobs/s"), "x"),
    ]
    for peer in (PGQUEUER, GRAPHILE, STOCK):
        what = f"3. single enqueue beside {peer.name}"
        if peer.name not in series:
            found.append(Finding.missing(what, "at least 1.00x" if peer is PGQUEUER else "", f"no {peer.name}"))
        elif peer is PGQUEUER:
            found.append(Finding.at_least(what, 1, series.ratio(KEPT, peer.name, "jobs/s"), "x"))
            prepared = series.ratio(PREPARING, peer.name, "jobs/s")
            found.append(Finding.seen("the same, where Django's settings allow to prepare statements", prepared, "x"))
        else:
            found.append(Finding.seen(what, series.ratio(KEPT, peer.name, "jobs/s"), "x"))
    return found


def bulk_findings(series: Series) -> list[Finding]:
    """Many at once."""
    found = []
    for row, limit in ((KEPT, 1.5), (EPHEMERAL, 2.0)):
        for peer, how in ((GRAPHILE.name, ""), (LIBRARY, ", by its library")):
            what = f"3. bulk enqueue beside graphile-worker{how}, {row.rpartition(' ')[2]}"
            if peer in series:
                found.append(Finding.at_least(what, limit, series.ratio(row, peer, "jobs/s"), "x"))
            else:
                found.append(Finding.missing(what, f"at least {limit:g}x", f"no {peer}"))
    return found


def stream(bench: Bench) -> list[Finding]:
    """The peak memory of a client that enqueues a generator of a million jobs, beside one of a short generator."""
    peaks = []
    seconds = 0.0
    count = bench.count(STREAM)
    for length in (SHORT, count):
        OURS.reset(bench.server)
        with OURS.client(bench.server) as client:
            seconds = float(client.ask("stream", "ephemeral", length)[0])
            peaks.append(client.peak_memory())
    OURS.reset(bench.server)
    return [
        Finding.at_most(
            f"3. memory of a stream of {count:,} jobs beyond that of {SHORT:,}",
            MOST_GROWTH,
            max(0.0, peaks[1] - peaks[0]),
            "MB",
            f" (peak {peaks[1]:.0f} MB, {count / seconds:,.0f} jobs/s)",
        )
    ]


def enqueued(server: Server, contestant: Contestant, client: Program, verb: str, job: str, count: int) -> Figures:
    """One turn."""
    contestant.reset(server)
    server.rows(contestant.database, "server/checkpoint")
    return {"jobs/s": count / float(client.ask(verb, job, count)[0])}


def bare(client: Program, count: int) -> Figures:
    """One turn of what no queue can be faster than."""
    return {"jobs/s": count / float(client.ask("bare", count)[0])}
