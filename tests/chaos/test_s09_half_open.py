"""S09 half-open: the network between workers and Postgres swallows everything and closes nothing."""

from __future__ import annotations

import time

import pytest

from tests.chaos import accounting
from tests.chaos.harness import Chaos
from tests.waiting import wait_until

CONCURRENCY = 4
LATEST = """
    select coalesce(extract(epoch from max(qt_started_at - qt_enqueued_at)), 0)::float8 as seconds
    from procrastinate_jobs where id = any (%s)
"""
DETECTED = ("no answer from the database", "no connection to the database")


@pytest.mark.parametrize("who", ["", "queue_tasks listen"], ids=["all", "listener"])
def test_a_network_that_swallows_everything_is_noticed_and_outlived(chaos: Chaos, who: str) -> None:
    count = chaos.size(quick=60, full=2000)
    poll = 1.0
    # In the quick form a second's patience, so that there is something to see in its time.
    options = {"poll_interval": poll, **chaos.size(quick={"statement_timeout": 1}, full={})}
    proxy = chaos.proxy()
    with chaos.fleet(concurrency=CONCURRENCY, url=proxy.url, options=options) as fleet:
        size = len(fleet.ready)
        chaos.enqueue(count // 2, "async", seconds=0.02)
        # The listener's is measured on an empty queue: nothing waits behind others.
        chaos.until_ended(count // 2 if who else count // 8, timeout=60)
        proxy.blackhole(who)
        begun = time.monotonic()
        # With the listener alone, the others go on, and find jobs by looking.
        quiet = []
        for _ in range(chaos.size(quick=3, full=15) if who else 0):
            quiet += chaos.enqueue(1, "async")
            chaos.until_done(timeout=60)
        wait_until(
            lambda: sum(any(word in m.worker.output for word in DETECTED) for m in fleet.ready) == size,
            timeout=60,
            message="every worker has noticed",
        )
        noticed = time.monotonic() - begun
        proxy.heal()
        chaos.clear()
        chaos.enqueue(count - count // 2, "async", seconds=0.02)
        chaos.until_done(timeout=120)
        latest = chaos.rows(LATEST, [job.job_id for job in quiet])[0]["seconds"]
        counts = accounting.count(chaos.books(fleet))
    chaos.report(
        fleet,
        most_duplicates=0 if who else 2 * size * CONCURRENCY,
        variant="listener" if who else "all",
        figures={"noticed": f"{noticed:.1f}s", "latest": f"{latest:.1f}s"},
        criteria={
            "noticed <= 15 s": noticed <= 15 + chaos.slack,
            "a job starts within the poll interval": latest <= poll + 1.5 + chaos.slack,
            "Trec <= 15 s": max(counts.trec, default=0.0) <= 15 + chaos.slack,
        },
    )
