"""S10 failover: a synchronous standby takes over, and the network's name for the database leads to it."""

from __future__ import annotations

from tests.chaos import accounting
from tests.chaos.harness import Chaos
from tests.chaos.proxy import Proxy
from tests.chaos.standby import promote, standby_of
from tests.waiting import wait_until

CONCURRENCY = 4
FOLLOWED = "select count(*) as n from pg_stat_replication where sync_state in ('sync', 'quorum')"


def test_what_was_acknowledged_is_done_under_the_new_primary(chaos: Chaos) -> None:
    count, failovers = chaos.size(quick=(60, 1), full=(5000, 2))
    primary = chaos.own_server(fsync="on", full_page_writes="on")
    # Everybody's way to the database, as a name or a floating address is one: also the enqueuer's and the ledger's.
    way = chaos.enter(Proxy(primary.url))
    chaos.use(way.url)
    with chaos.fleet(concurrency=CONCURRENCY) as fleet:
        for number, ended in enumerate(chaos.moments(failovers, of=count)):
            standby = chaos.enter(standby_of(primary, chaos.folder / f"standby{number}"))
            chaos.rows("select 1 as answer")  # by a connection that lives: the last one led to the old primary
            chaos.db.execute("alter system set synchronous_standby_names = '*'")
            chaos.db.execute("select pg_reload_conf()")
            wait_until(lambda: chaos.rows(FOLLOWED)[0]["n"] == 1, 60, "the standby follows in step")
            if not number:
                chaos.enqueue(count, "sync", seconds=(0.01, 0.03))
                chaos.enqueue(20, "atomic")
            chaos.until_ended(ended, timeout=600)
            # The old one first: two primaries at once would both be written to.
            primary.halt("immediate")
            promote(standby)
            way.lead_to(standby.url)
            chaos.clear()
            primary = standby
        chaos.enqueue(20, "sync")
        chaos.until_done(timeout=600)
        size = len(fleet.ready)
        counts = accounting.count(chaos.books(fleet))
    chaos.report(
        fleet,
        most_duplicates=failovers * size * (CONCURRENCY + 8),
        criteria={"Trec <= 15 s each": max(counts.trec, default=99.0) <= 15 + chaos.slack},
    )
