"""S06 backend-sniper: some session of some worker is terminated every half second."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.workers import CHILD
from tests.chaos.harness import Chaos

CONCURRENCY = 4
SHOOT = """
    with sessions as (
        select pid from pg_stat_activity where datname = current_database() and application_name like %s
    ), victim as materialized (
        select pid from sessions
        order by pid + %s %% 7 limit 1 offset %s %% (select greatest(count(*), 1) from sessions)
    )
    select pg_terminate_backend(pid) as hit from victim
"""


@pytest.mark.peer
def test_sessions_that_are_terminated_one_after_the_other_end_no_worker(chaos: Chaos) -> None:
    count, shots = chaos.size(quick=(100, 6), full=(6000, 120))
    seconds = 0.05
    # A stock worker's sessions have the name its process was given.
    sessions = CHILD if chaos.peer else "queue\\_tasks %"
    with chaos.fleet(concurrency=CONCURRENCY) as fleet:
        # The measure: the same jobs without the sniper.
        begun = time.monotonic()
        chaos.enqueue(count // 2, "async", seconds=seconds)
        chaos.until_done(timeout=600)
        calm = time.monotonic() - begun
        begun = time.monotonic()
        chaos.enqueue(count, "async", seconds=seconds)
        hits = 0
        for ended in chaos.moments(shots, of=count):
            chaos.until_ended(count // 2 + ended, timeout=600)
            found = chaos.rows(SHOOT, sessions, chaos.random.randrange(7), chaos.random.randrange(8))
            hits += sum(row["hit"] for row in found)
        chaos.until_done(timeout=600)
        stormy = time.monotonic() - begun
    chaos.report(
        fleet,
        most_duplicates=0,
        figures={"hits": hits, "calm": f"{calm:.1f}s/{count // 2}", "stormy": f"{stormy:.1f}s/{count}"},
        criteria={
            "sessions were hit": hits >= shots // 2,
            "throughput >= 50 % of the calm": stormy <= 4 * calm + chaos.slack,
        },
    )
