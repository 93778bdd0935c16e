"""look_around: one statement that beats, and sees whatever a worker that has nothing to do could find to do."""

import pytest
from psycopg import sql

from queue_tasks import statements

KINDS = ("ready", "due", "ticks", "lost", "expired")


@pytest.fixture
def worker(session):
    return session.worker()


def sight(session, worker, queues=None):
    """All that it sees."""
    parameters = {"worker_id": worker, "queues": queues, "memory": 7, "dead_after": 30.0, "silent_after": 3.0}
    ((_, _, _, *found, next_due_at, used),) = session.connection.execute(statements.LOOK_AROUND, parameters).fetchall()
    assert 0 <= used <= 1
    return {kind for kind, is_there in zip(KINDS, found, strict=True) if is_there}, next_due_at


def look(session, worker, queues=None):
    """What it finds to do, by name."""
    return sight(session, worker, queues)[0]


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


def test_it_sees_when_the_next_is_due_that_is_not_due_yet_exactly_as_a_promoter_does(session, worker):
    assert sight(session, worker) == (set(), None)
    for when in ("queue_tasks_parked_until_v1()", "'infinity'"):
        session.job(scheduled_at=sql.SQL(when))
    assert sight(session, worker) == (set(), None)
    for when in ("'-infinity'", "now() - interval '1 s'"):
        session.job(scheduled_at=sql.SQL(when))
    assert sight(session, worker) == ({"due"}, None)
    for when in ("now() + interval '2 hours'", "now() + interval '1 hour'"):
        session.job(queue_name="another", scheduled_at=sql.SQL(when))
    assert sight(session, worker, ["default"])[1] == session.value(
        "select date_part('epoch', scheduled_at) from procrastinate_jobs order by id desc limit 1"
    )
    ((promoted, _, next_due_at, *_),) = session.connection.execute(statements.PROMOTE_JOBS, {"max_jobs": 10}).fetchall()
    assert promoted == 2
    assert sight(session, worker) == ({"ready"}, next_due_at)


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
