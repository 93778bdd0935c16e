"""S05 pg-immediate: Postgres crashes again and again, and is away for a while each time."""

from __future__ import annotations

import pytest

from tests.chaos import accounting
from tests.chaos.harness import Chaos
from tests.waiting import hold, wait_until

CONCURRENCY = 4
LISTEN = """
    select count(*) as n from pg_stat_activity
    where state = 'idle' and (application_name = 'queue_tasks listen' or query ilike 'listen %')
"""
SILENT = "select count(*) as n from procrastinate_workers where last_heartbeat > clock_timestamp() - interval '3 s'"


@pytest.mark.peer
def test_a_database_that_crashes_again_and_again_loses_no_job_and_no_worker(chaos: Chaos) -> None:
    count, crashes = chaos.size(quick=(60, 1), full=(5000, 5))
    # What an acknowledged commit is worth is asked here: nothing is forgotten for the sake of speed.
    server = chaos.own_server(fsync="on", full_page_writes="on")
    with chaos.fleet(concurrency=CONCURRENCY) as fleet:
        chaos.enqueue(count, "sync", seconds=(0.01, 0.03))
        for ended in chaos.moments(crashes, of=count):
            chaos.until_ended(ended, timeout=600)
            server.halt("immediate")
            # Down until every worker has noticed: it says so, or it is asked nothing.
            if chaos.peer:
                hold(1)
            else:
                wait_until(lambda: all("trying again" in m.worker.output for m in fleet.living))
            server.resume()
            chaos.clear()
        chaos.until_done(timeout=600)
        size = len(fleet.ready)
        wait_until(lambda: chaos.rows(LISTEN)[0]["n"] == size, message="every worker listens again")
        wait_until(lambda: chaos.rows(SILENT)[0]["n"] == size, message="every worker's heart beats again")
        counts = accounting.count(chaos.books(fleet))
    chaos.report(
        fleet,
        most_duplicates=crashes * size * (CONCURRENCY + 8),
        criteria={"Trec <= 10 s each": max(counts.trec, default=0.0) <= 10 + chaos.slack},
    )
