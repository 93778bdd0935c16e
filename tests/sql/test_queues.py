"""What an operator decides about queues: a fetch takes nothing of a paused one, of a limited one what it lets run."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from queue_tasks import statements
from tests.sql.session import Job, Session
from tests.waiting import PATIENCE, wait_for_lock

EVERYWHERE = [None, ["default"], ["default", "other"]]


def pause(session: Session, name: str = "default", wait: float | None = None) -> None:
    parameters = {"name": name, "until": None, "wait": wait, "by": "ada"}
    assert session.connection.execute(statements.PAUSE_QUEUE, parameters).fetchall() == [(name,)]


def resume(session: Session, name: str = "default") -> bool:
    return bool(session.connection.execute(statements.RESUME_QUEUE, {"name": name}).fetchall())


def limit(session: Session, concurrency: int | None, name: str = "default") -> None:
    session.connection.execute(statements.LIMIT_QUEUE, {"name": name, "concurrency": concurrency, "by": "ada"})


def ids(jobs: list[Job]) -> list[int]:
    return [job.id for job in jobs]


# --------------------------------------------------------------------------------------------------------------- pauses


@pytest.mark.parametrize("queues", EVERYWHERE)
@pytest.mark.parametrize("lock", [None, "l"])
def test_nothing_is_fetched_of_a_paused_queue_until_it_is_resumed(session, queues, lock):
    worker = session.worker()
    pause(session)
    job = session.job(lock=lock)
    assert session.fetch(worker, queues) == []
    assert resume(session)
    assert not resume(session)
    assert ids(session.fetch(worker, queues)) == [job]


@pytest.mark.parametrize("queues", [None, ["default", "other"]])
def test_other_queues_go_on(session, queues):
    worker = session.worker()
    session.jobs(50, priority=9)
    session.jobs(50, priority=9, lock=sql.SQL("'l' || n"))
    others = [session.job(queue_name="other"), session.job(queue_name="other", lock="m")]
    pause(session)
    assert ids(session.fetch(worker, queues)) == others


def slow_down(session):
    """For this session a fetch waits, when the gates have been read and its jobs not, for whoever holds a lock."""
    session.rows("create schema slow")
    for name, parameters, result in [
        ("public.queue_tasks_ready_queues_v1", "text[], integer, text, integer, bigint", "text[]"),
        ("public.queue_tasks_ready_locked_queues_v1", "text[], text", "text[]"),
        # What is called between the two statements of a fetch that has but one queue to look into.
        ("pg_catalog.set_config", "text, text, boolean", "text"),
    ]:
        arguments = ", ".join(f"${n + 1}" for n in range(parameters.count(",") + 1))
        session.rows(
            f"""
            create function slow.{name.partition(".")[2]}({parameters}) returns {result}
                language plpgsql as $$
            begin
                perform pg_advisory_xact_lock(1);
                return {name}({arguments});
            end
            $$
            """
        )
    session.rows("set search_path = slow, pg_catalog, public")


SHUT = pytest.mark.parametrize("shut", [pause, lambda session: limit(session, 1)], ids=["pause", "limit"])


@SHUT
@pytest.mark.parametrize("lock", [None, "l"])
@pytest.mark.parametrize("queues", EVERYWHERE)
def test_a_fetch_that_began_before_a_queue_was_shut_takes_nothing_enqueued_after_that(open_session, queues, lock, shut):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    before = one.job(queue_name="other", lock=lock)
    slow_down(two)
    one.rows("select pg_advisory_lock(1)")
    with ThreadPoolExecutor(1) as aside:
        fetching = aside.submit(two.fetch, worker, queues)
        wait_for_lock(two.url, two.name)
        shut(one)
        after = one.job(lock=lock and "m")
        one.rows("select pg_advisory_unlock(1)")
        taken = ids(fetching.result(PATIENCE))
    assert taken == ([before] if queues != ["default"] else [])
    resume(one)
    assert ids(one.fetch(worker, queues)) == [after]


@SHUT
def test_the_only_queue_that_is_shut_between_the_look_at_it_and_the_taking_gives_nothing(open_session, shut):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    before = one.job()
    slow_down(two)
    one.rows("select pg_advisory_lock(1)")
    with ThreadPoolExecutor(1) as aside:
        fetching = aside.submit(two.fetch, worker)
        wait_for_lock(two.url, two.name)
        shut(one)
        one.job()
        one.rows("select pg_advisory_unlock(1)")
        assert fetching.result(PATIENCE) == []
    resume(one)
    assert ids(one.fetch(worker))[:1] == [before]


def test_a_pause_ends_by_itself_at_its_time(session):
    worker = session.worker()
    job = session.job()
    pause(session, wait=3600)
    assert session.fetch(worker) == []
    found = session.connection.execute(statements.PROMOTE_JOBS, {"max_jobs": 1}).fetchall()[0]
    assert 3590 < found[3] <= 3600
    assert found[4] == session.value("select extract(epoch from paused_until)::float from queue_tasks_queues")
    session.rows("update queue_tasks_queues set paused_until = clock_timestamp()")
    assert ids(session.fetch(worker)) == [job]
    assert session.connection.execute(statements.PROMOTE_JOBS, {"max_jobs": 1}).fetchall() == [
        (0, None, None, None, None)
    ]
    assert not resume(session), "it was over"


def test_a_pause_for_good_has_no_end_to_wake_for(session):
    pause(session)
    assert session.connection.execute(statements.PROMOTE_JOBS, {"max_jobs": 1}).fetchall() == [
        (0, None, None, None, None)
    ]


def test_a_time_that_is_past_pauses_nothing(session):
    given = {"name": "default", "until": None, "wait": 0.0, "by": None}
    assert session.connection.execute(statements.PAUSE_QUEUE, given).fetchall() == []
    assert session.rows("select from queue_tasks_queues") == []


def test_a_job_behind_one_of_its_lock_in_a_paused_queue_waits_too(session):
    """Jobs of one lock start in order, whatever their queues."""
    worker = session.worker()
    first = session.job(lock="l")
    second = session.job(lock="l", queue_name="other")
    pause(session)
    assert session.fetch(worker) == []
    resume(session)
    fetched = session.fetch(worker)
    assert ids(fetched) == [first]
    session.finish(worker, fetched, "succeeded")
    assert ids(session.fetch(worker)) == [second]


def test_a_place_that_a_costly_look_remembered_is_not_gone_back_to(session):
    worker = session.worker()
    jobs = session.jobs(5)
    session.rows(
        "select set_config('queue_tasks.place', jsonb_build_object('until', clock_timestamp() + interval '1 hour', "
        "'queue', 'default', 'priority', 0, 'id', %s::bigint, 'newest', %s::bigint)::text, true)",
        jobs[2],
        jobs[4],
    )
    assert ids(session.fetch(worker, None, 1)) == jobs[2:3], "it would"
    limit(session, 3)
    assert ids(session.fetch(worker, None, 1)) == jobs[:1]
    pause(session)
    assert session.fetch(worker, None, 1) == []


# --------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("queues", EVERYWHERE)
@pytest.mark.parametrize("lock", [None, sql.SQL("'l' || n")], ids=["plain", "locked"])
def test_no_more_run_than_the_limit_lets(session, queues, lock):
    one, two = session.worker(), session.worker()
    limit(session, 3)
    jobs = session.jobs(6, lock=lock)
    first = session.fetch(one, queues, 2)
    second = session.fetch(two, queues, 2)
    assert ids(first + second) == jobs[:3]
    assert session.fetch(one, queues) == session.fetch(two, queues) == []
    session.finish(one, first, "succeeded", "retried")
    assert ids(session.fetch(two, queues)) == [jobs[1], jobs[3]], "the share of two is free; the first came back"


def test_the_first_by_priority_come_whether_or_not_they_have_a_lock(session):
    worker = session.worker()
    limit(session, 4)
    plain = [session.job(priority=priority) for priority in (1, 5, 3)]
    locked = [session.job(priority=priority, lock=f"l{priority}") for priority in (4, 2, 6)]
    assert ids(session.fetch(worker)) == [locked[2], plain[1], locked[0], plain[2]]


@pytest.mark.parametrize("queues", [None, ["other", "default", "third"]])
def test_the_rest_of_the_slots_is_for_other_queues(session, queues):
    worker = session.worker()
    limit(session, 2)
    limit(session, 1, "third")
    high = session.jobs(20, priority=9)
    third = session.jobs(3, priority=5, queue_name="third")
    low = session.jobs(20, queue_name="other")
    assert ids(session.fetch(worker, queues, 6)) == [*high[:2], third[0], *low[:3]]
    assert ids(session.fetch(worker, queues, 4)) == low[3:7]


def test_a_job_that_somebody_holds_is_not_in_the_way_of_the_others(open_session):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    limit(one, 1)
    jobs = one.jobs(3)
    locked = one.jobs(2, lock=sql.SQL("'l' || n"), priority=1)
    with two.connection.transaction():
        two.rows("select from procrastinate_jobs where id = any (%s) for update", [locked[0], jobs[0]])
        fetched = one.fetch(worker)
        assert ids(fetched) == [locked[1]]
        one.finish(worker, fetched, "succeeded")
        assert ids(one.fetch(worker)) == [jobs[1]]


def test_a_limit_that_is_taken_away_or_below_what_runs(session):
    worker = session.worker()
    jobs = session.jobs(6)
    fetched = session.fetch(worker, None, 3)
    limit(session, 1)
    assert session.fetch(worker) == []
    session.finish(worker, fetched[:2], "succeeded")
    assert session.fetch(worker) == [], "one runs still"
    limit(session, None)
    assert ids(session.fetch(worker)) == jobs[3:]


def test_a_job_says_that_its_queue_has_a_limit(session):
    worker = session.worker()
    limit(session, 1)
    session.job()
    session.job(queue_name="other")
    found = session.rows("select queue_name, limited from queue_tasks_fetch_jobs_v1(%s, null, 5)", worker)
    assert found == [("default", True), ("other", False)]


def test_the_jobs_of_a_dead_worker_count_until_they_are_taken_back(session):
    one, two = session.worker(), session.worker()
    limit(session, 1)
    jobs = session.jobs(2)
    session.fetch(one)
    session.rows("update procrastinate_workers set last_heartbeat = now() - interval '1 hour' where id = %s", one)
    assert session.fetch(two) == []
    session.rows("select from queue_tasks_rescue_jobs_v1(30, 3, 3, null, 10)")
    assert ids(session.fetch(two)) == jobs[:1]


def test_a_running_job_that_names_no_worker_counts(session):
    worker = session.worker()
    limit(session, 1)
    session.jobs(2)
    session.fetch(worker)
    session.rows("delete from procrastinate_workers where id = %s", worker)
    assert session.fetch(session.worker()) == []


# --------------------------------------------------------------------------------------------------- several at a time


def test_a_fetch_that_meets_another_takes_nothing_on_its_account(open_session):
    """While the first has not committed, its jobs cannot be counted; so nobody may count."""
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    limit(one, 2)
    jobs = one.jobs(3)
    others = one.jobs(2, queue_name="other")
    with one.connection.transaction():
        assert ids(one.fetch(worker, None, 1)) == jobs[:1]
        assert ids(two.fetch(worker)) == others, "it does not wait for longer than a moment, and others go on"
    assert ids(two.fetch(worker)) == jobs[1:2]


def test_a_fetch_waits_for_another_a_moment_and_counts_its_jobs(open_session):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    limit(one, 2)
    jobs = one.jobs(3)
    # The moment is the function's own; here it is long.
    body = one.value("select pg_get_functiondef('queue_tasks_hold_limits_v1'::regproc)")
    one.rows(body.replace("'100ms'", "'60s'"))
    with ThreadPoolExecutor(1) as aside:
        with one.connection.transaction():
            assert ids(one.fetch(worker, None, 1)) == jobs[:1]
            waiting = aside.submit(two.fetch, worker)
            wait_for_lock(two.url, "two")
        assert ids(waiting.result(PATIENCE)) == jobs[1:2]


def test_a_pause_waits_for_a_fetch_that_counts_and_then_holds(open_session):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    limit(one, 5)
    jobs = one.jobs(2)
    with ThreadPoolExecutor(1) as aside:
        with one.connection.transaction():
            assert ids(one.fetch(worker, None, 1)) == jobs[:1]
            pausing = aside.submit(pause, two)
            wait_for_lock(two.url, "two")
        pausing.result(PATIENCE)
    assert one.fetch(worker) == []


def test_a_fetch_that_meets_a_pause_does_not_take_from_it(open_session):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    limit(one, 5)
    one.jobs(2)
    body = one.value("select pg_get_functiondef('queue_tasks_hold_limits_v1'::regproc)")
    one.rows(body.replace("'100ms'", "'60s'"))
    with ThreadPoolExecutor(1) as aside:
        with one.connection.transaction():
            pause(one)
            waiting = aside.submit(two.fetch, worker)
            wait_for_lock(two.url, "two")
        assert waiting.result(PATIENCE) == []


def test_many_that_fetch_and_finish_at_once_never_pass_the_limit(open_session):
    """What is committed is what counts, at every moment that anybody looks."""
    count, limits = 240, {"a": 3, "b": 1}
    sessions = [open_session(f"fetch {n}") for n in range(4)]
    first = sessions[0]
    workers = [first.worker() for _ in sessions]
    for name, number in limits.items():
        limit(first, number, name)
    first.jobs(
        count, queue_name=sql.SQL("case n % 3 when 0 then 'b' else 'a' end"), lock=sql.SQL("nullif('l' || n % 5, 'l0')")
    )
    counted = "select queue_name::text, count(*) from procrastinate_jobs where status = 'doing' group by 1"
    left = "select count(*) from procrastinate_jobs where status <> 'succeeded'"

    def work(session: Session, worker: int) -> int:
        most = 0
        while session.value(left):
            try:
                fetched = session.fetch(worker, None, 4)
            except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
                continue  # of one lock, as the store tries again
            running = dict(session.rows(counted))
            assert all(number <= limits[name] for name, number in running.items()), running
            most = max(most, running.get("a", 0))
            session.finish(worker, fetched, "succeeded")
        return most

    with ThreadPoolExecutor(len(sessions)) as threads:
        most = list(threads.map(work, sessions, workers))
    assert max(most) == limits["a"], "nor was it held further below"


# ------------------------------------------------------------------------------------------------------------- wake-ups


def test_workers_are_told_what_an_operator_decides(open_session):
    ear, session = open_session("ear"), open_session()
    heard = ear.listen("queue_tasks_control")
    for act in (pause, resume, lambda of: limit(of, 1), lambda of: limit(of, None)):
        act(session)
        assert heard() == [("queue_tasks_control", "")]


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "snoozed"])
@pytest.mark.parametrize("keeps", [None, 0.0])
def test_the_end_of_a_job_wakes_a_queue_that_has_a_limit(open_session, outcome, keeps):
    session, ear = open_session(), open_session("ear")
    worker = session.worker()
    heard = ear.listen("procrastinate_queue_v1#default", "procrastinate_queue_v1#other")
    limit(session, 1)
    jobs = [session.job(), session.job(queue_name="other")]
    fetched = session.fetch(worker)
    assert ids(fetched) == jobs
    heard()
    session.finish(worker, fetched, outcome, keeps=keeps, waits=60.0 if outcome == "snoozed" else None)
    assert {channel for channel, _ in heard()} == {"procrastinate_queue_v1#default"}
