"""A soak: half a million jobs through one worker, and what grows meanwhile.

Jobs come a few thousand at a time, at a pace that leaves the server's autovacuum, which looks once a minute, a few
turns. Half of them keep nothing, the other half is kept for two seconds. What a worker does once a minute, to delete
what need not be kept any longer, is done after each chunk: after a while as many rows are to go as come.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.bench import Bench, say
from benchmarks.contestants import OURS, our_worker, start_ours
from benchmarks.harness import number, slope
from benchmarks.report import Finding, Found
from benchmarks.server import Server

JOBS = 500_000
CHUNK = 5_000
PACE = 2.0
"""Seconds from one chunk to the next."""

STEADY = 0.65
"""The part of the run after which nothing may grow any more: autovacuum has looked twice."""


@dataclass(frozen=True)
class Sample:
    """What is there after so many jobs."""

    jobs: int
    memory: float
    threads: int
    descriptors: int
    connections: int
    table: int
    """Bytes of the table and its TOAST."""
    indexes: int
    """Bytes of its indexes."""


def soak(bench: Bench) -> Found:
    """Memory, connections, threads, descriptors, sizes and transactions of a worker that runs 500,000 jobs."""
    server, jobs = bench.server, bench.count(JOBS)
    OURS.reset(server)
    samples = []
    with (
        OURS.client(server) as client,
        start_ours(server, OURS.database, our_worker(), count=jobs, mark=CHUNK) as worker,
    ):

        def sample(done: int) -> Sample:
            connections, table, indexes = server.rows(OURS.database, "queue_tasks/sizes")[0]
            return Sample(done, worker.memory(), worker.threads(), worker.descriptors(), connections, table, indexes)

        before, began = transactions(server), time.monotonic()
        for number_ in range(jobs // CHUNK):
            client.ask("stream", "ephemeral" if number_ % 2 else "brief", CHUNK)
            done = (number_ + 1) * CHUNK
            worker.wait_for("mark" if done < jobs else "last")
            server.rows(OURS.database, "queue_tasks/prune")
            samples.append(sample(done))
            if len(samples) % 20 == 0:
                say(f"{done:,} jobs: {samples[-1]}")
            time.sleep(max(0.0, began + (number_ + 1) * PACE - time.monotonic()))
        used = transactions(server) - before
    # Of which the client's: one for each statement of a thousand, and ours: two for each sample.
    own = jobs / 1000 + 2 * len(samples) + 2
    return judged(samples, jobs, (used - own) / jobs)


def transactions(server: Server) -> int:
    """Transactions of the database so far."""
    # A session's counts come at its end, or a second after a transaction.
    time.sleep(1.5)
    return int(server.value(OURS.database, "queue_tasks/transactions"))


def judged(samples: list[Sample], jobs: int, per_job: float) -> Found:
    """What of it is asked for."""
    steady = [sample for sample in samples if sample.jobs >= STEADY * jobs]
    growth = slope([(sample.jobs / 100_000, sample.memory) for sample in steady])
    first = steady[: max(1, len(steady) // 4)]
    found = [
        Finding.at_most(
            "9. growth of memory per 100,000 jobs", 5, growth, "MB", f" (at the end {steady[-1].memory:.0f} MB)"
        )
    ]
    for name, values in (
        ("connections", [sample.connections for sample in steady]),
        ("threads", [sample.threads for sample in steady]),
        ("descriptors", [sample.descriptors for sample in steady]),
    ):
        text = number(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"
        found.append(Finding(f"9. {name}", "constant", text, min(values) == max(values)))
    for name, early, all_ in (
        ("table", [s.table for s in first], [s.table for s in steady]),
        ("indexes", [s.indexes for s in first], [s.indexes for s in steady]),
    ):
        found.append(
            Finding.at_most(
                f"9. size of the {name}, the largest beside that of the steady state's beginning",
                2,
                max(all_) / max(early),
                "x",
                f" ({max(all_) / 2**20:.0f} MB)",
            )
        )
    found.append(Finding.at_most("9. transactions per job", 0.2, per_job))
    return Found(findings=found)
