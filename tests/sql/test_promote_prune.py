"""queue_tasks_promote_jobs_v1 and queue_tasks_prune_jobs_v1."""

import pytest
from psycopg import sql

AGO = sql.SQL("clock_timestamp() - make_interval(secs => n)")
AHEAD = sql.SQL("clock_timestamp() + interval '1 hour' + make_interval(secs => n)")
PARKED = sql.SQL("queue_tasks_parked_until_v1()")


def promote(session, max_jobs=100):
    return session.rows("select promoted, next_due_in from queue_tasks_promote_jobs_v1(%s)", max_jobs)[0]


def prune(session, max_jobs=100):
    return session.value("select queue_tasks_prune_jobs_v1(%s)", max_jobs)


def test_with_nothing_scheduled_nothing_is_due(session):
    session.job()
    session.job(scheduled_at=PARKED)
    assert promote(session) == (0, None)


def test_due_jobs_become_ready_and_the_next_is_told(session):
    due = session.jobs(3, scheduled_at=AGO)
    later = session.jobs(2, scheduled_at=AHEAD)
    parked = session.job(scheduled_at=PARKED)
    promoted, next_due_in = promote(session)
    assert promoted == 3
    assert 3590 < next_due_in <= 3601
    ready = session.column("select id from procrastinate_jobs where scheduled_at is null order by id")
    assert ready == due
    assert session.row(later[0], "scheduled_at > now()")
    assert session.row(parked, "scheduled_at = queue_tasks_parked_until_v1()")


def test_the_earliest_come_first_and_more_may_be_due(session):
    ids = session.jobs(3, scheduled_at=AGO)
    assert promote(session, 2) == (2, 0.0)
    assert session.column("select id from procrastinate_jobs where scheduled_at is not null") == [ids[0]]
    assert promote(session, 2) == (1, None)


def test_a_promoted_job_is_no_event_and_keeps_its_story(session):
    job = session.job(scheduled_at=AGO)
    promote(session)
    assert session.events(job) == ["scheduled", "deferred"]


def test_what_another_worker_is_promoting_is_not_waited_for(open_session):
    one, two = open_session("one"), open_session("two")
    one.jobs(3, scheduled_at=AGO)
    two.rows("set statement_timeout = '30s'")
    with one.connection.transaction(force_rollback=True):
        assert promote(one) == (3, None)
        assert promote(two) == (0, None)
    assert promote(two) == (3, None)


@pytest.mark.parametrize("status", ["succeeded", "cancelled", "aborted"])
def test_finished_jobs_whose_time_is_over_go_with_their_events(session, status):
    session.jobs(3, status=status, qt_expires_at=AGO)
    kept = [session.job(status=status, qt_expires_at=AHEAD), session.job(status=status)]
    session.rows("insert into procrastinate_events (job_id, type) select id, 'deferred' from procrastinate_jobs")
    assert prune(session) == 3
    assert list(session.statuses()) == kept
    assert session.column("select distinct job_id from procrastinate_events order by 1") == kept


@pytest.mark.parametrize("status", ["todo", "doing", "failed"])
def test_unfinished_and_failed_jobs_are_never_pruned(session, status):
    job = session.job(status=status, qt_expires_at=AGO)
    assert prune(session) == 0
    assert session.statuses() == {job: status}


def test_pruned_in_chunks_the_oldest_first(session):
    ids = session.jobs(5, status="succeeded", qt_expires_at=AGO)
    assert prune(session, 2) == 2
    assert list(session.statuses()) == ids[:3]
    assert prune(session, 2) == 2
    assert prune(session, 2) == 1
    assert prune(session, 2) == 0


def test_two_prunes_at_once_do_not_wait_for_each_other(open_session):
    one, two = open_session("one"), open_session("two")
    one.jobs(5, status="succeeded", qt_expires_at=AGO)
    two.rows("set statement_timeout = '30s'")
    with one.connection.transaction():
        assert prune(one, 2) == 2
        assert prune(two, 100) == 3
    assert one.statuses() == {}


def test_a_prune_in_the_midst_holds_up_neither_enqueue_nor_fetch_nor_finish(open_session):
    one, two = open_session("one"), open_session("two")
    one.jobs(500, status="succeeded", qt_expires_at=AGO)
    worker = two.worker()
    two.rows("set lock_timeout = '1ms'")
    with one.connection.transaction():
        assert prune(one, 500) == 500
        two.jobs(3)
        jobs = two.fetch(worker, max_jobs=3)
        assert len(jobs) == 3
        assert len(two.finish(worker, jobs, "succeeded")) == 3
    assert set(one.statuses().values()) == {"succeeded"}
