"""S18 lock-mix: one lock with a long line behind it, many locks with short ones, and workers that are killed."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest

from tests.chaos import accounting
from tests.chaos.harness import Chaos


@pytest.mark.peer
def test_jobs_of_a_lock_never_overlap_and_start_in_order_whoever_is_killed(chaos: Chaos) -> None:
    line, others, locks, kills = chaos.size(quick=(25, 120, 30, 1), full=(300, 20_000, 5_000, 6))
    server = chaos.own_server() if chaos.full else None
    # The long line and the short ones arrive mixed.
    for part in range(5):
        chaos.enqueue(line // 5, "async", seconds=0.005, lock=lambda _: "the one")
        chaos.enqueue(
            others // 5, "async" if part % 2 else "sync", seconds=0.002, lock=lambda n: f"one of many {n % locks}"
        )
    with chaos.fleet(chaos.size(quick=2, full=6), concurrency=4) as fleet:
        for ended in chaos.moments(kills, of=line + others):
            chaos.until_ended(ended, timeout=600)
            fleet.until_whole()
            fleet.kill(chaos.random.choice(fleet.ready))
        chaos.until_done(timeout=900)
    books = chaos.books(fleet)
    lock_of = {job.key: job.lock for job in chaos.acked if job.lock}
    overlaps = accounting.overlaps(books, lock_of)
    disorder = out_of_order(books, lock_of)
    said = fleet.output + (server.log.read_text(errors="replace") if server is not None else "")
    chaos.report(
        fleet,
        criteria={
            f"no two bodies of a lock at the same time: {overlaps[:3]}": not overlaps,
            f"in order within each lock: {disorder[:3]}": not disorder,
            "no unique violation": "duplicate key value" not in said and "UniqueViolation" not in said,
            "as many kills as planned": len(fleet.deaths) == kills,
        },
    )


def out_of_order(books: accounting.Books, lock_of: dict[str, str]) -> list[tuple[str, str]]:
    """Pairs of keys of a lock of which the later enqueued one started first."""
    firsts: dict[str, float] = {}
    for run in books.executions:
        firsts[run.key] = min(firsts.get(run.key, run.started), run.started)
    lines: dict[str, list[str]] = defaultdict(list)
    for job in sorted(books.acked, key=lambda job: job.job_id):
        lines[lock_of[job.key]].append(job.key)
    return [
        (earlier, later)
        for keys in lines.values()
        for earlier, later in itertools.pairwise(keys)
        if firsts[earlier] > firsts[later]
    ]
