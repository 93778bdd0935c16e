"""S32 soak: many jobs of every kind through one worker and its task processes; all ends as big as it began."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.harness import Chaos

SLOPE = 5.0
"""MB of resident memory per 100,000 jobs, of the worker and of its task processes together."""

PROCESSES = 0.05
"""Of the jobs, the share that runs in a task process."""


def test_a_worker_does_not_grow_with_the_jobs_it_runs(chaos: Chaos) -> None:
    warm, count, rounds = chaos.size(quick=(200, 300, 2), full=(20_000, 100_000, 10))
    others = [mode for mode in chaos.modes if mode != "process"]
    with chaos.fleet(1, concurrency=8, settings="tests.chaos.soak_settings") as fleet:
        member = fleet.ready[0]

        def feed(jobs: int) -> dict[str, int]:
            chaos.enqueue(int(jobs * PROCESSES), "process")
            for mode in others:
                chaos.enqueue(int(jobs * (1 - PROCESSES)) // len(others), mode)
            chaos.until_done(timeout=3600)
            return size_of(chaos, member.pid)

        sizes = [feed(warm)]
        sizes += [feed(count // rounds) for _ in range(rounds)]
    first, middle, last = sizes[0], sizes[rounds // 2], sizes[-1]
    grown = {name: last[name] - first[name] for name in first}
    slope = grown["memory"] / 2**20 * 100_000 / count
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={
            # Too few jobs tell no slope: the allocator takes memory in larger pieces than they need.
            f"at most {SLOPE:g} MB per 100,000 jobs": slope <= SLOPE if chaos.full else grown["memory"] < 32 * 2**20,
            "as many processes": grown["processes"] <= 0,
            "as many open files": grown["files"] <= 0,
            "as many threads": grown["threads"] <= 0,
            "as many connections": grown["connections"] <= 0,
            # Jobs are pruned about once a minute: the quick form ends before.
            "tables at most twice as large": not chaos.full or last["tables"] <= 2 * middle["tables"],
        },
        figures={
            "jobs": count,
            "processes": last["processes"],
            "MB": last["memory"] // 2**20,
            "slope MB/100k": slope,
            "tables MB": f"{middle['tables'] // 2**20}->{last['tables'] // 2**20}",
        },
    )


def size_of(chaos: Chaos, pid: int) -> dict[str, int]:
    """What a worker and its task processes have in hand, and the tables' bytes with their indexes."""
    sessions = (
        "select count(*) as n from pg_stat_activity where datname = current_database() and application_name <> %s"
    )
    tables = (
        "select sum(pg_total_relation_size(oid))::bigint as n from pg_class "
        "where relkind = 'r' and relname like any (array['procrastinate%', 'queue_tasks%'])"
    )
    processes = [Path(f"/proc/{pid}"), *(Path(f"/proc/{child}") for child in children_of(pid))]
    return {
        "processes": len(processes),
        "memory": sum(int((each / "statm").read_text().split()[1]) for each in processes) * os.sysconf("SC_PAGE_SIZE"),
        "files": sum(len(list((each / "fd").iterdir())) for each in processes),
        "threads": sum(len(list((each / "task").iterdir())) for each in processes),
        "connections": chaos.rows(sessions, "chaos")[0]["n"],
        "tables": chaos.rows(tables)[0]["n"],
    }


def children_of(pid: int) -> list[str]:
    """The processes that a process has started."""
    return [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
