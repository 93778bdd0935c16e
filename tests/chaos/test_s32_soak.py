"""S32 soak: many jobs of every kind through one worker; it ends as big as it began."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.harness import Chaos

SLOPE = 5.0
"""MB of resident memory per 100,000 jobs."""


def test_a_worker_does_not_grow_with_the_jobs_it_runs(chaos: Chaos) -> None:
    warm, count, rounds = chaos.size(quick=(200, 300, 2), full=(20_000, 100_000, 5))
    modes = [mode for mode in chaos.modes if mode != "process"]
    with chaos.fleet(1, concurrency=8) as fleet:
        member = fleet.ready[0]

        def feed(jobs: int) -> dict[str, int]:
            for mode in modes:
                chaos.enqueue(jobs // len(modes), mode)
            chaos.until_done(timeout=3600)
            return size_of(chaos, member.pid)

        first = feed(warm)
        last = first
        for _ in range(rounds):
            last = feed(count // rounds)
    grown = {name: last[name] - first[name] for name in first}
    slope = grown["memory"] / 2**20 * 100_000 / count
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={
            # Too few jobs tell no slope: the allocator takes memory in larger pieces than they need.
            f"at most {SLOPE:g} MB per 100,000 jobs": slope <= SLOPE if chaos.full else grown["memory"] < 16 * 2**20,
            "as many open files": grown["files"] <= 0,
            "as many threads": grown["threads"] <= 0,
            "as many connections": grown["connections"] <= 0,
        },
        figures={"jobs": count, "MB at first": last["memory"] // 2**20, "slope MB/100k": slope},
    )


def size_of(chaos: Chaos, pid: int) -> dict[str, int]:
    """What a process has in hand."""
    sessions = (
        "select count(*) as n from pg_stat_activity where datname = current_database() and application_name <> %s"
    )
    return {
        "memory": int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
        "connections": chaos.rows(sessions, "chaos")[0]["n"],
    }
