"""S03 zombie-fence: a worker is frozen until its jobs have ended under another; then it goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import accounting
from tests.chaos.accounting import Acked
from tests.chaos.harness import PEER, Chaos
from tests.waiting import wait_until

SLOTS = 4 if PEER else 8
"""Bodies at a time; procrastinate runs as many in threads as the machine has processors, and four."""

WATCHFUL = 2
"""Of these, bodies that look whether they should stop."""

BEAT = 1.0
"""Seconds; the scenarios' settings."""


@pytest.mark.peer
def test_nothing_that_a_zombie_writes_arrives_and_its_bodies_are_told(chaos: Chaos) -> None:
    rounds = chaos.size(quick=1, full=25)
    told: list[float] = []
    changed: list[Any] = []
    frozen: set[int] = set()
    zombies: set[str] = set()
    for turn in range(rounds):
        with chaos.fleet(1, concurrency=SLOTS + 1) as owners:
            owner = owners.living[0]
            jobs = begin(chaos, turn)
            keys = [job.key for job in jobs]
            wait_for(chaos, "start", keys, owner.pid)
            owners.freeze(owner)
            frozen.add(owner.pid)
            with chaos.fleet(1, concurrency=SLOTS + 1) as heirs:
                # What is in line behind their locks ends there, too.
                chaos.until_done()
                before = stories(chaos, jobs)
                heirs.stop()
            owners.thaw(owner)
            chaos.clear()
            for job in jobs:
                chaos.rows(
                    "insert into chaos_ledger (key, job_id, lease, attempt, pid, phase) "
                    "values (%s, %s, 0, 0, 0, 'open') returning id",
                    job.key,
                    job.job_id,
                )
            wait_for(chaos, "end", keys, owner.pid)
            # Outcomes are written in the order in which bodies end: when this one's is, the zombies' have been tried.
            chaos.enqueue(1)
            chaos.until_done()
            zombies.update(keys)
            changed += [pair for pair in zip(before, stories(chaos, jobs), strict=True) if pair[0] != pair[1]]
            told += [at - chaos.cleared[-1] for at in noted(chaos, "told", keys, owner.pid)]
    books = chaos.books(*chaos.fleets)
    alive = replace(books, executions=[run for run in books.executions if run.pid not in frozen])
    overlaps = accounting.overlaps(alive, {job.key: job.lock for job in chaos.acked if job.lock})
    chaos.report(
        *chaos.fleets,
        most_duplicates=len(zombies),
        criteria={
            "as many zombies as planned": len(zombies) == rounds * SLOTS,
            f"no row changed: {changed[:2]}": not changed,
            "every watchful body was told": len(told) == rounds * WATCHFUL,
            f"within two beats: {max(told, default=0.0):.1f} s": max(told, default=0.0) <= 2 * BEAT + 0.5 + chaos.slack,
            f"no lock held twice: {overlaps[:2]}": not overlaps,
        },
        figures={"zombies": len(zombies), "told within": max(told, default=0.0)},
    )


def begin(chaos: Chaos, turn: int) -> list[Acked]:
    """The jobs the owner will run, one for each slot; behind the locks of every second one, another waits."""
    modes = ["gated", "gated atomic"] if "atomic" in chaos.modes else ["gated"]
    jobs: list[Acked] = []
    for number in range(SLOTS - WATCHFUL):
        lock = f"lock {turn} {number}" if number % 2 else None
        jobs += chaos.enqueue(1, modes[number // 2 % len(modes)], seconds=120, lock=lambda _, lock=lock: lock)  # type: ignore[misc]
    jobs += chaos.enqueue(WATCHFUL, "watchful", seconds=120)
    for job in jobs:
        if job.lock:
            chaos.enqueue(1, "async", lock=lambda _, lock=job.lock: lock)  # type: ignore[misc]
    return jobs


def noted(chaos: Chaos, phase: str, keys: list[str], pid: int) -> list[float]:
    """When a worker noted a phase of some jobs."""
    rows = chaos.rows(
        "select extract(epoch from at)::float8 as at from chaos_ledger "
        "where phase = %s and key = any (%s) and pid = %s",
        phase,
        keys,
        pid,
    )
    return [row["at"] for row in rows]


def wait_for(chaos: Chaos, phase: str, keys: list[str], pid: int) -> None:
    """Wait until a worker has noted a phase of every job."""
    wait_until(lambda: len(noted(chaos, phase, keys, pid)) == len(keys), 90, f"every job noted {phase!r} by {pid}")


def stories(chaos: Chaos, jobs: list[Acked]) -> list[dict[str, Any]]:
    """The jobs' rows, with all they have."""
    ids = [job.job_id for job in jobs]
    return chaos.rows("select to_jsonb(j) as row from procrastinate_jobs j where id = any (%s) order by id", ids)
