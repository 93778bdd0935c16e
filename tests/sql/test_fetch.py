"""queue_tasks_fetch_jobs_v1: which jobs, in which order, under which lease."""

import json

import psycopg
import pytest
from psycopg import sql

from tests.sql.session import Session


def test_a_fetched_job_runs_under_a_new_lease(session):
    worker = session.worker()
    job = session.job()
    (fetched,) = session.fetch(worker)
    assert fetched == (job, 1, "default", 0, None)
    assert session.row(job, "status::text", "worker_id", "attempts", "qt_lease") == ("doing", worker, 0, 1)
    assert session.row(job, "qt_started_at = statement_timestamp() or qt_started_at <= clock_timestamp()")
    assert session.events(job) == ["deferred", "started"]


def test_every_fetch_of_a_job_raises_its_lease(session):
    worker = session.worker()
    session.job()
    for lease in (1, 2, 3):
        fetched = session.fetch(worker)
        assert fetched[0].lease == lease
        session.finish(worker, fetched, "released")


def test_a_fetch_of_ephemeral_jobs_leaves_no_event(session):
    worker = session.worker()
    kept, ephemeral = session.job(), session.job(qt_ephemeral=True)
    assert [job.id for job in session.fetch(worker)] == [kept, ephemeral]
    assert session.events(kept) == ["deferred", "started"]
    assert session.events(ephemeral) == []


def test_only_a_fetch_is_let_past_the_triggers_and_not_what_comes_after_it(session):
    worker = session.worker()
    job = session.job()
    session.fetch(worker)
    session.rows("update procrastinate_jobs set status = 'failed'")
    assert session.events(job) == ["deferred", "started", "failed"]
    with pytest.raises(psycopg.errors.ForeignKeyViolation), session.connection.transaction():
        session.rows("insert into procrastinate_events (job_id, type) values (%s, 'failed')", job + 1)


def test_the_row_comes_as_the_worker_needs_it(session):
    worker = session.worker()
    session.job(
        task_name="some.task",
        args='{"a": 1}',
        queueing_lock="q",
        attempts=2,
        qt_errors='[{"exception": "x"}]',
        qt_meta='{"tags": []}',
        qt_ephemeral=True,
    )
    found = session.rows(
        "select task_name, queueing_lock, args, attempts, ephemeral, errors, meta, enqueued_at is not null, "
        "started_at = attempted_at from queue_tasks_fetch_jobs_v1(%s, null, 1)",
        worker,
    )
    assert found == [("some.task", "q", '{"a": 1}', 2, True, '[{"exception": "x"}]', '{"tags": []}', True, True)]


@pytest.mark.parametrize("queues", [None, ["default"], ["default", "other"]])
def test_the_highest_priority_comes_first_then_the_oldest(session, queues):
    worker = session.worker()
    low, first, second, high = (session.job(priority=priority) for priority in (-5, 0, 0, 7))
    assert [job.id for job in session.fetch(worker, queues)] == [high, first, second, low]


@pytest.mark.parametrize("queues", [None, ["default"]])
def test_no_more_than_asked_for(session, queues):
    worker = session.worker()
    session.jobs(5)
    assert len(session.fetch(worker, queues, 3)) == 3
    assert len(session.fetch(worker, queues, 3)) == 2
    assert session.fetch(worker, queues, 3) == []


def test_only_the_queues_asked_for(session):
    worker = session.worker()
    a, b, c = (session.job(queue_name=name) for name in "abc")
    assert [job.id for job in session.fetch(worker, ["b"])] == [b]
    assert [job.id for job in session.fetch(worker, ["a", "c", "a", "none"])] == [a, c]
    session.job(queue_name="d")
    assert session.fetch(worker, []) == []
    assert session.fetch(worker, ["a", "b", "c"]) == []


@pytest.mark.parametrize("queues", [None, ["q1", "q2", "q3", "q4"]])
@pytest.mark.parametrize("max_jobs", [1, 7, 100])
def test_many_queues_are_merged_by_priority_exactly(session, queues, max_jobs):
    worker = session.worker()
    session.jobs(
        40,
        queue_name=sql.SQL("'q' || (n % 4 + 1)"),
        priority=sql.SQL("(n * 7) % 5"),
        lock=sql.SQL("case when n % 3 = 0 then 'l' || n end"),
    )
    wanted = session.column("select id from procrastinate_jobs order by priority desc, id")
    taken = []
    while fetched := session.fetch(worker, queues, max_jobs):
        taken += [job.id for job in fetched]
    assert taken == wanted


@pytest.mark.parametrize(
    "columns",
    [
        {"scheduled_at": sql.SQL("now() + interval '1 hour'")},
        {"scheduled_at": sql.SQL("now() - interval '1 hour'")},
        {"scheduled_at": sql.SQL("queue_tasks_parked_until_v1()")},
        {"status": "doing"},
        {"status": "succeeded"},
        {"status": "failed"},
        {"status": "cancelled"},
        {"status": "aborted"},
    ],
    ids=["scheduled", "due but not promoted", "parked", "doing", "succeeded", "failed", "cancelled", "aborted"],
)
def test_what_is_not_ready_is_not_fetched(session, columns):
    worker = session.worker()
    session.job(**columns)
    session.job(lock="x", **columns)
    assert session.fetch(worker) == []
    assert session.fetch(worker, ["default"]) == []


def test_a_bad_number_of_jobs_is_refused(session):
    worker = session.worker()
    for max_jobs in (0, -1, None):
        with pytest.raises(psycopg.Error, match="expected 1 or more") as caught, session.connection.transaction():
            session.rows("select id from queue_tasks_fetch_jobs_v1(%s, null, %s)", worker, max_jobs)
        assert caught.value.sqlstate == "QT001"


def test_a_worker_that_is_not_registered_gets_nothing(session):
    job = session.job()
    with (
        pytest.raises(psycopg.Error, match="worker 12345 is not registered") as caught,
        session.connection.transaction(),
    ):
        session.fetch(12345)
    assert caught.value.sqlstate == "QT002"
    assert caught.value.diag.message_hint == "It was taken for dead and removed: register anew."
    assert session.row(job, "status::text") == "todo"


# --------------------------------------------------------------------------------------------------------------- locks


def test_never_two_jobs_of_one_lock(session):
    worker = session.worker()
    first = session.job(lock="a")
    session.job(lock="a")
    other = session.job(lock="b")
    fetched = session.fetch(worker)
    assert [job.id for job in fetched] == [first, other]
    assert session.fetch(worker) == []


def test_the_head_of_a_lock_comes_first_in_order(session):
    worker = session.worker()
    low, first, second, high = (session.job(lock="a", priority=priority) for priority in (-5, 0, 0, 7))
    taken = []
    while fetched := session.fetch(worker):
        taken += [job.id for job in fetched]
        session.finish(worker, fetched, "succeeded")
    assert taken == [high, first, second, low]


def test_a_job_waits_for_the_head_of_its_lock_in_another_queue(session):
    worker = session.worker()
    head = session.job(lock="a", queue_name="other")
    waiting = session.job(lock="a")
    assert session.fetch(worker, ["default"]) == []
    fetched = session.fetch(worker, ["other"])
    assert [job.id for job in fetched] == [head]
    assert session.fetch(worker, ["default"]) == []
    session.finish(worker, fetched, "succeeded")
    assert [job.id for job in session.fetch(worker, ["default"])] == [waiting]


def test_a_scheduled_job_does_not_hold_up_its_lock(session):
    worker = session.worker()
    session.job(lock="a", priority=9, scheduled_at=sql.SQL("now() + interval '1 hour'"))
    ready = session.job(lock="a")
    assert [job.id for job in session.fetch(worker)] == [ready]


@pytest.mark.parametrize("queues", [None, ["default"], ["default", "other"]])
def test_behind_5000_blocked_jobs_the_free_ones_are_found(session, queues):
    worker = session.worker()
    session.jobs(5000, lock="busy", priority=5)
    (head,) = session.fetch(worker, queues, 1)
    free = session.jobs(3, lock=sql.SQL("'free' || n"))
    plain = session.job()
    found = [job.id for job in session.fetch(worker, queues)] + [job.id for job in session.fetch(worker, queues)]
    assert found == [*free, plain]
    assert session.fetch(worker, queues) == []
    session.finish(worker, [head], "succeeded")
    assert [job.lock for job in session.fetch(worker, queues)] == ["busy"]


def test_locked_jobs_of_another_queue_do_not_hide_ours(session):
    worker = session.worker()
    session.jobs(3000, queue_name="other", lock=sql.SQL("'a' || n"), priority=5)
    ours = session.job(lock="z")
    assert [job.id for job in session.fetch(worker, ["default"])] == [ours]


def test_a_free_lock_is_found_behind_a_blocked_line_and_a_thousand_other_locks(session):
    worker = session.worker()
    session.jobs(300, lock="busy", priority=9)
    session.jobs(1500, queue_name="other", lock=sql.SQL("'a' || n"), priority=5)
    assert len(session.fetch(worker, ["default"], 1)) == 1
    ours = session.job(lock="z")
    assert [job.id for job in session.fetch(worker, ["default"], 1)] == [ours]


@pytest.mark.parametrize("free", ["a", "c", "e"])
def test_a_free_lock_is_found_before_between_and_behind_held_ones(session, free):
    worker = session.worker()
    session.jobs(4, lock=sql.SQL("case n % 2 when 0 then 'b' else 'd' end"))
    assert [job.lock for job in session.fetch(worker)] == ["d", "b"]
    assert not session.value("select queue_tasks_some_lock_free_v1()")
    assert session.fetch(worker) == []
    ours = session.job(lock=free)
    assert session.value("select queue_tasks_some_lock_free_v1()")
    assert [job.id for job in session.fetch(worker)] == [ours]


def test_of_very_many_held_locks_it_is_not_asked_whether_all_are(session):
    worker = session.worker()
    session.jobs(1000, lock=sql.SQL("'held' || n % 500"))
    assert len(session.fetch(worker, max_jobs=499)) == 499
    assert session.value("select queue_tasks_some_lock_free_v1()"), "one is"
    assert len(session.fetch(worker)) == 1
    assert session.value("select queue_tasks_some_lock_free_v1()"), "it would take too long to tell"
    assert session.fetch(worker) == []


def test_no_locked_job_starves_whatever_the_mixture(session):
    worker = session.worker()
    ids = session.jobs(
        400,
        queue_name=sql.SQL("'q' || n % 3"),
        priority=sql.SQL("(n * 13) % 7"),
        lock=sql.SQL("case when n % 5 > 0 then 'l' || n % 17 end"),
    )
    taken = []
    for turn in range(1000):
        fetched = session.fetch(worker, [None, ["q0", "q2"], ["q1"]][turn % 3], 1 + turn % 9)
        assert len({job.lock for job in fetched if job.lock}) == len([job for job in fetched if job.lock])
        taken += [job.id for job in fetched]
        session.finish(worker, fetched, "succeeded")
        if len(taken) == len(ids):
            break
    assert sorted(taken) == ids


# -------------------------------------------------------------------------------------------------------- two sessions


@pytest.mark.parametrize("queues", [None, ["default"], ["default", "other"]])
def test_two_fetches_at_once_share_without_waiting(open_session, queues):
    one, two = open_session("one"), open_session("two")
    first, second = one.worker(), two.worker()
    one.jobs(20, queue_name=sql.SQL("case when n % 2 = 0 then 'other' else 'default' end"))
    two.rows("set statement_timeout = '30s'")
    with one.connection.transaction(force_rollback=True):
        taken = one.fetch(first, queues, 4)
        shared = two.fetch(second, queues, 10)
        assert len(taken) == 4
        assert not {job.id for job in taken} & {job.id for job in shared}
        reachable = 10 if queues == ["default"] else 20
        assert len(shared) == min(10, reachable - 4)


def test_a_fetch_looks_past_what_others_hold_however_much(open_session):
    one, two = open_session("one"), open_session("two")
    first, second = one.worker(), two.worker()
    one.jobs(600, queue_name=sql.SQL("case when n % 2 = 0 then 'other' else 'default' end"))
    with one.connection.transaction(force_rollback=True):
        assert len(one.fetch(first, None, 590)) == 590
        assert len(two.fetch(second, None, 1)) == 1
        assert len(two.fetch(second, ["default", "other"], 100)) == 9


def test_a_lock_taken_at_the_same_moment_is_refused_by_the_database(open_session):
    one, two = open_session("one"), open_session("two")
    first, second = one.worker(), two.worker()
    session: Session = one
    session.job(lock="a", priority=1)
    with one.connection.transaction():
        assert len(one.fetch(first)) == 1
        # The second fetch does not see that the lock is held; it sees the head as somebody else's and leaves it.
        assert two.fetch(second) == []
    two.job(lock="a", priority=9)
    assert two.fetch(second) == []


def test_jobs_of_one_lock_never_overlap_when_the_line_changes_between(open_session):
    one, two = open_session("one"), open_session("two")
    first, second = one.worker(), two.worker()
    one.job(lock="a")
    with one.connection.transaction():
        (held,) = one.fetch(first)
        # A job that came later with a higher priority is the head for everybody who does not see the other run.
        two.job(lock="a", priority=9)
        two.rows("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.fetch(second)
    assert two.fetch(second) == []
    assert one.statuses()[held.id] == "doing"


def dead_rows_before(session, count):
    """Jobs that came and went in this transaction: their index entries are walked past by every look."""
    worker = session.worker()
    session.jobs(count)
    session.rows("select count(*) from queue_tasks_fetch_jobs_v1(%s, null, %s)", worker, count)
    session.rows("delete from procrastinate_jobs")
    return worker


def place(session):
    return session.value("select current_setting('queue_tasks.place', true)")


def test_a_look_that_walked_past_many_dead_rows_is_remembered_and_the_next_begin_there(session):
    worker = dead_rows_before(session, 20_000)
    ids = session.jobs(100)
    assert [job.id for job in session.fetch(worker, None, 10)] == ids[:10]
    assert str(ids[0]) in place(session)
    session.rows("select pg_stat_force_next_flush()")
    meter = "select pg_stat_get_xact_blocks_fetched('procrastinate_jobs'::regclass)"
    before = session.value(meter)
    assert [job.id for job in session.fetch(worker, ["default"], 10)] == ids[10:20]
    assert session.value(meter) - before < 200


def test_what_came_before_the_remembered_place_is_found_when_the_place_is_forgotten(session):
    worker = dead_rows_before(session, 20_000)
    ids = session.jobs(100)
    taken = session.fetch(worker, None, 10)
    session.fetch(worker, None, 5)
    session.finish(worker, taken[:1], "released")
    higher = session.job(priority=1)
    assert [job.id for job in session.fetch(worker, None, 5)] == [higher, *ids[15:19]]
    over = json.dumps({**json.loads(place(session)), "until": "2000-01-01"})
    session.rows("select set_config('queue_tasks.place', %s, false)", over)
    assert [job.id for job in session.fetch(worker, None, 5)] == [ids[0], *ids[19:23]]


def test_at_the_end_of_what_a_look_remembers_the_next_is_from_the_beginning(session):
    worker = dead_rows_before(session, 20_000)
    session.jobs(30)
    taken = session.fetch(worker, None, 10)
    session.finish(worker, taken, "released")
    other = session.job(queue_name="other")
    found = {job.id for job in session.fetch(worker, None, 40)}
    assert len(found) == 31
    assert found >= {job.id for job in taken} | {other}


def test_a_queue_asked_for_is_not_answered_from_another_s_place(session):
    worker = dead_rows_before(session, 20_000)
    session.jobs(30)
    session.fetch(worker, None, 10)
    other = session.job(queue_name="other")
    assert [job.id for job in session.fetch(worker, ["other"], 1)] == [other]


def test_an_ordinary_look_remembers_nothing(session):
    worker = session.worker()
    session.jobs(500)
    assert len(session.fetch(worker, None, 50)) == 50
    assert not place(session)


def test_the_first_of_many_queues_come_first_whatever_their_names(session):
    worker = session.worker()
    ids = session.jobs(120, queue_name=sql.SQL("'q' || (n * 7) % 60"), priority=sql.SQL("-(n / 40)"))
    taken = [job.id for _ in range(12) for job in session.fetch(worker, None, 10)]
    assert taken == ids


MANY = [f"q{n}" for n in range(12)]


@pytest.mark.parametrize("queues", [None, MANY], ids=["all", "named"])
@pytest.mark.parametrize("max_jobs", [1, 7, 40])
@pytest.mark.parametrize("in_front", [0, 300], ids=["free", "behind"])
def test_of_more_than_a_few_queues_what_may_start_comes_in_order(session, queues, max_jobs, in_front):
    """Among what may not: scheduled, behind a lock that is held, in a paused queue, in one that is not asked for."""
    worker = session.worker()
    session.job(queue_name="q1", lock="held", status="doing")
    session.jobs(in_front, queue_name="q1", scheduled_at=sql.SQL("now() + interval '1 day'"), priority=5)
    session.rows("insert into queue_tasks_queues (queue_name, paused_until) values ('q3', 'infinity')")
    session.jobs(
        120,
        queue_name=sql.SQL("'q' || n % 12"),
        priority=sql.SQL("(n * 7) % 5"),
        lock=sql.SQL("case when n % 10 = 0 then 'held' when n % 6 = 0 then 'own' || n end"),
        scheduled_at=sql.SQL("case when n % 7 = 0 then now() + interval '1 day' end"),
    )
    session.jobs(0 if queues is None else 10, queue_name="not asked for", priority=9)
    wanted = session.column(
        "select id from procrastinate_jobs where status = 'todo' and scheduled_at is null "
        "and lock is distinct from 'held' and queue_name not in ('q3', 'not asked for') order by priority desc, id"
    )
    taken = []
    while fetched := session.fetch(worker, queues, max_jobs):
        taken += [job.id for job in fetched]
    assert taken == wanted


def test_of_more_than_a_few_queues_one_with_a_limit_gives_no_more_than_that(session):
    worker = session.worker()
    session.rows("insert into queue_tasks_queues (queue_name, concurrency) values ('q1', 2)")
    session.jobs(120, queue_name=sql.SQL("'q' || n % 12"))
    fetched = session.fetch(worker, None, 60)
    assert len(fetched) == 60
    assert sum(job.queue_name == "q1" for job in fetched) == 2


def test_of_more_than_a_few_queues_only_the_first_of_a_lock_starts(session):
    worker = session.worker()
    ids = session.jobs(48, queue_name=sql.SQL("'q' || n % 12"), lock=sql.SQL("'l' || n / 4"))
    fetched = session.fetch(worker, None, 10)
    assert [job.id for job in fetched] == [ids[0], *ids[3:39:4]]


def test_a_fetch_looks_into_the_rest_of_many_queues_when_others_hold_the_first(open_session):
    one, other = open_session(), open_session()
    worker, another = one.worker(), other.worker()
    ids = one.jobs(30, queue_name=sql.SQL("'q' || n"))
    other.rows("begin")
    assert [job.id for job in other.fetch(another, None, 25)] == ids[:25]
    assert [job.id for job in one.fetch(worker, None, 5)] == ids[25:]
    other.rows("rollback")
    assert [job.id for job in one.fetch(worker, None, 30)] == ids[:25]
