"""Recorder: what the meter has counted is in the figures once, however often the database was away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connections

from queue_tasks.figures import Figures, Span, read_figures
from queue_tasks.meter import Meter
from queue_tasks.outcomes import OutcomeKind
from queue_tasks.store import Store
from queue_tasks.worker import recorder
from queue_tasks.worker.metering import note
from queue_tasks.worker.recorder import Recorder
from tests.roles.parts import Rows, fetched, outcome
from tests.waiting import await_until, wait_until

SESSION = "queue_tasks tend"
TOTALS = (
    "select grain, succeeded, failed, retried, other, waited, ran from queue_tasks_figures where queue_name is null"
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "EVERY", 0.02)
    monkeypatch.setattr(recorder, "SPREAD", 0.0)


async def read(span: Span, queue: str | None = None) -> Figures:
    """The figures as the web side sees them."""

    def look() -> Figures:
        try:
            return read_figures(span, queue)
        finally:
            connections.close_all()

    return await asyncio.to_thread(look)


def did(meter: Meter, kind: OutcomeKind, count: int = 1, queue: str = "default", *, written: bool = True) -> None:
    for _ in range(count):
        job = fetched(queue_name=queue)
        note(meter, [(job, outcome(kind), None)], {job.id: kind.value} if written else {})


async def test_every_grain_has_what_was_done_by_queue_and_in_all(store: Store, rows: Rows) -> None:
    meter = Meter()
    did(meter, OutcomeKind.SUCCEEDED, 3, "a")
    did(meter, OutcomeKind.FAILED, 2, "b")
    did(meter, OutcomeKind.RETRIED, 1, "b")
    did(meter, OutcomeKind.SNOOZED, 1, "b")
    did(meter, OutcomeKind.SUCCEEDED, 1, "b", written=False)
    assert await Recorder(store.figures, meter).record()
    found = list(
        rows.db.execute("select grain, queue_name, succeeded, failed, retried, other from queue_tasks_figures")
    )
    assert {tuple(row.values()) for row in found} == {
        (grain, *rest)
        for grain in (60, 900, 3600)
        for rest in (("a", 3, 0, 0, 0), ("b", 0, 2, 1, 2), (None, 3, 2, 1, 2))
    }


async def test_a_later_record_adds_what_is_new_and_only_that(store: Store, rows: Rows) -> None:
    meter = Meter()
    recording = Recorder(store.figures, meter)
    did(meter, OutcomeKind.SUCCEEDED, 3)
    await recording.record()
    did(meter, OutcomeKind.SUCCEEDED, 4)
    did(meter, OutcomeKind.FAILED, 1)
    assert await recording.record()
    assert not await recording.record()
    found = list(
        rows.db.execute("select sum(succeeded) as n, sum(failed) as f from queue_tasks_figures where grain = 3600")
    )
    assert found == [{"n": 14, "f": 2}], "the queue's and all queues'"
    (buckets,) = rows.db.execute(
        "select sum(n) as n from queue_tasks_figures, unnest(waited) n where grain = 3600 and queue_name is null"
    )
    assert buckets == {"n": 8}


async def test_nothing_is_written_while_nothing_was_done(store: Store, rows: Rows) -> None:
    meter = Meter()
    did(meter, OutcomeKind.RELEASED)
    assert not await Recorder(store.figures, meter).record()
    assert list(rows.db.execute(TOTALS)) == []


async def test_two_workers_add_to_the_same_rows(store: Store, rows: Rows) -> None:
    for _ in range(2):
        meter = Meter()
        did(meter, OutcomeKind.SUCCEEDED, 5, "b")
        did(meter, OutcomeKind.SUCCEEDED, 1, "a")
        await Recorder(store.figures, meter).record()
    figures = await read(Span.WEEK)
    assert (figures.total("succeeded"), len(figures.slots)) == (12, 168)
    assert (await read(Span.HOUR, "b")).total("succeeded") == 10
    assert (await read(Span.DAY, "a")).total("succeeded") == 2
    assert (await read(Span.DAY, "none")).total("succeeded") == 0


async def test_buckets_of_another_release_are_not_mixed_with_ours(store: Store, rows: Rows) -> None:
    meter = Meter()
    recording = Recorder(store.figures, meter)
    did(meter, OutcomeKind.SUCCEEDED)
    await recording.record()
    rows.db.execute("update queue_tasks_figures set waited = '{7, 7}', ran = '{7, 7}'")
    assert (await read(Span.WEEK)).percentiles("ran") is None
    did(meter, OutcomeKind.SUCCEEDED)
    await recording.record()
    found, *_ = rows.db.execute(f"{TOTALS} and grain = 3600 order by begins_at desc")
    assert (sum(found["ran"]), sum(found["waited"])) == (1, 1)


@pytest.mark.usefixtures("quick")
async def test_what_a_lost_database_did_not_take_is_sent_later_and_once(
    store: Store, rows: Rows, failures: list
) -> None:
    meter = Meter()
    async with Recorder(store.figures, meter):
        did(meter, OutcomeKind.SUCCEEDED, 2)
        await await_until(lambda: list(rows.db.execute(TOTALS)))
        rows.db.execute("alter table queue_tasks_figures rename to away")
        did(meter, OutcomeKind.SUCCEEDED, 3)
        await await_until(lambda: failures)
        rows.db.execute("alter table away rename to queue_tasks_figures")
        await await_until(lambda: sum(row["succeeded"] for row in rows.db.execute(f"{TOTALS} and grain = 60")) == 5)
    assert (await read(Span.WEEK)).total("succeeded") == 5
    assert {failure.service for failure in failures} == {"recorder"}


async def test_the_rest_is_sent_at_the_end(store: Store, rows: Rows) -> None:
    meter = Meter()
    async with Recorder(store.figures, meter):
        did(meter, OutcomeKind.SUCCEEDED, 2)
    assert (await read(Span.HOUR)).total("succeeded") == 2


@pytest.mark.usefixtures("quick")
async def test_what_is_written_while_it_stops_is_not_written_again(store: Store, rows: Rows, dsn: str) -> None:
    meter = Meter()
    recorder = Recorder(store.figures, meter)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table queue_tasks_figures in exclusive mode")
        await recorder.__aenter__()
        did(meter, OutcomeKind.SUCCEEDED, 2)
        await await_until(lambda: rows.waits_for_lock(SESSION))
    # The loop gets no turn until the row is there: the recorder is stopped before it has read the answer.
    wait_until(lambda: list(rows.db.execute(TOTALS)))
    await recorder.stop()
    assert (await read(Span.HOUR)).total("succeeded") == 2


async def test_an_end_without_a_database_is_an_end(store: Store, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter()
    with caplog.at_level("INFO", "queue_tasks.worker"):
        async with Recorder(store.figures, meter):
            did(meter, OutcomeKind.SUCCEEDED, 2)
            rows.db.execute("alter table queue_tasks_figures rename to away")
    rows.db.execute("alter table away rename to queue_tasks_figures")
    assert "were not recorded" in caplog.text


@pytest.mark.usefixtures("quick")
async def test_what_no_chart_shows_any_more_is_forgotten(store: Store, rows: Rows) -> None:
    now = datetime.now(UTC)
    kept = [(60, timedelta(hours=2)), (900, timedelta(days=1)), (3600, timedelta(days=7))]
    gone = [(60, timedelta(hours=4)), (900, timedelta(days=3)), (3600, timedelta(days=9))]
    for grain, age in (*kept, *gone):
        rows.db.execute(
            "insert into queue_tasks_figures"
            " (grain, begins_at, queue_name, succeeded, failed, retried, other, waited, ran)"
            " values (%s, %s, 'old', 1, 0, 0, 0, '{}', '{}')",
            [grain, now - age],
        )
    meter = Meter()
    did(meter, OutcomeKind.SUCCEEDED)
    old = "select count(*) from queue_tasks_figures where queue_name = 'old'"
    async with Recorder(store.figures, meter):
        await await_until(lambda: [row["count"] for row in rows.db.execute(old)] == [len(kept)])
    assert [row["count"] for row in rows.db.execute(old)] == [len(kept)]


def test_records_end_with_the_quarters_of_a_minute() -> None:
    for now in (0.0, 0.5, 13.5, 14.0, 14.7, 14.999, 15.0, 31.0):
        end = (now + recorder._wait(now)) % recorder.EVERY
        assert end >= recorder.EVERY - recorder.SPREAD or end == pytest.approx(0)
