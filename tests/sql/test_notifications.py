"""Who is told of what: hints, once a statement and queue, never before the commit."""

import json
from datetime import timedelta

import pytest
from psycopg import sql

from queue_tasks import statements
from tests.waiting import wait_until

WAKE = '{"type": "job_inserted", "job_id": 0}'
ANY = "procrastinate_any_queue_v1"


def queue(name):
    return f"procrastinate_queue_v1#{name}"


@pytest.fixture
def one(open_session):
    return open_session("one")


@pytest.fixture
def ear(open_session):
    """A session that hears all there is to hear."""
    ear = open_session("ear")
    ear.follow()
    return ear


@pytest.fixture
def stranger(open_session):
    """A session that listens, and has not said that it wants to hear anything."""
    return open_session("stranger")


def test_one_notification_for_each_queue_however_many_jobs(one, ear):
    heard = ear.listen(ANY, queue("a"), queue("b"), queue("c"))
    one.jobs(1000, queue_name=sql.SQL("case when n % 2 = 0 then 'a' else 'b' end"))
    assert sorted(heard()) == sorted([(ANY, WAKE), (queue("a"), WAKE), (queue("b"), WAKE)])


def test_of_several_queues_only_those_with_a_ready_job_are_told(one, ear):
    heard = ear.listen(ANY, queue("a"), queue("b"), queue("c"))
    one.jobs(
        300,
        queue_name=sql.SQL("substr('abc', n % 3 + 1, 1)"),
        scheduled_at=sql.SQL("case when n % 3 = 2 then now() + interval '1 hour' end"),
    )
    assert sorted(heard()) == sorted([(ANY, WAKE), (queue("a"), WAKE), (queue("b"), WAKE)])


def test_the_notifications_of_one_transaction_fold(one, ear):
    heard = ear.listen(ANY, queue("a"))
    with one.connection.transaction():
        for _ in range(50):
            one.job(queue_name="a")
    assert sorted(heard()) == [(ANY, WAKE), (queue("a"), WAKE)]


def test_stock_workers_understand_the_payload():
    assert json.loads(WAKE)["type"] == "job_inserted"


def test_a_rollback_tells_nobody(one, ear):
    heard = ear.listen(ANY, queue("default"), "queue_tasks_scheduled", "queue_tasks_finished")
    with one.connection.transaction(force_rollback=True):
        worker = one.worker()
        one.job()
        one.job(scheduled_at=sql.SQL("now() + interval '1 hour'"))
        one.finish(worker, one.fetch(worker), "succeeded")
    assert heard() == []


def test_a_scheduled_job_wakes_those_who_hold_the_timers_only(one, ear):
    heard = ear.listen(ANY, queue("default"), "queue_tasks_scheduled")
    job = one.job(scheduled_at=sql.SQL("now() + interval '1 hour'"))
    assert heard() == [("queue_tasks_scheduled", "")]
    one.rows("update procrastinate_jobs set scheduled_at = now() + interval '2 hours' where id = %s", job)
    assert heard() == [("queue_tasks_scheduled", "")]
    one.rows("update procrastinate_jobs set priority = 3 where id = %s", job)
    assert heard() == []


SCHEDULED = [("queue_tasks_scheduled", "")]


@pytest.fixture
def due(one):
    """Schedule jobs so many seconds from now; all of one test by the same clock."""
    now = one.value("select clock_timestamp()")
    return lambda seconds, count=1: one.jobs(count, scheduled_at=now + timedelta(seconds=seconds))


def test_a_job_scheduled_behind_another_wakes_nobody_for_whoever_wakes_for_that_looks_for_the_next(due, stranger):
    heard = stranger.listen("queue_tasks_scheduled")
    due(100)
    assert heard() == SCHEDULED
    due(200)
    due(100)
    due(300, 5)
    assert heard() == []
    due(50)
    assert heard() == SCHEDULED
    due(50, 5)
    assert heard() == []


def test_a_job_due_in_five_minutes_or_later_wakes_nobody_for_each_worker_looks_before(one, due, stranger):
    heard = stranger.listen("queue_tasks_scheduled")
    due(310)
    due(4000, 5)
    assert heard() == []
    due(290)
    assert heard() == SCHEDULED
    stranger.follow()
    due(4000)
    assert heard() == SCHEDULED


def test_a_retry_that_waits_longer_than_another_job_wakes_nobody(one, due, stranger):
    worker = one.worker()
    one.jobs(2)
    due(100)
    first, second = one.fetch(worker)
    heard = stranger.listen("queue_tasks_scheduled")
    one.finish(worker, [first], "retried", waits=200.0)
    assert heard() == []
    one.finish(worker, [second], "retried", waits=50.0)
    assert heard() == SCHEDULED


@pytest.mark.parametrize("seconds", [-5, 0.5])
def test_a_job_that_is_due_or_may_be_before_the_commit_keeps_nobody_from_being_told(due, stranger, seconds):
    due(seconds)
    heard = stranger.listen("queue_tasks_scheduled")
    due(100)
    assert heard() == SCHEDULED


def test_a_job_of_another_transaction_that_is_not_over_keeps_nobody_from_being_told(one, due, stranger, open_session):
    two = open_session("two")
    heard = stranger.listen("queue_tasks_scheduled")
    with two.connection.transaction():
        two.job(scheduled_at=sql.SQL("now() + interval '50 s'"))
        due(100)
        assert heard() == SCHEDULED
    assert heard() == SCHEDULED


def test_where_nobody_follows_no_end_is_told(one, stranger):
    worker = one.worker()
    one.jobs(2)
    one.job(qt_ephemeral=True)
    heard = stranger.listen("queue_tasks_finished", "queue_tasks_progress")
    fetched = one.fetch(worker)
    one.connection.execute(statements.PROGRESS_JOBS, progress(worker, fetched[0]))
    one.finish(worker, fetched[:1], "failed")
    one.finish(worker, fetched[1:], "succeeded", keeps=[3600.0, 0.0])
    assert heard() == []


def progress(worker, job):
    return {"worker_id": worker, "ids": [job.id], "leases": [job.lease], "progress": ['{"done": 1}']}


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_who_begins_to_follow_is_told_by_transactions_that_are_older(one, stranger, isolation):
    worker = one.worker()
    job = one.job()
    fetched = one.fetch(worker)
    heard = stranger.listen("queue_tasks_finished", "queue_tasks_progress")
    with one.connection.transaction():
        one.rows(f"set transaction isolation level {isolation}")
        one.rows("select from procrastinate_jobs")
        stranger.follow()
        one.connection.execute(statements.PROGRESS_JOBS, progress(worker, fetched[0]))
        one.finish(worker, fetched, "succeeded")
    assert heard() == [("queue_tasks_progress", str(job)), ("queue_tasks_finished", str(job))]


FOLLOWERS = (
    "select count(*) from pg_locks where locktype = 'advisory' and classid = 29046 "
    "and database = (select oid from pg_database where datname = current_database())"
)


def test_who_follows_does_so_until_the_session_ends_and_others_go_on(one, stranger, open_session):
    two = open_session("two")
    heard = stranger.listen("queue_tasks_finished")
    two.follow()
    stranger.follow()
    assert one.value("select queue_tasks_is_followed_v1()")
    two.close()
    wait_until(lambda: one.value(FOLLOWERS) == 1)
    one.job()
    worker = one.worker()
    one.finish(worker, one.fetch(worker), "succeeded")
    assert len(heard()) == 1


def test_to_ask_whether_anybody_follows_leaves_no_lock(one):
    assert not one.value("select queue_tasks_is_followed_v1()")
    assert one.value("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()") == 0


def test_a_parked_job_wakes_nobody_until_it_is_promoted(one, ear):
    heard = ear.listen(ANY, queue("default"), "queue_tasks_scheduled")
    one.job(scheduled_at=sql.SQL("queue_tasks_parked_until_v1()"))
    assert heard() == []
    one.rows("update procrastinate_jobs set scheduled_at = null")
    assert sorted(heard()) == [(ANY, WAKE), (queue("default"), WAKE)]


def test_a_promoted_job_wakes_its_queue(one, ear):
    one.job(scheduled_at=sql.SQL("now() - interval '1 s'"))
    heard = ear.listen(ANY, queue("default"))
    one.rows("select * from queue_tasks_promote_jobs_v1(10)")
    assert sorted(heard()) == [(ANY, WAKE), (queue("default"), WAKE)]


@pytest.mark.parametrize("outcome", ["retried", "snoozed", "released"])
def test_a_job_that_comes_back_wakes_its_queue(one, ear, outcome):
    worker = one.worker()
    one.job()
    fetched = one.fetch(worker)
    heard = ear.listen(ANY, queue("default"), "queue_tasks_finished")
    one.finish(worker, fetched, outcome)
    assert sorted(heard()) == [(ANY, WAKE), (queue("default"), WAKE)]


def test_fetching_wakes_nobody(one, ear):
    worker = one.worker()
    one.jobs(3)
    one.job(lock="a")
    heard = ear.listen(ANY, queue("default"), "queue_tasks_scheduled", "queue_tasks_finished")
    assert len(one.fetch(worker)) == 4
    assert heard() == []


def test_a_finished_job_is_told_by_its_id(one, ear):
    worker = one.worker()
    ids = one.jobs(3)
    fetched = one.fetch(worker)
    heard = ear.listen(ANY, "queue_tasks_finished")
    one.finish(worker, fetched, "succeeded", "failed", "aborted")
    ((channel, payload),) = heard()
    assert channel == "queue_tasks_finished"
    assert sorted(map(int, payload.split(","))) == ids


def test_many_finished_jobs_are_told_by_a_star(one, ear):
    worker = one.worker()
    one.jobs(51)
    fetched = one.fetch(worker, None, 51)
    heard = ear.listen("queue_tasks_finished")
    one.finish(worker, fetched, "succeeded")
    assert heard() == [("queue_tasks_finished", "*")]


def test_a_vanished_job_is_told_too(one, ear):
    worker = one.worker()
    job = one.job(qt_ephemeral=True)
    fetched = one.fetch(worker)
    heard = ear.listen("queue_tasks_finished")
    one.finish(worker, fetched, "succeeded", keeps=0.0)
    assert heard() == [("queue_tasks_finished", str(job))]


def test_deleting_what_was_finished_tells_nobody(one, ear):
    one.job(status="succeeded", lock="a")
    heard = ear.listen(ANY, "queue_tasks_finished")
    one.rows("delete from procrastinate_jobs")
    assert heard() == []


# --------------------------------------------------------------------------------------------------------------- locks


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "snoozed"])
def test_a_released_lock_wakes_the_queue_of_the_next_in_line(one, ear, outcome):
    worker = one.worker()
    one.job(lock="a", queue_name="first")
    one.jobs(20, lock="a", queue_name="next")
    fetched = one.fetch(worker)
    heard = ear.listen(ANY, queue("next"))
    one.finish(worker, fetched, outcome, waits=60 if outcome == "snoozed" else None)
    assert sorted(heard()) == [(ANY, WAKE), (queue("next"), WAKE)]


def test_a_deleted_holder_wakes_the_next_in_line(one, ear):
    worker = one.worker()
    one.job(lock="a", queue_name="first")
    one.job(lock="a", queue_name="next")
    one.fetch(worker)
    heard = ear.listen(queue("next"))
    one.rows("delete from procrastinate_jobs where status = 'doing'")
    assert heard() == [(queue("next"), WAKE)]


def test_a_head_that_is_put_off_wakes_the_next_in_line(one, ear):
    head = one.job(lock="a", queue_name="first")
    one.job(lock="a", queue_name="next")
    heard = ear.listen(queue("next"))
    one.rows("update procrastinate_jobs set scheduled_at = now() + interval '1 hour' where id = %s", head)
    assert heard() == [(queue("next"), WAKE)]


def test_a_job_that_arrives_while_its_lock_is_being_released_is_not_forgotten(open_session, one, ear):
    """Neither transaction sees the other: the arrival's own wake-up is too early, so the release must give one."""
    two = open_session("two")
    worker = one.worker()
    one.job(lock="a")
    fetched = one.fetch(worker)
    heard = ear.listen(ANY, queue("default"))
    with one.connection.transaction():
        one.finish(worker, fetched, "succeeded")
        two.job(lock="a")
        assert sorted(heard()) == [(ANY, WAKE), (queue("default"), WAKE)]
        assert two.fetch(worker) == [], "the lock is still held for everybody else"
    assert sorted(heard()) == [(ANY, WAKE), (queue("default"), WAKE)]
    assert len(two.fetch(worker)) == 1


def test_a_finished_job_without_a_lock_wakes_nobody(one, ear):
    worker = one.worker()
    one.jobs(2)
    fetched = one.fetch(worker, None, 1)
    heard = ear.listen(ANY, queue("default"))
    one.finish(worker, fetched, "succeeded")
    assert heard() == []


# -------------------------------------------------------------------------------------------------------------- aborts


def test_an_abort_is_told_as_stock_workers_expect_it(one, ear):
    worker = one.worker()
    job = one.job(queue_name="a")
    one.fetch(worker)
    heard = ear.listen(ANY, queue("a"))
    one.rows("select procrastinate_cancel_job_v1(%s, true, false)", job)
    found = heard()
    assert sorted(channel for channel, _ in found) == [ANY, queue("a")]
    assert {(data["type"], data["job_id"]) for data in (json.loads(payload) for _, payload in found)} == {
        ("abort_job_requested", job)
    }


def test_the_abort_of_a_job_that_had_not_started_is_told_to_nobody_but_those_who_wait(one, ear):
    job = one.job()
    heard = ear.listen(ANY, "queue_tasks_finished")
    one.rows("select procrastinate_cancel_job_v1(%s, true, false)", job)
    assert heard() == [("queue_tasks_finished", str(job))]


# --------------------------------------------------------------------------------------------------------- long names


@pytest.mark.parametrize(
    ("name", "own_channel"),
    [("q" * 40, True), ("q" * 41, False), ("é" * 20, True), ("é" * 21, False), ("é" * 128, False), ('a";drop', True)],
)
def test_a_queue_name_too_long_for_a_channel_is_told_to_all(one, ear, name, own_channel):
    heard = ear.listen(ANY, *([queue(name)] if own_channel else []))
    worker = one.worker()
    job = one.job(queue_name=name)
    assert sorted(heard()) == sorted([(ANY, WAKE), *([(queue(name), WAKE)] if own_channel else [])])
    fetched = one.fetch(worker, [name])
    assert [found.id for found in fetched] == [job]
    one.rows("select procrastinate_cancel_job_v1(%s, true, false)", job)
    assert len(heard()) == 1 + own_channel
    one.finish(worker, fetched, "retried")
    assert one.statuses() == {job: "aborted"}
