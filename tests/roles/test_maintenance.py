"""Promoter, aborter, pruner: the small duties."""

import re
import time
from typing import Any

import pytest

from queue_tasks.statements import sql_root
from queue_tasks.store import Store
from queue_tasks.worker import maintenance
from queue_tasks.worker.lookout import Lookout
from queue_tasks.worker.maintenance import Aborter, Promoter, Pruner, Rescuer
from tests.roles.parts import NOTHING_SEEN, Calls, Rows
from tests.waiting import await_until

SESSION = "queue_tasks tend"


def ready(rows: Rows) -> int:
    found = rows.db.execute("select count(*) from procrastinate_jobs where status = 'todo' and scheduled_at is null")
    return int((found.fetchone() or {})["count"])


# ------------------------------------------------------------------------------------------------------------- promote


async def test_a_job_is_promoted_at_its_time_not_at_the_next_poll(store: Store, rows: Rows) -> None:
    rows.due_in(1, 0.3)
    (due,) = (row["scheduled_at"] for row in rows.db.execute("select scheduled_at from procrastinate_jobs"))
    promoted, looks = Calls(), Calls()

    def is_ready() -> bool:
        (found,) = rows.db.execute(
            "select scheduled_at is null as ready, clock_timestamp() as now from procrastinate_jobs"
        )
        looks(found["ready"], found["now"])
        return bool(found["ready"])

    async with Promoter(store.maintenance, 60, promoted):
        await await_until(is_ready)
        await await_until(lambda: promoted)
    assert all(now >= due for is_so, now in looks.all if is_so)


async def test_a_burst_due_at_once_is_promoted_at_once(store: Store, rows: Rows) -> None:
    rows.due_in(2000, 0.2)
    async with Promoter(store.maintenance, 60, Calls()):
        await await_until(lambda: ready(rows) == 2000)


async def test_an_earlier_job_scheduled_while_it_sleeps_is_in_time(store: Store, rows: Rows) -> None:
    rows.due_in(1, 50)
    promoter = Promoter(store.maintenance, 60, Calls())
    async with promoter:
        await await_until(lambda: rows.sessions(SESSION) and not promoter._wake.is_set())
        rows.due_in(1, 0.2)
        promoter.wake()
        await await_until(lambda: ready(rows) == 1)
        assert rows.statuses() == {"todo": 2}


async def test_without_any_hint_the_poll_finds_it(store: Store, rows: Rows) -> None:
    async with Promoter(store.maintenance, 0.05, Calls()):
        await await_until(lambda: rows.sessions(SESSION))
        rows.due_in(3, -1)
        await await_until(lambda: ready(rows) == 3)


async def test_two_promoters_share_a_burst_and_tell_of_it(store: Store, rows: Rows) -> None:
    rows.due_in(3000, 0.1)
    first, second = Calls(), Calls()
    async with Promoter(store.maintenance, 60, first), Promoter(store.maintenance, 60, second):
        await await_until(lambda: ready(rows) == 3000)
        await await_until(lambda: first or second)


async def test_a_parked_job_stays_where_it_is(store: Store, rows: Rows) -> None:
    rows.add(scheduled_at="9999-01-01")
    rows.due_in(1, -1)
    async with Promoter(store.maintenance, 0.05, Calls()):
        await await_until(lambda: ready(rows) == 1)
    assert rows.statuses() == {"todo": 2}


async def test_a_terminated_backend_delays_it_a_little(store: Store, rows: Rows, failures: list) -> None:
    async with Promoter(store.maintenance, 0.05, Calls()):
        await await_until(lambda: rows.sessions(SESSION))
        rows.terminate(SESSION)
        rows.due_in(5, -1)
        await await_until(lambda: ready(rows) == 5)
    assert {failure.service for failure in failures} <= {"promoter"}


# --------------------------------------------------------------------------------------------------------------- abort


async def test_it_tells_of_this_worker_s_aborts_with_their_lease_and_of_no_other_s(store: Store, rows: Rows) -> None:
    rows.add(3)
    mine = await store.jobs.fetch_jobs(None, 2)
    theirs = Store(store_options(store))
    await theirs.workers.register_worker("other", "host", 2, None, 1)
    (other,) = await theirs.jobs.fetch_jobs(None, 1)
    await theirs.close()
    rows.db.execute(
        "update procrastinate_jobs set abort_requested = true where id = any (%s)", [[mine[1].id, other.id]]
    )
    told = Calls()
    aborter = Aborter(store.maintenance, 60, told, lambda: True)
    async with aborter:
        aborter.wake()
        await await_until(lambda: told)
    assert told.all == [(mine[1].id, mine[1].lease)]


def store_options(store: Store) -> Any:
    from queue_tasks.conf import Options

    return Options()


async def test_it_asks_nothing_while_nothing_runs(store: Store, rows: Rows) -> None:
    asked = Calls()

    def busy() -> bool:
        asked()
        return False

    async with Aborter(store.maintenance, 0.02, Calls(), busy):
        await await_until(lambda: len(asked) >= 3)
    found = rows.db.execute(
        "select query from pg_stat_activity where application_name = %s and datname = current_database()", [SESSION]
    )
    assert all("aborting_jobs" not in row["query"] for row in found)


async def test_without_a_hint_the_poll_finds_an_abort(store: Store, rows: Rows) -> None:
    rows.add()
    (job,) = await store.jobs.fetch_jobs(None, 1)
    told = Calls()
    async with Aborter(store.maintenance, 0.05, told, lambda: True):
        rows.db.execute("update procrastinate_jobs set abort_requested = true")
        await await_until(lambda: told)
    assert told.all[0] == (job.id, job.lease)


# --------------------------------------------------------------------------------------------------------------- prune


async def test_what_is_past_its_time_is_pruned_in_chunks_and_the_rest_stays(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PRUNE_EVERY", 0.02)
    monkeypatch.setattr(maintenance, "PRUNE_CHUNK", 10)
    rows.add(35, status="succeeded", qt_expires_at="2020-01-01")
    rows.add(2, status="succeeded", qt_expires_at="2100-01-01")
    rows.add(1, status="failed", qt_expires_at="2020-01-01")
    rows.add(1)
    async with Pruner(store.maintenance):
        await await_until(lambda: rows.statuses() == {"succeeded": 2, "failed": 1, "todo": 1})


# -------------------------------------------------------------------------------------------------- rescue and reclaim


async def test_a_job_whose_fetch_was_lost_is_taken_back_soon_after_it_has_failed(store: Store, rows: Rows) -> None:
    rows.add(3)
    (mine,) = await store.jobs.fetch_jobs(None, 1)
    await store.jobs.fetch_jobs(None, 2)
    rescuer = Rescuer(store.maintenance, store_options(store), lambda: [mine.id])
    async with rescuer:
        await await_until(lambda: rows.sessions(SESSION))
        rescuer.note_failed_fetch()
        await await_until(lambda: rows.statuses() == {"doing": 1, "todo": 2})
    assert rows.get(mine.id)["status"] == "doing"


async def test_nothing_is_taken_back_while_a_fetch_is_under_way(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "RECLAIM_LATER", 0.01)
    rows.add(1)
    await store.jobs.fetch_jobs(None, 1)
    asked: list[int] = []

    def in_hand() -> list[int] | None:
        asked.append(1)
        return [] if len(asked) > 5 else None

    rescuer = Rescuer(store.maintenance, store_options(store), in_hand)
    async with rescuer:
        rescuer.note_failed_fetch()
        await await_until(lambda: rows.statuses() == {"todo": 1})
    assert len(asked) > 5


async def test_a_late_worker_is_looked_at_when_it_may_be_dead_and_not_before(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    rescue = store.maintenance.rescue_jobs

    async def counted(**arguments: Any) -> Any:
        looks.append(time.monotonic())
        return await rescue(**arguments)

    monkeypatch.setattr(store.maintenance, "rescue_jobs", counted)
    rescuer = Rescuer(store.maintenance, store_options(store), list)
    async with rescuer:
        await await_until(lambda: looks)
        begun = time.monotonic()
        rescuer.note_silence(2.5)
        await await_until(lambda: len(looks) == 2)
        assert looks[1] - begun >= 0.5
        rescuer.note_silence(100)
        await await_until(lambda: len(looks) == 3)


async def test_a_look_that_has_just_found_nothing_lost_is_the_rescuer_s(store: Store) -> None:
    looks, rescue, lookout = Calls(), store.maintenance.rescue_jobs, Lookout()

    async def counted(**given: Any) -> Any:
        looks()
        return await rescue(**given)

    store.maintenance.rescue_jobs = counted  # type: ignore[method-assign]
    rescuer = Rescuer(store.maintenance, store_options(store), list, lookout)

    async def come_to_its_time() -> None:
        rescuer._rescue_at = 0
        rescuer._changed.set()
        await await_until(lambda: rescuer._rescue_at > 0)

    async with rescuer:
        await await_until(lambda: looks)
        lookout.note(NOTHING_SEEN)
        await come_to_its_time()
        assert len(looks) == 1
        lookout.note(NOTHING_SEEN._replace(lost=True))
        await await_until(lambda: len(looks) == 2)
        await come_to_its_time()
        await await_until(lambda: len(looks) == 3)


async def test_what_a_look_finds_under_this_worker_without_its_knowing_is_taken_back(store: Store, rows: Rows) -> None:
    lookout = Lookout()
    async with Rescuer(store.maintenance, store_options(store), list, lookout):
        (job,) = rows.add()
        assert len(await store.jobs.fetch_jobs(None, 1)) == 1
        lookout.note(NOTHING_SEEN._replace(lost=True))
        await await_until(lambda: rows.get(job)["status"] == "todo")


@pytest.fixture
def looks(store: Store) -> Calls:
    """When a promoter looked, and what is due next."""
    looks, promote = Calls(), store.maintenance.promote_jobs

    async def counted(max_jobs: int) -> Any:
        found = await promote(max_jobs)
        looks(time.monotonic(), found.next_due_at)
        return found

    store.maintenance.promote_jobs = counted  # type: ignore[method-assign]
    return looks


async def test_a_promoter_that_is_told_of_jobs_looks_for_others_less_often(store: Store, looks: Calls) -> None:
    async with Promoter(store.maintenance, 0.1, Calls(), lambda: True):
        await await_until(lambda: len(looks) >= 3)
    (first, _), _, (third, _) = looks.all[:3]
    assert third - first >= 1.2


async def test_a_promoter_that_is_told_of_jobs_looks_all_the_same_for_those_nobody_is_told_of(
    store: Store, looks: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LONGEST_WHEN_HEARING", 0.05)
    async with Promoter(store.maintenance, 600, Calls(), lambda: True):
        await await_until(lambda: len(looks) >= 3)


def test_that_is_more_often_than_twice_in_the_time_before_which_nobody_is_told() -> None:
    text = (sql_root() / "functions" / "queue_tasks_tell_scheduled_v1.sql").read_text()
    (minutes,) = re.findall(r"interval '(\d+) minutes'", text)
    assert int(minutes) * 60 > 2 * maintenance.LONGEST_WHEN_HEARING


async def test_a_promoter_that_is_told_of_nothing_looks_as_often_as_it_was_asked_to(
    store: Store, looks: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LONGEST_WHEN_HEARING", 0)
    async with Promoter(store.maintenance, 0.3, Calls()):
        await await_until(lambda: len(looks) >= 2)
    (first, _), (second, _) = looks.all[:2]
    assert second - first >= 0.3


async def test_a_look_that_sees_a_job_due_before_the_timer_has_the_promoter_look(
    store: Store, rows: Rows, looks: Calls
) -> None:
    """And no other, so that no statement is made for what is known."""
    lookout = Lookout()
    rows.due_in(1, 7200)
    promoter = Promoter(store.maintenance, 600, Calls(), lambda: True, lookout)
    async with promoter:
        await await_until(lambda: looks)
        _, known = looks.all[-1]
        for seen in (None, known, known + 1):
            lookout.note(NOTHING_SEEN._replace(next_due_at=seen))
        assert not promoter._wake.is_set()
        rows.due_in(1, 3600)
        lookout.note(NOTHING_SEEN._replace(next_due_at=known - 3600))
        await await_until(lambda: len(looks) == 2)
        _, known = looks.all[-1]
        lookout.note(NOTHING_SEEN._replace(next_due_at=known))
        assert not promoter._wake.is_set()
        rows.db.execute("delete from procrastinate_jobs")
        promoter.wake()
        await await_until(lambda: len(looks) == 3)
        lookout.note(NOTHING_SEEN._replace(next_due_at=known))
        assert promoter._wake.is_set()
