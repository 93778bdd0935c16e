"""S01 kill-storm: workers are killed at random moments of a run, and replaced."""

from __future__ import annotations

import pytest

from tests.chaos import accounting
from tests.chaos.harness import Chaos

CONCURRENCY = 4
ACK_BUFFER = 8
"""Jobs that may have ended and not be written when a worker is killed."""
ACK_WINDOW = 1.0
"""Seconds in which an outcome is written."""
PASSED_OVER = 2.0
"""Seconds for which a fetch may begin where an earlier one found its first job: queue_tasks_note_place_v1."""


@pytest.mark.peer
def test_killed_workers_lose_no_job_and_double_only_what_was_in_their_hands(chaos: Chaos) -> None:
    count, kills = chaos.size(quick=(160, 3), full=(10_000, 20))
    times = chaos.size(quick=(0.02, 0.08), full=(0.05, 0.2))
    # A child process takes a second to start: too long for the quick form.
    modes = chaos.modes if chaos.full else [mode for mode in chaos.modes if mode != "process"]
    for mode in modes:
        chaos.enqueue(count // len(modes), mode, seconds=times)
    with chaos.fleet(concurrency=CONCURRENCY) as fleet:
        for ended in chaos.moments(kills, of=count):
            chaos.until_ended(ended, timeout=600)
            fleet.until_whole()
            fleet.kill(chaos.random.choice(fleet.ready))
        chaos.until_done(timeout=600)
    books = chaos.books(fleet)
    counts = accounting.count(books)
    returns = accounting.returns(books, accounting.read_moves(chaos.db))
    back = max((one.back for one in returns), default=0.0)
    passed_over = max((one.passed_over for one in returns), default=0.0)
    chaos.report(
        fleet,
        most_duplicates=kills * (CONCURRENCY + ACK_BUFFER),
        criteria={
            "every duplicate was in flight at a kill": not accounting.unexplained(
                books, counts, ACK_WINDOW + chaos.slack
            ),
            # Not when they start: while every slot waits for a process to start, they can but be the next.
            f"ready again <= {accounting.LEASE + chaos.slack:g} s": back <= accounting.LEASE + chaos.slack,
            f"then passed over <= {PASSED_OVER + chaos.slack:g} s": passed_over <= PASSED_OVER + chaos.slack,
            "as many kills as planned": len(fleet.deaths) == kills,
        },
        figures={"ready again": back, "passed over": passed_over},
    )
