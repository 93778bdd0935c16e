"""S14 pgbouncer: everything goes through a pool of transactions, which is killed and started again under load."""

from __future__ import annotations

import pytest

from tests.chaos.harness import Chaos
from tests.pooler import PgBouncer, needs_pgbouncer

pytestmark = needs_pgbouncer

CONCURRENCY = 4


@pytest.mark.parametrize("listen", [False, True], ids=["poll-only", "direct-listen"])
def test_a_pooler_that_is_killed_again_and_again_loses_no_job(chaos: Chaos, listen: bool) -> None:
    count, kills = chaos.size(quick=(80, 1), full=(5000, 3))
    with PgBouncer(chaos.url, size=8) as pooler:
        options = {"poll_interval": 0.5, "max_prefetch": 0, **({"listen_database": "direct"} if listen else {})}
        chaos.enqueue(count, "sync", seconds=chaos.size(quick=0.03, full=0.02), url=pooler.url)
        with chaos.fleet(
            concurrency=CONCURRENCY, url=pooler.url, options=options, environment={"CHAOS_DIRECT_URL": chaos.url}
        ) as fleet:
            ready = [member.worker.output for member in fleet.ready]
            for ended in chaos.moments(kills, of=count):
                chaos.until_ended(ended, timeout=600)
                pooler.kill()
                pooler.start()
                chaos.clear()
            chaos.until_done(timeout=600)
            heard = [member.worker.output for member in fleet.ready]
    chaos.report(
        fleet,
        # A body whose own statement was lost with the pooler is tried again; so is the one that then found it away.
        most_duplicates=2 * kills * len(ready) * CONCURRENCY,
        variant="direct-listen" if listen else "poll-only",
        criteria={
            "no prepared statement was missed": not any("prepared statement" in text for text in heard),
            "it is said how they hear": all(("listening" in text) == listen for text in ready),
            "each says once that LISTEN does not work": listen
            or all(text.count("LISTEN does not work") == 1 for text in heard),
        },
    )
