"""S12 timeouts: the role's sessions have the shortest of timeouts, and somebody locks the whole table."""

from __future__ import annotations

import pytest
from psycopg import sql

from tests.chaos.harness import Chaos
from tests.waiting import hold

TIMEOUTS = {"statement_timeout": "1s", "lock_timeout": "300ms", "idle_in_transaction_session_timeout": "1s"}
LONGER = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"


@pytest.mark.peer
def test_timeouts_of_the_role_and_a_locked_table_harm_neither_jobs_nor_workers(chaos: Chaos) -> None:
    count, locks, seconds = chaos.size(quick=(80, 1, 2), full=(4000, 5, 5))
    database = sql.Identifier(chaos.db.info.dbname)
    chaos.enqueue(count, "async", seconds=0.02)
    for name, value in TIMEOUTS.items():
        chaos.db.execute(sql.SQL("alter database {} set {} = {}").format(database, sql.Identifier(name), value))
    # Bodies use their own sessions of the database, which the timeouts are meant for: this one does not.
    with (
        chaos.connect(options=LONGER) as other,
        chaos.fleet(concurrency=4) as fleet,
    ):
        for ended in chaos.moments(locks, of=count):
            chaos.until_ended(ended, timeout=120)
            with other.transaction():
                other.execute("lock table procrastinate_jobs in access exclusive mode")
                hold(seconds)
            chaos.clear()
        chaos.until_done(timeout=300)
    chaos.report(fleet, most_duplicates=0)
