"""S16 xmin-hold: somebody holds an old snapshot, so that no dead row can be taken away while jobs come and go."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests import postgres
from tests.chaos.harness import Chaos
from tests.chaos.stopwatch import Stopwatch

BATCH = 50
ROUND = 1500


@pytest.fixture
def watch(template_database: str) -> Iterator[Stopwatch]:
    """On a database of its own, so that nobody else's snapshot counts."""
    with postgres.database(f"{postgres.PREFIX}_xmin", template_database) as url:
        watch = Stopwatch(url)
        yield watch
        watch.close()


def test_a_fetch_does_not_slow_down_while_an_old_snapshot_is_held(chaos: Chaos, watch: Stopwatch) -> None:
    churned = chaos.size(quick=4 * ROUND, full=66 * ROUND)
    churn(watch, 2 * ROUND)
    watch.session.rows("vacuum procrastinate_jobs")
    watch.forget()
    churn(watch, 2 * ROUND)
    base = {percent: watch.percentile("fetch", percent) for percent in (5, 50, 99)}
    with psycopg.connect(watch.session.url, application_name="chaos snapshot") as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select count(*) from procrastinate_jobs")
        churn(watch, churned - 2 * ROUND)
        watch.forget()
        churn(watch, 2 * ROUND)
        held = {percent: watch.percentile("fetch", percent) for percent in (5, 50, 99)}
    chaos.report(
        figures={
            "churned": churned,
            **{f"fetch_p{percent}_ms": round(value, 2) for percent, value in held.items()},
            **{f"base_p{percent}_ms": round(value, 2) for percent, value in base.items()},
        },
        criteria={
            # In the quick form the machine's other work decides all but the fastest.
            "at most three times as slow as without the snapshot": held[5] <= 4 * base[5] + 5
            if not chaos.full
            else held[99] <= 3 * base[99],
        },
    )


def churn(watch: Stopwatch, count: int) -> None:
    """Enqueue, fetch and finish so many jobs."""
    for _ in range(count // ROUND):
        watch.session.jobs(ROUND)
        for _ in range(ROUND // BATCH):
            jobs = watch.fetch(None, BATCH)
            assert len(jobs) == BATCH
            watch.finish(jobs)
