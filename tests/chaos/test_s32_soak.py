"""S32 soak: many jobs of every kind through one worker and its task processes; all ends as big as it began."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from pathlib import Path

from tests.chaos.harness import Chaos

SLOPE = 5.0
"""MB of resident memory per 100,000 jobs, of the worker and of its task processes together."""

PROCESSES = 0.05
"""Of the jobs, the share that runs in a task process."""

GATED = ("gated", "gated async", "gated process")
"""One for each place where a body can run."""

COUNTED = ("processes", "files", "threads", "connections")
STAYS = 20.0
"""Seconds after which what is there has grown, and is not about to go."""


def test_a_worker_does_not_grow_with_the_jobs_it_runs(chaos: Chaos) -> None:
    warm, count, rounds = chaos.size(quick=(200, 300, 2), full=(20_000, 100_000, 10))
    slots = chaos.size(quick=4, full=8)
    others = [mode for mode in chaos.modes if mode != "process"]
    with chaos.fleet(1, concurrency=slots, settings="tests.chaos.soak_settings") as fleet:
        member = fleet.ready[0]

        def feed(jobs: int) -> dict[str, int]:
            chaos.enqueue(int(jobs * PROCESSES), "process")
            for mode in others:
                chaos.enqueue(int(jobs * (1 - PROCESSES)) // len(others), mode)
            chaos.until_done(timeout=3600)
            # Threads, connections and task processes come when they are needed: now all are, at once.
            for mode in GATED:
                chaos.open_gates(chaos.enqueue(slots, mode, seconds=600))
                chaos.until_done()
            return size_of(chaos, member.pid)

        sizes = [feed(warm)]
        sizes += [feed(count // rounds) for _ in range(rounds)]

        def grown_no_more() -> bool:
            sizes[-1] = size_of(chaos, member.pid)
            return all(sizes[-1][name] <= sizes[0][name] for name in COUNTED)

        # What lives for a moment, such as a connection that is being closed, is no growth: what has grown stays.
        chaos.until(grown_no_more, timeout=STAYS)
    first, middle, last = sizes[0], sizes[rounds // 2], sizes[-1]
    grown = {name: last[name] - first[name] for name in first}
    slope = grown["memory"] / 2**20 * 100_000 / count
    chaos.report(
        fleet,
        most_duplicates=0,
        criteria={
            # Too few jobs tell no slope: the allocator takes memory in larger pieces than they need.
            f"at most {SLOPE:g} MB per 100,000 jobs": slope <= SLOPE if chaos.full else grown["memory"] < 32 * 2**20,
            **{f"as many {name}: {first[name]} -> {last[name]}": grown[name] <= 0 for name in COUNTED},
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
        "select count(*) as n from pg_stat_activity where datname = current_database() "
        "and backend_type = 'client backend' and application_name <> all (array['chaos', 'chaos enqueue'])"
    )
    tables = (
        "select sum(pg_total_relation_size(oid))::bigint as n from pg_class "
        "where relkind = 'r' and relname like any (array['procrastinate%', 'queue_tasks%'])"
    )
    sizes = [sizes_of(each) for each in (pid, *children_of(pid))]
    return {
        **dict(sum(map(Counter, sizes), Counter[str]())),
        "connections": chaos.rows(sessions)[0]["n"],
        "tables": chaos.rows(tables)[0]["n"],
    }


def sizes_of(pid: int) -> dict[str, int]:
    """What one process has in hand; nothing when it has just ended."""
    process = Path(f"/proc/{pid}")
    try:
        return {
            "processes": 1,
            "memory": int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            "files": len(list((process / "fd").iterdir())),
            "threads": len(list((process / "task").iterdir())),
        }
    except (FileNotFoundError, ProcessLookupError):
        return {}


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # Of a thread that has just ended, nothing.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found
