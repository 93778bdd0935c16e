"""Fetcher: takes what can start soon, never more, and loses nothing of what it took."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import psycopg
import pytest

from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter
from queue_tasks.store import Store
from queue_tasks.worker import fetcher, hand
from queue_tasks.worker.fetcher import Fetcher
from tests.roles.parts import Rows
from tests.waiting import PATIENCE, await_until

SESSION = "queue_tasks fetch"

NOTE = ContextVar("NOTE", default=0)
"""What a job may set in its context."""


class Mouth:
    """A fetcher whose jobs run as long as the test says, and who notes what it gives back."""

    def __init__(
        self, store: Store, run_job: Callable[[FetchedJob], Awaitable[None]] | None = None, **settings: Any
    ) -> None:
        self.started: list[int] = []
        self.ended: list[int] = []
        self.released: list[int] = []
        self.unknown: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.may_end = asyncio.Event()
        self.backlog = 0
        self._run_job = run_job or self.wait_for_leave
        self.fetcher = Fetcher(
            store.jobs,
            queues=None,
            run_job=self.run_job,
            release=lambda job: self.released.append(job.id),
            backlog=lambda: self.backlog,
            on_unknown=self.unknown.append,
            last_chance=2,
            **{"slots": 4, "max_prefetch": 500, "poll_interval": 60, **settings},
        )

    async def run_job(self, job: FetchedJob) -> None:
        self.started.append(job.id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._run_job(job)
        finally:
            self.at_once -= 1
            self.ended.append(job.id)

    async def wait_for_leave(self, job: FetchedJob) -> None:
        await self.may_end.wait()

    def seem_fast(self) -> None:
        """As if many short jobs had gone before."""
        for number in range(1, 201):
            self.fetcher.hand._pace.note_end(number * 0.0005, number * 0.0005 + 0.0005)

    @property
    def known(self) -> list[int]:
        """Every job it ever took, in hand or let go."""
        waiting = [job.id for _, job in self.fetcher.hand._waiting]
        return sorted(self.started + self.released + waiting)


@asynccontextmanager
async def fetching(store: Store, *args: Any, **settings: Any) -> AsyncIterator[Mouth]:
    mouth = Mouth(store, *args, **settings)
    async with mouth.fetcher:
        yield mouth
        mouth.may_end.set()
        await mouth.fetcher.hand.until_quiet()


def has_ended(mouth: Mouth, count: int) -> bool:
    return len(mouth.ended) == count


def taken(rows: Rows) -> int:
    return rows.statuses().get("doing", 0)


async def at_once(job: FetchedJob) -> None:
    pass


async def test_it_takes_no_more_than_its_slots_while_nothing_is_known_of_the_jobs(store: Store, rows: Rows) -> None:
    rows.add(50)
    async with fetching(store, slots=4) as mouth:
        await await_until(lambda: len(mouth.started) == 4)
        assert (taken(rows), mouth.fetcher.hand.size) == (4, 4)
        mouth.fetcher.wake()
        mouth.fetcher.relieve()
        await await_until(lambda: not mouth.fetcher._room.is_set())
        assert taken(rows) == 4


async def test_slow_jobs_are_never_more_than_the_slots(store: Store, rows: Rows) -> None:
    rows.add(40)
    most = 0

    async def slow(job: FetchedJob) -> None:
        nonlocal most
        await asyncio.sleep(0.12)
        most = max(most, mouth.fetcher.hand.size)

    async with fetching(store, slow, slots=8) as mouth:
        await await_until(lambda: len(mouth.ended) == 40)
    assert most <= 8
    assert mouth.most_at_once <= 8


async def test_short_jobs_are_prefetched_within_the_bound(store: Store, rows: Rows) -> None:
    rows.add(3000)
    most = 0

    async def short(job: FetchedJob) -> None:
        nonlocal most
        await asyncio.sleep(0)
        most = max(most, mouth.fetcher.hand.size)

    async with fetching(store, short, slots=4, max_prefetch=60) as mouth:
        await await_until(lambda: len(mouth.ended) == 3000)
    assert 4 < most <= 64
    assert mouth.most_at_once <= 4
    assert sorted(mouth.ended) == mouth.known


async def test_jobs_that_end_at_once_leave_others_on_the_loop_their_turns(store: Store, rows: Rows) -> None:
    rows.add(300)
    in_this_turn = most = 0

    async def brief(job: FetchedJob) -> None:
        nonlocal in_this_turn
        in_this_turn += 1
        until = time.monotonic() + 0.001
        while time.monotonic() < until:
            pass

    # Five milliseconds, and again when a fetch is answered; where tasks do not start eagerly, one for each slot.
    async with fetching(store, brief, slots=8) as mouth:
        # What has waited for too long, on a busy machine, is given back.
        while len(mouth.ended) + len(mouth.released) < 300:
            in_this_turn = 0
            await asyncio.sleep(0)
            most = max(most, in_this_turn)
    assert 0 < most <= 24


async def test_without_prefetch_there_is_none(store: Store, rows: Rows) -> None:
    rows.add(200)
    async with fetching(store, at_once, slots=3, max_prefetch=0) as mouth:
        await await_until(lambda: len(mouth.ended) == 200)
        assert mouth.fetcher.hand._pace.limit == 3


async def test_jobs_that_hold_the_loop_are_prefetched_as_they_run_one_after_the_other(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "STALE_AFTER", 3600.0)
    rows.add(200)
    most = 0

    async def busy(job: FetchedJob) -> None:
        nonlocal most
        until = time.monotonic() + 0.005
        while time.monotonic() < until:
            pass
        most = max(most, mouth.fetcher.hand.size)

    async with fetching(store, busy, slots=20) as mouth:
        await await_until(lambda: len(mouth.ended) == 200)
    # Twenty in a tenth of a second, and as many again until it is known; by twenty slots it would be 400.
    assert most <= 40


async def test_jobs_prefetched_behind_slow_ones_are_given_back_for_others(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "STALE_AFTER", 0.1)
    ids = rows.add(100)
    async with fetching(store, slots=2) as mouth:
        await await_until(lambda: len(mouth.started) == 2)
        mouth.seem_fast()
        mouth.fetcher.relieve()
        await await_until(lambda: mouth.released)
        assert mouth.fetcher.hand.size == 2
        assert sorted(mouth.started + mouth.released) == ids
        assert mouth.fetcher.hand._pace.limit == 2


async def test_a_long_backlog_of_outcomes_stops_the_fetching_until_it_is_relieved(store: Store, rows: Rows) -> None:
    rows.add(50)
    mouth = Mouth(store, at_once, slots=4)
    mouth.backlog = fetcher.MAX_BACKLOG + 1
    async with mouth.fetcher:
        mouth.fetcher.wake()
        assert not mouth.started
        mouth.fetcher.relieve()
        await await_until(lambda: not mouth.fetcher._room.is_set())
        assert not mouth.started
        mouth.backlog = 0
        mouth.fetcher.relieve()
        await await_until(lambda: len(mouth.ended) == 50)
    assert taken(rows) == 50


async def test_stopping_gives_back_what_has_not_started_and_lets_the_rest_run(store: Store, rows: Rows) -> None:
    ids = rows.add(60)
    mouth = Mouth(store, slots=2)
    mouth.seem_fast()
    async with mouth.fetcher:
        await await_until(lambda: mouth.started)
    assert len(mouth.started) == 2
    assert sorted(mouth.started + mouth.released) == ids
    assert mouth.fetcher.hand.running == 2
    mouth.may_end.set()
    await mouth.fetcher.hand.until_quiet()


async def test_a_fetch_that_is_stopped_half_way_loses_no_job(store: Store, rows: Rows, dsn: str) -> None:
    ids = rows.add(3)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table procrastinate_jobs in exclusive mode")
        mouth = Mouth(store, slots=10)
        await mouth.fetcher.__aenter__()
        await await_until(lambda: rows.waits_for_lock(SESSION))
        stopping = asyncio.create_task(mouth.fetcher.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        other.rollback()
    await stopping
    assert sorted(mouth.released) == ids
    assert not mouth.started


async def test_stopping_does_not_wait_for_ever_for_a_fetch_that_is_held_up(
    store: Store, rows: Rows, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "LAST_FETCH_WITHIN", 0.1)
    rows.add(3)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table procrastinate_jobs in exclusive mode")
        mouth = Mouth(store)
        await mouth.fetcher.__aenter__()
        await await_until(lambda: rows.waits_for_lock(SESSION))
        await asyncio.wait_for(mouth.fetcher.stop(), PATIENCE)
        other.rollback()
    await await_until(lambda: not rows.sessions(SESSION))
    assert rows.statuses() == {"todo": 3}


async def test_stopping_is_calm_about_a_last_fetch_that_failed(store: Store, rows: Rows, dsn: str) -> None:
    """Also when the reason is that the worker is not registered any more."""
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table procrastinate_workers in access exclusive mode")
        mouth = Mouth(store)
        await mouth.fetcher.__aenter__()
        await await_until(lambda: rows.waits_for_lock(SESSION))
        stopping = asyncio.create_task(mouth.fetcher.stop())
        other.execute("delete from procrastinate_workers")
        other.commit()
    await asyncio.wait_for(stopping, PATIENCE)
    assert mouth.known == []


async def test_a_terminated_backend_costs_no_job(store: Store, rows: Rows, failures: list) -> None:
    async with fetching(store, at_once) as mouth:
        await await_until(lambda: rows.sessions(SESSION))
        rows.terminate(SESSION)
        ids = rows.add(20)
        mouth.fetcher.wake()
        await await_until(lambda: len(mouth.ended) == 20)
    assert mouth.known == ids
    # None, when the loss was noticed before the next fetch.
    assert {failure.service for failure in failures} <= {"fetcher"}


async def test_a_fetch_that_somebody_cancels_is_followed_by_another(store: Store, rows: Rows, dsn: str) -> None:
    """A task's body can cancel whatever it finds on the loop."""
    failed = asyncio.Event()
    ids = rows.add(3)
    with psycopg.connect(dsn, application_name="tests.roles") as other:
        other.execute("lock table procrastinate_jobs in exclusive mode")
        mouth = Mouth(store, at_once, on_failed=failed.set)
        async with mouth.fetcher:
            await await_until(lambda: rows.waits_for_lock(SESSION))
            (fetch,) = [task for task in asyncio.all_tasks() if task.get_name() == "queue_tasks fetch"]
            fetch.cancel()
            await asyncio.wait_for(failed.wait(), PATIENCE)
            other.rollback()
            await await_until(lambda: mouth.ended == ids)


async def test_it_waits_for_a_hint_when_there_is_nothing_left(store: Store, rows: Rows) -> None:
    async with fetching(store, at_once) as mouth:
        await await_until(lambda: mouth.fetcher._fetch is None and not mouth.fetcher._wake.is_set())
        rows.add(5)
        mouth.fetcher.wake()
        await await_until(lambda: len(mouth.ended) == 5)


async def test_what_is_heard_while_the_request_is_under_way_makes_another(store: Store, rows: Rows) -> None:
    meter = Meter()
    async with fetching(store, at_once, meter=meter) as mouth:
        await await_until(lambda: mouth.fetcher._resting)
        looks = meter.fetches.count
        mouth.fetcher.look()
        assert mouth.fetcher._fetch is not None, "sent in this very call"
        mouth.fetcher.look()
        await await_until(lambda: meter.fetches.count == looks + 2)


async def test_it_polls_without_any_hint(store: Store, rows: Rows) -> None:
    async with fetching(store, at_once, poll_interval=0.05) as mouth:
        for _ in range(3):
            already = len(mouth.ended)
            rows.add(2)
            await await_until(partial(has_ended, mouth, already + 2))


async def test_max_jobs_is_never_exceeded_and_what_was_given_back_does_not_count(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "STALE_AFTER", 0.05)
    rows.add(60)
    exhausted = asyncio.Event()
    mouth = Mouth(store, slots=2, max_jobs=30, on_exhausted=exhausted.set)
    mouth.seem_fast()
    async with mouth.fetcher:
        await await_until(lambda: mouth.released)
        assert not exhausted.is_set()
        mouth.may_end.set()
        await asyncio.wait_for(exhausted.wait(), PATIENCE)
    assert len(mouth.started) == len(mouth.ended) == 30


async def test_a_run_that_breaks_off_frees_its_slot_and_is_said(
    store: Store, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.add(6)

    async def broken(job: FetchedJob) -> None:
        raise RuntimeError("not the task's fault")

    async with fetching(store, broken, slots=2) as mouth:
        await await_until(lambda: len(mouth.ended) == 6)
    assert "a job's run broke off" in caplog.text


async def test_what_a_job_sets_in_its_context_is_not_for_the_next(store: Store, rows: Rows) -> None:
    rows.add(4)
    seen = []

    async def set_it(job: FetchedJob) -> None:
        seen.append(NOTE.get())
        NOTE.set(job.id)
        await asyncio.sleep(0)

    async with fetching(store, set_it, slots=1) as mouth:
        await await_until(lambda: has_ended(mouth, 4))
    assert seen == [0, 0, 0, 0]


@pytest.mark.parametrize("column", ["qt_enqueued_at", "qt_started_at"])
@pytest.mark.parametrize("time", ["infinity", "-infinity", "20000-01-01", "4000-01-01 BC", "0001-01-01"])
async def test_a_row_with_a_time_that_python_does_not_have_is_fetched_like_others(
    store: Store, rows: Rows, column: str, time: str
) -> None:
    ids = [*rows.add(), *rows.add(**{column: time}), *rows.add()]
    async with fetching(store, at_once) as mouth:
        await await_until(lambda: len(mouth.ended) == 3)
    assert sorted(mouth.ended) == ids


async def test_times_are_read_whatever_date_style_the_database_has(store: Store, rows: Rows, db: Any) -> None:
    (name,) = [row["current_database"] for row in db.execute("select current_database()")]
    db.execute(f"alter database {name} set datestyle = 'German'")
    try:
        await store.close()
        ids = rows.add(2)
        async with fetching(store, at_once) as mouth:
            await await_until(lambda: len(mouth.ended) == 2)
        assert sorted(mouth.ended) == ids
    finally:
        db.execute(f"alter database {name} reset datestyle")


# ------------------------------------------------------------------------------------------- what operators decide


async def until_prefetched(mouth: Mouth) -> None:
    """One job runs, and one that was fetched waits for it."""
    mouth.seem_fast()
    mouth.fetcher.wake()
    await await_until(lambda: len(mouth.started) == 1 and mouth.fetcher.hand.size == 2)


async def test_what_has_not_started_goes_back_when_queues_are_paused_or_opened(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "STALE_AFTER", 3600.0)
    mouth = Mouth(store, slots=1)
    first, second = rows.add(2)
    async with mouth.fetcher:
        await until_prefetched(mouth)
        rows.db.execute("insert into queue_tasks_queues (queue_name, paused_until) values ('default', 'infinity')")
        mouth.fetcher.reconsider()
        assert (mouth.started, mouth.released) == ([first], [second])
        mouth.may_end.set()
        await await_until(lambda: mouth.ended == [first])
    assert mouth.started == [first]


async def test_a_fetcher_that_is_hushed_finishes_what_runs_and_fetches_nothing(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "STALE_AFTER", 3600.0)
    mouth = Mouth(store, slots=1)
    first, second = rows.add(2)
    async with mouth.fetcher:
        await until_prefetched(mouth)
        mouth.fetcher.hush()
        assert mouth.released == [second]
        rows.db.execute("update procrastinate_jobs set status = 'todo', worker_id = null where id = %s", [second])
        mouth.may_end.set()
        mouth.fetcher.wake()
        await mouth.fetcher.hand.until_quiet()
        assert (mouth.started, mouth.fetcher.hushed) == ([first], True)
        mouth.fetcher.unhush()
        await await_until(lambda: mouth.ended == [first, second])


async def test_what_a_fetch_brings_that_was_under_way_goes_back_too(store: Store, rows: Rows) -> None:
    mouth = Mouth(store)
    (only,) = rows.add(1)
    asked = store.jobs.fetch_jobs

    async def fetch(queues: Any, max_jobs: int) -> list[FetchedJob]:
        found = await asked(queues, max_jobs)
        mouth.fetcher.hush()
        return found

    store.jobs.fetch_jobs = fetch  # type: ignore[method-assign]
    async with mouth.fetcher:
        await await_until(lambda: mouth.released == [only])
    assert mouth.started == []
