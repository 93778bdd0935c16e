"""Scheduler: each tick makes one job, on time, whoever fires; what is missed, what overlaps, what is wrong."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import psycopg
import pytest
from django.db import connection
from procrastinate.contrib.django import app

from queue_tasks import All
from queue_tasks.bridge import PeriodicTick
from queue_tasks.conf import Options
from queue_tasks.store import Store
from queue_tasks.worker.scheduler import POLLS_WITHOUT_SCHEDULES, Scheduler
from tests.roles.parts import NOOP, Rows
from tests.schedules import declare, nothing_declared
from tests.testapp.tasks import add, echo, noop
from tests.waiting import PATIENCE, await_until

EACH_SECOND = "* * * * * *"
NEVER_SOON = "0 0 29 2 *"


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    with nothing_declared():
        yield


@pytest.fixture
def scheduler(store: Store, options: Options) -> Scheduler:
    return Scheduler(store.schedules, options)


def ticks(rows: Rows) -> list[datetime]:
    """What the jobs are for, in the order of their ids."""
    found = rows.db.execute(
        "select (qt_meta ->> 'scheduled_for')::timestamptz as tick from procrastinate_jobs order by id"
    )
    return [row["tick"] for row in found]


def history(rows: Rows) -> list[tuple[str, int]]:
    """What became of the ticks, oldest first."""
    found = rows.db.execute("select outcome, passed from queue_tasks_ticks order by tick")
    return [(row["outcome"], row["passed"]) for row in found]


def schedule(rows: Rows, name: str = NOOP) -> dict[str, Any]:
    found = rows.db.execute("select * from queue_tasks_schedules where name = %s", [name]).fetchone()
    assert found is not None
    return found


def nobody_was_there_for(rows: Rows, ago: timedelta) -> None:
    """As if the newest tick had been seen to so long ago, and the next one missed since."""
    rows.db.execute("delete from queue_tasks_ticks where tick > clock_timestamp() - %s", [ago])
    rows.db.execute(
        "update queue_tasks_schedules set last_tick = clock_timestamp() - %s, next_tick = clock_timestamp() - %s",
        [ago, ago],
    )


async def next_look(scheduler: Scheduler) -> float:
    """Look; the seconds until it does again."""
    return min(await scheduler._look())


async def settle(scheduler: Scheduler) -> None:
    """Bring declarations to the database and see to what is due, until nothing is."""
    await scheduler._sync()
    while await next_look(scheduler) == 0.0:
        pass


def seconds_apart(found: list[datetime]) -> set[float]:
    return {(later - earlier).total_seconds() for earlier, later in pairwise(found)}


async def test_each_tick_is_one_job_whatever_the_number_of_schedulers(
    store: Store, rows: Rows, options: Options
) -> None:
    declare(noop, cron=EACH_SECOND, missed=All())
    others = [Store(options), Store(options)]
    async with (
        Scheduler(store.schedules, options),
        Scheduler(others[0].schedules, options),
        Scheduler(others[1].schedules, options),
    ):
        await await_until(lambda: len(ticks(rows)) >= 4)
    for other in others:
        await other.close()
    found = ticks(rows)
    assert seconds_apart(found) == {1.0}
    assert all(tick.microsecond == 0 for tick in found)
    assert {outcome for outcome, _ in history(rows)} == {"enqueued"}


async def test_a_tick_is_seen_to_at_its_time_and_not_at_the_next_poll(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, cron=EACH_SECOND, missed=All())

    def late() -> list[float]:
        found = rows.db.execute("select extract(epoch from seen_at - tick)::float8 as late from queue_tasks_ticks")
        return [row["late"] for row in found]

    async with scheduler:
        # More than one at once: a busy machine may be late for any of them.
        await await_until(lambda: len([seconds for seconds in late() if seconds < 0.5]) >= 2)
    assert min(late()) >= 0


async def test_a_job_is_made_of_what_is_declared(scheduler: Scheduler, rows: Rows) -> None:
    declare(add.using(queue_name="sums", priority=7, lock="sum of {a}"), cron="0 3 * * *", args=(1,), kwargs={"b": 2})
    declare(echo, every=1, name="floats", args=(1e23, 0.1, "é", None))
    await settle(scheduler)
    rows.db.execute("update queue_tasks_schedules set last_tick = '2026-06-01', next_tick = '2026-06-02'")
    await settle(scheduler)
    jobs = {row["task_name"]: row for row in rows.db.execute("select *, args::text as text from procrastinate_jobs")}
    sums = jobs[add.module_path]
    assert (sums["queue_name"], sums["priority"], sums["lock"]) == ("sums", 7, "sum of 1")
    assert sums["args"] == {"args": [1], "kwargs": {"b": 2}}
    assert sums["qt_meta"]["schedule"] == add.module_path
    # Written once, as enqueue does: not as whole numbers.
    assert "100000000000000000000000.0" in jobs[echo.module_path]["text"]


async def test_a_new_schedule_makes_up_for_nothing(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, cron="0 * * * *", missed=All())
    declare(noop, every=timedelta(days=1), name="daily", missed=All())
    await settle(scheduler)
    assert rows.statuses() == {}
    assert schedule(rows)["next_tick"] > schedule(rows)["last_tick"]
    assert schedule(rows, "daily")["next_tick"].astimezone(UTC).hour == 0


# -------------------------------------------------------------------------------------------------------------- missed


async def test_of_missed_ticks_the_latest_makes_a_job_unless_said_otherwise(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, cron="0 0 * * *")
    await settle(scheduler)
    nobody_was_there_for(rows, timedelta(days=12))
    await settle(scheduler)
    (tick,) = ticks(rows)
    assert timedelta(0) <= datetime.now(UTC) - tick < timedelta(days=1, seconds=30)
    assert history(rows) == [("missed", 11), ("enqueued", 1)]
    assert schedule(rows)["last_tick"] == tick


async def test_missed_ticks_are_passed_over_when_they_are_to_be_skipped(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, cron="0 0 1 * *", missed="skip")
    await settle(scheduler)
    rows.db.execute("update queue_tasks_schedules set last_tick = '2026-01-15', next_tick = '2026-02-01'")
    await settle(scheduler)
    assert rows.statuses() == {}
    (missed,) = history(rows)
    assert missed[0] == "missed"
    assert missed[1] >= 9
    assert schedule(rows)["next_tick"] > datetime.now(UTC)


async def test_all_missed_ticks_are_made_up_for_up_to_a_bound_oldest_first_and_spread(
    scheduler: Scheduler, rows: Rows
) -> None:
    declare(noop, cron="0 0 * * *", missed=All(max=20))
    await settle(scheduler)
    nobody_was_there_for(rows, timedelta(days=1100))
    await settle(scheduler)
    found = ticks(rows)
    assert len(found) == 20
    assert seconds_apart(found) == {86_400.0}
    assert datetime.now(UTC) - found[-1] < timedelta(days=1, seconds=30)
    assert history(rows)[0] == ("missed", 1000), "as many as are counted"
    starts = [row["scheduled_at"] for row in rows.db.execute("select scheduled_at from procrastinate_jobs order by id")]
    assert starts[0] is None
    assert seconds_apart([start for start in starts if start]) == {0.1}
    assert starts[-1] - starts[1] == timedelta(seconds=1.8)


async def test_what_an_outage_of_the_database_delays_is_made_up_for(
    scheduler: Scheduler, store: Store, rows: Rows, failures: list, db: psycopg.Connection[Any]
) -> None:
    declare(noop, cron=EACH_SECOND, missed=All())
    db.execute("create sequence tests_refusals")
    db.execute(
        "create function tests_refuse() returns trigger language plpgsql as $$ begin "
        "if nextval('tests_refusals') <= 3 then raise exception 'not now' using errcode = '57014'; end if; "
        "return new; end $$"
    )
    db.execute(
        "create trigger tests_refuse before insert on procrastinate_jobs for each row execute function tests_refuse()"
    )
    try:
        async with scheduler:
            await await_until(lambda: len(ticks(rows)) >= 3)
    finally:
        db.execute("drop trigger tests_refuse on procrastinate_jobs")
        db.execute("drop function tests_refuse")
        db.execute("drop sequence tests_refusals")
    assert seconds_apart(ticks(rows)) == {1.0}
    assert len(failures) == 3


async def test_a_history_of_a_hundred_ticks_is_kept(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, every=1, missed=All(max=300))
    await settle(scheduler)
    nobody_was_there_for(rows, timedelta(seconds=200))
    await settle(scheduler)
    assert len(ticks(rows)) >= 199
    assert len(history(rows)) == 100


# ------------------------------------------------------------------------------------------------- overlap and jitter


@pytest.mark.parametrize("unfinished", ["todo", "doing"])
async def test_a_tick_that_would_overlap_makes_no_job_and_says_so(
    scheduler: Scheduler, rows: Rows, unfinished: str
) -> None:
    declare(noop, every=3600, overlap="skip")
    await settle(scheduler)
    nobody_was_there_for(rows, timedelta(minutes=90))
    await settle(scheduler)
    assert len(ticks(rows)) == 1
    rows.db.execute("update procrastinate_jobs set status = %s::procrastinate_job_status", [unfinished])
    rows.db.execute("update queue_tasks_schedules set last_tick = last_tick - interval '1 day'")
    rows.db.execute("delete from queue_tasks_ticks")
    nobody_was_there_for(rows, timedelta(minutes=90))
    await settle(scheduler)
    assert len(ticks(rows)) == 1
    assert ("overlap", 1) in history(rows)
    rows.db.execute("update procrastinate_jobs set status = 'failed'")
    rows.db.execute("delete from queue_tasks_ticks")
    nobody_was_there_for(rows, timedelta(minutes=90))
    await settle(scheduler)
    assert len(ticks(rows)) == 2


async def test_jobs_that_may_not_overlap_are_not_made_up_for_all_at_once(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, every=60, overlap="skip", missed=All())
    await settle(scheduler)
    nobody_was_there_for(rows, timedelta(seconds=301))
    await settle(scheduler)
    assert len(ticks(rows)) == 1
    first, *others = [outcome for outcome, _ in history(rows)]
    assert first == "enqueued"
    assert len(others) >= 4
    assert set(others) == {"overlap"}


async def test_jitter_puts_a_job_off_at_random_and_never_before_its_tick(scheduler: Scheduler, rows: Rows) -> None:
    for number in range(30):
        declare(noop, every=3600, jitter=timedelta(hours=1), name=f"n{number}")
    await settle(scheduler)
    nobody_was_there_for(rows, timedelta(seconds=3601))
    await settle(scheduler)
    found = rows.db.execute(
        "select coalesce(scheduled_at, qt_enqueued_at) as start, (qt_meta ->> 'scheduled_for')::timestamptz as tick "
        "from procrastinate_jobs"
    ).fetchall()
    assert len(found) == 30
    late = {row["start"] - row["tick"] for row in found}
    assert all(timedelta(0) <= one <= timedelta(hours=1, seconds=5) for one in late)
    assert len(late) > 10


# ------------------------------------------------------------------------------------------------------- what it is


async def test_what_is_not_declared_any_more_is_gone_until_it_is_declared_again(
    scheduler: Scheduler, store: Store, rows: Rows
) -> None:
    declare(noop, cron=NEVER_SOON)
    declare(add, every=1, args=(1,), name="sum")
    await settle(scheduler)
    with nothing_declared():
        declare(add, every=1, args=(2,), name="sum")
        await settle(scheduler)
    assert schedule(rows)["gone_at"] is not None
    assert schedule(rows, "sum")["gone_at"] is None
    assert schedule(rows, "sum")["args"] == {"args": [2], "kwargs": {}}
    nobody_was_there_for(rows, timedelta(seconds=100))
    assert [found.name for found in (await store.schedules.due_schedules(10))[2]] == ["sum"]
    await settle(scheduler)
    again = schedule(rows)
    assert again["gone_at"] is None
    assert {row["task_name"] for row in rows.db.execute("select task_name from procrastinate_jobs")} == {
        add.module_path
    }


async def test_starting_again_changes_nothing(scheduler: Scheduler, store: Store, rows: Rows) -> None:
    declare(noop, cron="0 3 * * *", timezone="Europe/Paris")
    await settle(scheduler)
    before = schedule(rows)
    await settle(scheduler)
    assert schedule(rows) == before


async def test_another_line_counts_from_now_and_an_override_wins_over_it(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, cron="0 3 * * *")
    await settle(scheduler)
    before = schedule(rows)
    with nothing_declared():
        declare(noop, cron="0 4 * * *")
        await settle(scheduler)
    changed = schedule(rows)
    assert changed["next_tick"].astimezone(UTC).hour == 4
    assert changed["last_tick"] > before["last_tick"]
    rows.db.execute("update queue_tasks_schedules set override_cron = '0 5 * * *', next_tick = null")
    await settle(scheduler)
    assert schedule(rows)["cron"] == "0 3 * * *"
    assert schedule(rows)["next_tick"].astimezone(UTC).hour == 5


async def test_a_row_that_nobody_understands_is_said_once_and_the_others_tick(
    scheduler: Scheduler, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    declare(noop, cron=EACH_SECOND)
    declare(noop, cron=NEVER_SOON, name="odd")
    await settle(scheduler)
    rows.db.execute(
        "update queue_tasks_schedules set override_timezone = 'Mars/Olympus', next_tick = null, "
        "revision = revision + 1 where name = 'odd'"
    )
    async with scheduler:
        await await_until(lambda: len(ticks(rows)) >= 2)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
    assert "schedule \"odd\" does not tick here: timezone='Mars/Olympus'" in said[0]


async def test_a_declaration_that_is_wrong_is_left_out_and_the_others_tick(
    scheduler: Scheduler, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    declare(noop, cron="61 * * * *", name="wrong")
    declare(noop, every=1)
    declare(noop, every=2)
    await settle(scheduler)
    assert [row["name"] for row in rows.db.execute("select name from queue_tasks_schedules")] == [NOOP]
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "schedule \"wrong\": cron='61 * * * *'" in said
    assert "declared twice" in said


async def test_a_lock_may_ask_the_database_and_one_that_raises_takes_only_its_own_schedule_away(
    scheduler: Scheduler, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    def asking() -> str:
        with connection.cursor() as cursor:
            cursor.execute("select 'of ' || 42")
            return str(cursor.fetchone()[0])

    known: dict[str, str] = {}
    declare(noop.using(lock=lambda: known["none"]), every=1, name="wrong")
    declare(noop.using(lock=asking), every=1, name="asks")
    declare(noop, every=1, name="plain")
    await settle(scheduler)
    assert schedule(rows, "asks")["lock"] == "of 42"
    assert schedule(rows, "plain")["next_tick"] is not None
    assert "its lock raised KeyError" in caplog.text


@pytest.fixture
def refusing(db: psycopg.Connection[Any]) -> Iterator[None]:
    """The database has something against jobs that go to the queue "closed"."""
    db.execute("alter table procrastinate_jobs add constraint tests_closed check (queue_name <> 'closed')")
    yield
    db.execute("alter table procrastinate_jobs drop constraint tests_closed")


@pytest.mark.usefixtures("refusing")
async def test_a_schedule_whose_job_the_database_refuses_keeps_no_other_from_ticking(
    scheduler: Scheduler, rows: Rows, failures: list, caplog: pytest.LogCaptureFixture
) -> None:
    declare(noop.using(queue_name="closed"), every=1, name="a refused one")
    declare(noop, every=1, missed=All())
    async with scheduler:
        await await_until(lambda: len(ticks(rows)) >= 2)
    assert 'schedule "a refused one" was refused its job: new row for relation' in caplog.text
    assert failures
    assert schedule(rows, "a refused one")["next_tick"] is not None
    assert seconds_apart(ticks(rows)) == {1.0}


async def test_what_is_declared_is_brought_to_the_database_once_and_not_after_each_failure(
    scheduler: Scheduler, rows: Rows, failures: list, db: psycopg.Connection[Any]
) -> None:
    declare(noop, every=1)
    declare(noop, cron=NEVER_SOON, name="dropped")
    async with scheduler:
        await await_until(lambda: ticks(rows))
        # As a newer release does, which has dropped it.
        rows.db.execute("update queue_tasks_schedules set gone_at = clock_timestamp() where name = 'dropped'")
        db.execute("alter table queue_tasks_schedules rename to tests_away")
        try:
            scheduler.wake()
            await await_until(lambda: failures)
        finally:
            db.execute("alter table tests_away rename to queue_tasks_schedules")
        before = len(ticks(rows))
        await await_until(lambda: len(ticks(rows)) > before)
    assert schedule(rows, "dropped")["gone_at"] is not None


async def test_a_change_wakes_it(scheduler: Scheduler, rows: Rows) -> None:
    declare(noop, cron=NEVER_SOON)
    async with scheduler:
        await await_until(lambda: rows.db.execute("select from queue_tasks_schedules").fetchone() is not None)
        rows.db.execute(
            "update queue_tasks_schedules set override_every = 1, next_tick = null, revision = revision + 1"
        )
        scheduler.wake()
        await await_until(lambda: len(ticks(rows)) >= 1)


# -------------------------------------------------------------------------------------------------------- procrastinate


@pytest.fixture
def ticking() -> Iterator[str]:
    """A procrastinate task that is due each second, known during the test only."""
    name = "tests.roles.tick"

    @app.periodic(cron="* * * * * *")
    @app.task(name=name)
    async def tick(timestamp: int) -> int:
        return timestamp

    yield name
    app.tasks.pop(name)
    app.periodic_registry.periodic_tasks.pop((name, ""))


def stock_ticks(rows: Rows) -> list[int]:
    found = rows.db.execute("select (args ->> 'timestamp')::bigint as at from procrastinate_jobs order by id")
    return [row["at"] for row in found]


async def test_each_tick_of_procrastinate_is_one_job_whatever_the_number_of_schedulers(
    store: Store, rows: Rows, options: Options, ticking: str
) -> None:
    other = Store(options)
    async with (
        Scheduler(store.schedules, options),
        Scheduler(other.schedules, options),
        Scheduler(store.schedules, options),
    ):
        await await_until(lambda: len(stock_ticks(rows)) >= 4)
    await other.close()
    # One that began a moment earlier, and was slower, may write its first tick after another's.
    seen = sorted(stock_ticks(rows))
    assert seen == list(range(seen[0], seen[0] + len(seen)))


async def test_a_tick_of_procrastinate_that_the_database_refuses_is_not_lost(
    scheduler: Scheduler, rows: Rows, ticking: str, failures: list, db: psycopg.Connection[Any]
) -> None:
    db.execute("create sequence tests_refusals")
    db.execute(
        "create function tests_refuse() returns trigger language plpgsql as $$ begin "
        "if nextval('tests_refusals') <= 2 then raise exception 'not now' using errcode = '57014'; end if; "
        "return new; end $$"
    )
    db.execute(
        "create trigger tests_refuse before insert on procrastinate_jobs for each row execute function tests_refuse()"
    )
    try:
        async with scheduler:
            await await_until(lambda: failures)
            refused = int(time.time())
            await await_until(lambda: len(stock_ticks(rows)) >= 3)
    finally:
        db.execute("drop trigger tests_refuse on procrastinate_jobs")
        db.execute("drop function tests_refuse")
        db.execute("drop sequence tests_refusals")
    seen = stock_ticks(rows)
    assert seen[0] <= refused
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(failures) == 2


@pytest.mark.usefixtures("refusing")
async def test_a_tick_of_procrastinate_that_is_refused_keeps_no_other_from_being_enqueued(
    scheduler: Scheduler, rows: Rows, ticking: str, failures: list, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("tests.roles.closed", "tests.roles.unwritable")

    @app.periodic(cron="* * * * * *")
    @app.task(name=names[0], queue="closed")
    async def closed(timestamp: int) -> None: ...

    @app.periodic(cron="* * * * * *", task_kwargs={"what": cast("str", object())})
    @app.task(name=names[1])
    async def unwritable(timestamp: int, what: object) -> None: ...

    # Those that cannot be enqueued come first.
    registry = app.periodic_registry.periodic_tasks
    registry[ticking, ""] = registry.pop((ticking, ""))
    try:
        async with scheduler:
            await await_until(lambda: len(stock_ticks(rows)) >= 2)
    finally:
        for name in names:
            app.tasks.pop(name)
            registry.pop((name, ""))
    assert {row["task_name"] for row in rows.db.execute("select task_name from procrastinate_jobs")} == {ticking}
    assert failures
    assert "the tick of tests.roles.unwritable has arguments that no job can have" in caplog.text


async def test_a_worker_that_lags_behind_does_not_enqueue_again_what_others_did(
    store: Store, rows: Rows, options: Options
) -> None:
    """Upstream forgets each tick when a newer one is enqueued."""

    def tick(at: int) -> PeriodicTick:
        return PeriodicTick(NOOP, "p", at, "default", None, None, 0, {"timestamp": at})

    other = Store(options)
    first = [await store.schedules.defer_tick(tick(at)) for at in (10, 11, 12)]
    late = [await other.schedules.defer_tick(tick(at)) for at in (10, 11, 12, 13)]
    await other.close()
    assert None not in first
    assert late[:3] == [None] * 3
    assert late[3] is not None
    assert stock_ticks(rows) == [10, 11, 12, 13]


async def test_with_nothing_to_do_it_waits_without_having_failed(scheduler: Scheduler, failures: list) -> None:
    async with scheduler:
        assert await next_look(scheduler) == 60
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(scheduler._look())), PATIENCE)
        assert not scheduler.failed
    assert failures == []


async def test_without_any_schedule_it_looks_seldom_while_it_would_be_told_of_one(
    store: Store, rows: Rows, options: Options
) -> None:
    poll, hears = options.poll_interval, True
    scheduler = Scheduler(store.schedules, options, lambda: hears)
    assert await next_look(scheduler) == POLLS_WITHOUT_SCHEDULES * poll
    hears = False
    assert await next_look(scheduler) == poll
    hears = True
    declare(noop, cron=NEVER_SOON)
    await settle(scheduler)
    assert schedule(rows)["next_tick"] is not None
    assert await next_look(scheduler) == poll


async def test_beside_a_schedule_of_procrastinate_it_looks_as_often_as_ever(
    store: Store, options: Options, ticking: str
) -> None:
    scheduler = Scheduler(store.schedules, options, lambda: True)
    assert await next_look(scheduler) <= options.poll_interval
    assert scheduler._stock.any, ticking
