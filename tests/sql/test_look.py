"""look_around: one statement that beats, and sees whatever a worker that has nothing to do could find to do."""

import pytest

from queue_tasks import statements

KINDS = ("ready", "due", "ticks", "lost", "expired")


@pytest.fixture
def worker(session):
    return session.worker()


def look(session, worker, queues=None):
    """What it finds, by name."""
    parameters = {"worker_id": worker, "queues": queues, "memory": 7, "dead_after": 30.0, "silent_after": 3.0}
    ((_, _, _, *found, used),) = session.connection.execute(statements.LOOK_AROUND, parameters).fetchall()
    assert 0 <= used <= 1
    return {kind for kind, is_there in zip(KINDS, found, strict=True) if is_there}


def test_it_is_a_sign_of_life_of_one_that_has_nothing_to_do(session, worker):
    session.rows("update procrastinate_workers set last_heartbeat = now() - interval '1 hour', qt_busy = true")
    assert look(session, worker) == set()
    ((age, busy, memory),) = session.rows(
        "select clock_timestamp() - last_heartbeat < interval '1 minute', qt_busy, qt_memory from procrastinate_workers"
    )
    assert (age, busy, memory) == (True, False, 7)


def test_one_that_is_not_registered_learns_nothing(session, worker):
    parameters = {"worker_id": worker + 1, "queues": None, "memory": None, "dead_after": 30.0, "silent_after": 3.0}
    assert session.connection.execute(statements.LOOK_AROUND, parameters).fetchall() == []


@pytest.mark.parametrize("lock", [None, "l"])
def test_it_sees_what_is_ready_in_its_queues(session, worker, lock):
    session.job(queue_name="a", lock=lock)
    assert look(session, worker) == look(session, worker, ["b", "a"]) == {"ready"}
    assert look(session, worker, ["b"]) == set()
    session.fetch(session.worker())
    assert look(session, worker) == set()


def test_it_sees_what_is_due(session, worker):
    job = session.job()
    for when, found in (
        ("now() + interval '1 hour'", set()),
        ("queue_tasks_parked_until_v1()", set()),
        ("now()", {"due"}),
    ):
        session.rows(f"update procrastinate_jobs set scheduled_at = {when} where id = %s", job)  # noqa: S608 - our own
        assert look(session, worker) == found


def test_it_sees_jobs_that_run_under_nobody_and_its_own(session, worker):
    session.job()
    session.fetch(worker)
    assert look(session, worker) == {"lost"}, "who looks around has nothing in hand"
    assert look(session, session.worker()) == set()
    session.rows("set session_replication_role = replica")
    session.rows("update procrastinate_jobs set worker_id = null")
    session.rows("set session_replication_role = origin")
    assert look(session, session.worker()) == {"lost"}


def test_it_sees_what_was_kept_long_enough(session, worker):
    job = session.job()
    session.rows("set session_replication_role = replica")
    session.rows("update procrastinate_jobs set status = 'succeeded', qt_expires_at = now() + interval '1 hour'")
    assert look(session, worker) == set()
    session.rows("update procrastinate_jobs set qt_expires_at = now() where id = %s", job)
    assert look(session, worker) == {"expired"}
    session.rows("set session_replication_role = origin")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("next_tick = null", {"ticks"}),
        ("next_tick = now()", {"ticks"}),
        ("next_tick = now() + interval '1 hour'", set()),
        ("next_tick = null, paused_at = now()", set()),
        ("next_tick = null, gone_at = now()", set()),
    ],
)
def test_it_sees_that_a_schedule_ticks(session, worker, columns, found):
    session.rows(
        "insert into queue_tasks_schedules (name, task_name, queue_name, args, every, timezone, missed, overlap) "
        "values ('s', 't', 'q', '{}', 60, 'UTC', 'skip', 'allow')"
    )
    session.rows(f"update queue_tasks_schedules set {columns}")  # noqa: S608 - our own
    assert look(session, worker) == found
