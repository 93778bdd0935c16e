"""queue_tasks_rescue_jobs_v1 and the statement reclaim_jobs: jobs whose worker does not have them any more."""

import pytest

from queue_tasks import statements
from queue_tasks.frames import fingerprint


@pytest.fixture
def worker(session):
    return session.worker()


def rescue(session, max_crashes=3, keep=60.0):
    parameters = {"dead_after": 30.0, "silent_after": 3.0, "max_crashes": max_crashes, "keep": keep, "max_jobs": 100}
    found = session.connection.execute(statements.RESCUE_JOBS, parameters).fetchall()
    return {row[0]: row[1] for row in found}


def reclaim(session, worker, in_hand=(), keep=60.0):
    parameters = {"worker_id": worker, "in_hand": list(in_hand), "older_than": 15.0, "keep": keep}
    return {row[0] for row in session.connection.execute(statements.RECLAIM_JOBS, parameters).fetchall()}


def silence(session, worker, seconds=31):
    """Move the worker, and what it fetched, into the past."""
    session.rows(
        "update procrastinate_workers set last_heartbeat = clock_timestamp() - make_interval(secs => %s) where id = %s",
        seconds,
        worker,
    )
    session.rows("update procrastinate_jobs set qt_attempted_at = clock_timestamp() - interval '1 minute'")


def twins(session, worker):
    """Two running jobs with one queueing lock, as a second enqueued while the first ran makes them."""
    ids = []
    for _ in range(2):
        ids.append(session.job(queueing_lock="q"))
        assert len(session.fetch(worker)) == 1
    return ids


def test_twins_that_lose_their_worker_together_come_back_and_the_first_has_the_queueing_lock(session, worker):
    first, second = twins(session, worker)
    silence(session, worker)
    assert rescue(session) == {first: "todo", second: "todo"}
    assert [session.row(job, "queueing_lock") for job in (first, second)] == ["q", None]


def test_a_rescued_job_whose_twin_waits_comes_back_without_the_queueing_lock(session, worker):
    job = session.job(queueing_lock="q")
    session.fetch(worker)
    twin = session.job(queueing_lock="q")
    silence(session, worker)
    assert rescue(session) == {job: "todo"}
    assert [session.row(number, "queueing_lock") for number in (job, twin)] == [None, "q"]


def test_a_twin_that_was_told_to_abort_does_not_take_the_queueing_lock_from_the_other(session, worker):
    first, second = twins(session, worker)
    session.rows("update procrastinate_jobs set abort_requested = true where id = %s", first)
    silence(session, worker)
    assert rescue(session) == {first: "aborted", second: "todo"}
    assert session.row(second, "queueing_lock") == "q"
    assert session.row(first, "qt_finished_at is not null and qt_expires_at is not null")


def test_strays_that_are_twins_come_back_and_the_first_has_the_queueing_lock(session, worker):
    first, second = twins(session, worker)
    silence(session, worker, 0)
    assert reclaim(session, worker) == {first, second}
    assert [session.row(job, "status::text", "queueing_lock") for job in (first, second)] == [
        ("todo", "q"),
        ("todo", None),
    ]


def test_a_stray_whose_twin_waits_comes_back_without_the_queueing_lock(session, worker):
    job = session.job(queueing_lock="q")
    session.fetch(worker)
    session.job(queueing_lock="q")
    silence(session, worker, 0)
    assert reclaim(session, worker) == {job}
    assert session.row(job, "status::text", "queueing_lock") == ("todo", None)


def test_an_aborted_stray_is_kept_as_long_as_others(session, worker):
    job = session.job()
    session.fetch(worker)
    session.rows("update procrastinate_jobs set abort_requested = true")
    silence(session, worker, 0)
    assert reclaim(session, worker, keep=60.0) == {job}
    assert session.row(job, "status::text", "qt_expires_at between now() and now() + interval '61 s'") == (
        "aborted",
        True,
    )


def test_what_is_in_hand_or_was_fetched_a_moment_ago_is_no_stray(session, worker):
    held = session.job()
    session.fetch(worker)
    silence(session, worker, 0)
    session.job()
    session.fetch(worker)
    assert reclaim(session, worker, in_hand=[held]) == set()


def test_the_living_keep_their_jobs(session, worker):
    session.job()
    session.fetch(worker)
    silence(session, worker, 29)
    assert rescue(session) == {}, "silent, but it never held a lock: only the longer time counts"
    session.connection.execute(statements.HOLD_LOCK, {"worker_id": worker})
    assert rescue(session) == {}, "its lock is held"
    session.rows("select pg_advisory_unlock(queue_tasks_worker_lock_v1(%s))", worker)
    assert list(rescue(session).values()) == ["todo"]


def beat(session, worker, *, busy):
    parameters = {"worker_id": worker, "busy": busy, "memory": None, "dead_after": 30.0, "silent_after": 3.0}
    return session.connection.execute(statements.HEARTBEAT, parameters).fetchone()


def lose_lock(session, worker):
    session.connection.execute(statements.HOLD_LOCK, {"worker_id": worker})
    session.rows("select pg_advisory_unlock(queue_tasks_worker_lock_v1(%s))", worker)


def test_one_that_had_nothing_to_do_may_be_silent_for_twice_as_long(session, worker):
    lose_lock(session, worker)
    silence(session, worker, 5)
    rescue(session)
    assert session.column("select id from procrastinate_workers") == [worker]
    beat(session, worker, busy=True)
    silence(session, worker, 5)
    rescue(session)
    assert session.column("select id from procrastinate_workers") == []


def test_a_fetch_is_a_sign_of_life_of_one_that_had_nothing_to_do(session, worker):
    lose_lock(session, worker)
    session.job()
    silence(session, worker, 7)
    session.fetch(worker)
    assert rescue(session) == {}
    session.rows("update procrastinate_jobs set qt_attempted_at = qt_attempted_at - interval '4 s'")
    assert list(rescue(session).values()) == ["todo"]


def test_of_one_that_said_it_is_busy_only_the_heartbeat_counts(session, worker):
    lose_lock(session, worker)
    beat(session, worker, busy=True)
    silence(session, worker, 4)
    session.job()
    session.fetch(worker)
    assert list(rescue(session).values()) == ["todo"]


def test_a_heartbeat_sees_that_another_has_taken_a_job_and_since_when_it_is_silent(session, worker):
    other = session.worker()
    assert beat(session, other, busy=False) == (0, False, None)
    session.connection.execute(statements.HOLD_LOCK, {"worker_id": worker})
    session.rows("update procrastinate_workers set last_heartbeat = clock_timestamp() - interval '4 s'")
    assert beat(session, other, busy=False) == (0, False, None), "it has none, and is not late"
    session.job()
    session.fetch(worker)
    silent, running, _ = beat(session, other, busy=False)
    assert (round(silent), running) == (0, True)
    session.rows("update procrastinate_jobs set qt_attempted_at = clock_timestamp() - interval '1 minute'")
    silent, running, _ = beat(session, other, busy=False)
    assert (round(silent), running) == (4, True)


def test_a_crash_is_counted_and_spends_no_attempt(session, worker):
    job = session.job()
    session.fetch(worker)
    silence(session, worker)
    rescue(session)
    assert session.row(job, "qt_crashes", "attempts", "worker_id") == (1, 0, None)


def test_the_crash_that_is_too_many_fails_the_job_and_says_so(session):
    job = session.job()
    for _ in range(3):
        worker = session.worker()
        (fetched,) = session.fetch(worker)
        session.connection.execute(statements.NOTE_START, {"worker_id": worker, "id": job, "lease": fetched.lease})
        silence(session, worker)
        rescue(session)
    assert session.row(job, "status::text", "qt_crashes", "qt_errors -> 0 ->> 'exception'") == (
        "failed",
        3,
        "queue_tasks.exceptions.WorkerCrashed",
    )
    # As the worker would have written it.
    task, place, found = session.row(job, "task_name", "qt_errors -> 0 ->> 'place'", "qt_errors -> 0 ->> 'fingerprint'")
    assert place == task
    assert found == fingerprint("queue_tasks.exceptions.WorkerCrashed", task)
