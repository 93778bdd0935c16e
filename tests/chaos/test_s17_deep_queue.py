"""S17 deep-queue: among a million ready, a million scheduled and a million done, a fetch costs what it always does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from tests import postgres
from tests.chaos.harness import Chaos
from tests.chaos.stopwatch import Stopwatch
from tests.sql.meter import Meter

BATCH = 50
QUEUES = (None, ["default"], ["default", "other1"])
FETCH = "select id from queue_tasks_fetch_jobs_v1(%s, %s::text[], %s)"


@pytest.fixture
def watch(template_database: str) -> Iterator[Stopwatch]:
    """On a database apart: the scenario's books are not for millions of rows."""
    with postgres.database(f"{postgres.PREFIX}_deep", template_database) as url:
        watch = Stopwatch(url)
        # Plans are made while the tables are empty, which misleads the planner most.
        for queues in QUEUES:
            for _ in range(7):
                watch.fetch(queues, 1)
        yield watch
        watch.close()


def test_a_fetch_costs_no_more_however_deep_the_queue(chaos: Chaos, watch: Stopwatch) -> None:
    shallow, deep = chaos.size(quick=(2_000, 20_000), full=(10_000, 1_000_000))
    rounds = chaos.size(quick=15, full=350)
    if not chaos.full:
        # An analyze in the midst of it holds a snapshot: the few rows taken before would be walked past, and counted.
        watch.session.rows("alter table procrastinate_jobs set (autovacuum_enabled = off)")
    fill(watch, shallow)
    base = measure(watch, rounds)
    fill(watch, deep - shallow)
    found = measure(watch, rounds)
    meter = Meter(watch.session)
    meter.wait_for_others()
    for queues in QUEUES:  # what is gone is walked past for the last time
        watch.finish(watch.fetch(queues, BATCH))
    reads = [meter.measure(FETCH, watch.worker, queues, BATCH) for queues in QUEUES]
    blocks = [read for _, read in reads]
    chaos.report(
        figures={"ready": deep, **found, "fetch_p99_of_10k_ms": base["fetch_p99_ms"]},
        criteria={
            "a fetch of 50 takes at most 20 ms (p99)": not chaos.full or found["fetch_p99_ms"] <= 20,
            # In the quick form the machine's other work decides all but the fastest.
            "and twice what it takes among ten thousand": found["fetch_p5_ms"] <= 3 * base["fetch_p5_ms"] + 5
            if not chaos.full
            else found["fetch_p99_ms"] <= 2 * base["fetch_p99_ms"],
            "an enqueue takes at most 10 ms (p99)": not chaos.full or found["enqueue_p99_ms"] <= 10,
            "each fetch finds its rows": all(len(rows) == BATCH for rows, _ in reads),
            f"none by a sequential scan: {blocks}": not any("seq_scan" in read for read in blocks),
            f"by the ready indexes, and not many of their rows: {blocks}": all(map(reads_little, blocks)),
        },
    )


def fill(watch: Stopwatch, count: int) -> None:
    """As many ready, scheduled and done; of the ready a half in other queues, and a few with a lock."""
    later = sql.SQL("now() + interval '1 day' + make_interval(secs => n)")
    watch.fill(count // 2, priority=sql.SQL("n % 3"))
    watch.fill(count // 2 - count // 20, queue_name=sql.SQL("'other' || n % 4"), priority=sql.SQL("n % 3"))
    watch.fill(count // 20, lock=sql.SQL("'lock' || n % 10000"), priority=1)
    watch.fill(count, scheduled_at=later)
    watch.fill(count, status="succeeded", qt_expires_at=later)


def measure(watch: Stopwatch, rounds: int) -> dict[str, float]:
    """Times of fetches (each round of all queues, one, and two), releases and enqueues."""
    for _ in range(3):  # what was filled in is read for the first time
        for queues in QUEUES:
            watch.finish(watch.fetch(queues, BATCH))
    watch.forget()
    for _ in range(rounds):
        for queues in QUEUES:
            jobs = watch.fetch(queues, BATCH)
            assert len(jobs) == BATCH
            # Given back: the queue stays as deep as it was.
            watch.finish(jobs, "released")
            watch.enqueue()
    return {
        f"{what}_p{percent}_ms": round(watch.percentile(what, percent), 2)
        for what in ("fetch", "finish", "enqueue")
        for percent in (5, 50, 99)
    }


def reads_little(read: dict[str, int]) -> bool:
    """Whether a fetch read about the rows it took: each is looked up, locked and written, in several indexes."""
    if read.keys() & {"procrastinate_jobs_priority_idx_v1", "procrastinate_jobs_id_lock_idx_v1"}:
        return False
    return read["procrastinate_jobs_qt_ready_idx"] <= 10 * BATCH and read["heap"] <= 20 * BATCH
