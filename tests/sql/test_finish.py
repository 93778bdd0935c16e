"""queue_tasks_finish_jobs_v1: every outcome, under the fence."""

import json

import psycopg
import pytest
from psycopg import sql

ERROR = json.dumps({"exception": "ValueError", "message": "no", "traceback": "…"})


@pytest.fixture
def worker(session):
    return session.worker()


def test_succeeded(session, worker):
    session.job()
    fetched = session.fetch(worker)
    written = session.finish(worker, fetched, "succeeded", results='{"a": [1]}', started_ago=3, ended_ago=1, keeps=60)
    (job,) = (job.id for job in fetched)
    assert written == {job: "succeeded"}
    assert session.row(job, "status::text", "attempts", "worker_id", "qt_result", "qt_errors", "abort_requested") == (
        "succeeded",
        1,
        worker,
        {"a": [1]},
        None,
        False,
    )
    times = "statement_timestamp() - qt_started_at, qt_attempted_at = qt_started_at, qt_finished_at - qt_started_at"
    ago, same, took = session.row(job, *times.split(", "))
    assert 3 <= ago.total_seconds() < 60
    assert same
    assert took.total_seconds() == 2
    assert session.row(job, "extract(epoch from qt_expires_at - qt_finished_at)::float") == 61
    assert session.events(job) == ["deferred", "started", "succeeded"]


def test_kept_for_ever_unless_told_otherwise(session, worker):
    session.job()
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "succeeded")
    assert session.row(fetched[0].id, "qt_expires_at", "qt_result") == (None, None)


def test_failed_jobs_are_always_kept(session, worker):
    session.job()
    fetched = session.fetch(worker)
    assert session.finish(worker, fetched, "failed", errors=ERROR, started_ago=2, ended_ago=0, keeps=60) == {
        fetched[0].id: "failed"
    }
    status, attempts, expires, errors = session.row(
        fetched[0].id, "status::text", "attempts", "qt_expires_at", "qt_errors"
    )
    assert (status, attempts, expires) == ("failed", 1, None)
    (error,) = errors
    assert error["exception"] == "ValueError"
    assert error["started_at"] < error["finished_at"]
    assert session.events(fetched[0].id)[-1] == "failed"


def test_aborted(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    session.rows("update procrastinate_jobs set abort_requested = true")
    assert session.finish(worker, fetched, "aborted", errors=ERROR, keeps=60) == {job: "aborted"}
    assert session.row(
        job, "abort_requested", "attempts", "qt_expires_at is not null", "qt_finished_at is not null"
    ) == (
        False,
        1,
        True,
        True,
    )
    assert session.events(job)[-2:] == ["abort_requested", "aborted"]


def test_retried_at_once(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    assert session.finish(worker, fetched, "retried", errors=ERROR, waits=0) == {job: "todo"}
    assert session.row(job, "scheduled_at", "attempts", "qt_finished_at", "jsonb_array_length(qt_errors)") == (
        None,
        1,
        None,
        1,
    )
    assert session.events(job)[-1] == "deferred_for_retry"
    assert [again.id for again in session.fetch(worker)] == [job]


def test_retried_later_elsewhere(session, worker):
    job = session.job(lock="a")
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "retried", waits=90, priorities=5, queue_names="other", locks="b")
    found = session.row(
        job, "priority", "queue_name", "lock", "extract(epoch from scheduled_at - statement_timestamp())::int"
    )
    assert found[:3] == (5, "other", "b")
    assert 88 <= found[3] <= 90
    assert session.events(job)[-2:] == ["scheduled", "deferred_for_retry"]
    assert session.fetch(worker) == []


def test_the_first_start_stays_the_first(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "retried", started_ago=100, ended_ago=90)
    started = session.row(job, "qt_started_at")
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "succeeded", started_ago=10, ended_ago=5)
    assert session.row(job, "qt_started_at") == started
    assert session.row(job, "qt_attempted_at") > started


@pytest.mark.parametrize("outcome", ["snoozed", "released"])
def test_no_attempt_is_spent(session, worker, outcome):
    job = session.job()
    fetched = session.fetch(worker)
    assert session.finish(worker, fetched, outcome) == {job: "todo"}
    assert session.row(job, "attempts", "qt_finished_at", "scheduled_at") == (0, None, None)


def test_a_released_job_never_started(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "released")
    assert session.row(job, "worker_id", "qt_started_at") == (None, None)


def test_a_snoozed_job_comes_back_at_its_time(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "snoozed", waits=3600)
    assert session.fetch(worker) == []
    assert session.row(job, "scheduled_at > now() + interval '59 minutes'")


def test_a_time_to_come_back_at_goes_before_a_wait(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    until = session.value("select statement_timestamp() + interval '2 hours'")
    session.finish(worker, fetched, "snoozed", waits=60, untils=until)
    assert session.row(job, "scheduled_at") == until


def test_a_time_that_is_over_is_no_wait(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    session.finish(worker, fetched, "snoozed", waits=60, untils=session.value("select statement_timestamp()"))
    assert session.row(job, "scheduled_at") is None
    assert [again.id for again in session.fetch(worker)] == [job]


def test_an_ephemeral_job_is_gone_when_it_succeeds(session, worker):
    job = session.job(qt_ephemeral=True)
    fetched = session.fetch(worker)
    assert session.finish(worker, fetched, "succeeded", keeps=0.0) == {job: "succeeded"}
    assert session.statuses() == {}
    assert session.value("select count(*) from procrastinate_events") == 0


@pytest.mark.parametrize(("outcome", "status"), [("failed", "failed"), ("retried", "todo"), ("released", "todo")])
def test_an_ephemeral_job_stays_unless_it_succeeds(session, worker, outcome, status):
    job = session.job(qt_ephemeral=True)
    fetched = session.fetch(worker)
    assert session.finish(worker, fetched, outcome, keeps=0.0) == {job: status}
    assert session.statuses() == {job: status}
    assert session.events(job) == []


@pytest.mark.parametrize("outcome", ["retried", "snoozed", "released"])
def test_an_abort_asked_for_meanwhile_ends_what_would_come_back(session, worker, outcome):
    job = session.job()
    fetched = session.fetch(worker)
    session.rows("update procrastinate_jobs set abort_requested = true")
    assert session.finish(worker, fetched, outcome, waits=60, keeps=60) == {job: "aborted"}
    assert session.row(
        job, "abort_requested", "scheduled_at", "qt_finished_at is not null", "qt_expires_at is not null"
    ) == (False, None, True, True)


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_an_abort_that_came_too_late_changes_nothing(session, worker, outcome):
    job = session.job()
    fetched = session.fetch(worker)
    session.rows("update procrastinate_jobs set abort_requested = true")
    assert session.finish(worker, fetched, outcome) == {job: outcome}
    assert session.row(job, "abort_requested") is False


# ----------------------------------------------------------------------------------------------------------- the fence


@pytest.mark.parametrize("keep", [None, 0.0], ids=["kept", "vanishing"])
def test_only_the_holder_of_the_lease_may_write(session, worker, keep):
    other = session.worker()
    job = session.job()
    (old,) = session.fetch(worker)
    session.rows("update procrastinate_jobs set status = 'todo', worker_id = null")
    assert session.finish(worker, [old], "succeeded", keeps=keep) == {}
    (new,) = session.fetch(other)
    before = session.row(job, "procrastinate_jobs::text")
    for who, what in ((worker, old), (worker, new), (other, old)):
        assert session.finish(who, [what], "succeeded", keeps=keep) == {}
        assert session.row(job, "procrastinate_jobs::text") == before
    assert session.finish(other, [new], "succeeded", keeps=keep) == {job: "succeeded"}
    assert session.finish(other, [new], "failed", keeps=keep) == {}


def test_a_deleted_job_is_lost_and_the_others_are_written(session, worker):
    ids = session.jobs(3)
    fetched = session.fetch(worker)
    session.rows("delete from procrastinate_jobs where id = %s", ids[1])
    assert session.finish(worker, fetched, "succeeded") == {ids[0]: "succeeded", ids[2]: "succeeded"}


def test_many_outcomes_in_one_statement(session, worker):
    ids = session.jobs(6)
    outcomes = ["succeeded", "failed", "aborted", "retried", "snoozed", "released"]
    fetched = session.fetch(worker)
    statuses = ["succeeded", "failed", "aborted", "todo", "todo", "todo"]
    written = session.finish(worker, fetched[::-1], *outcomes[::-1], keeps=[None, 0.0, None, None, None, 0.0])
    assert written == dict(zip(ids, statuses, strict=True))
    assert session.statuses() == dict(zip(ids[1:], statuses[1:], strict=True))


def test_an_outcome_of_no_name_is_refused(session, worker):
    session.job()
    fetched = session.fetch(worker)
    written = session.finish(worker, fetched, "vanished")
    assert written == {fetched[0].id: "todo"}, "what is not known to end a job gives it back"


# ------------------------------------------------------------------------------------------------------ queueing locks


def test_a_twin_that_waits_has_the_queueing_lock_now(session, worker):
    job = session.job(queueing_lock="q")
    fetched = session.fetch(worker)
    twin = session.job(queueing_lock="q")
    assert session.finish(worker, fetched, "retried") == {job: "todo"}
    assert session.row(job, "queueing_lock") is None
    assert session.row(twin, "queueing_lock") == "q"


def test_twins_that_come_back_in_one_batch(session, worker):
    jobs = []
    for _ in range(3):
        session.job(queueing_lock="q")
        jobs += session.fetch(worker)
    assert len(jobs) == 3
    assert set(session.finish(worker, jobs, "retried").values()) == {"todo"}
    assert [session.row(job.id, "queueing_lock") for job in jobs] == ["q", None, None]


def test_a_job_that_ends_keeps_its_queueing_lock_for_the_record(session, worker):
    job = session.job(queueing_lock="q")
    fetched = session.fetch(worker)
    session.job(queueing_lock="q")
    session.finish(worker, fetched, "failed")
    assert session.row(job, "queueing_lock") == "q"


# -------------------------------------------------------------------------------------------------------------- errors


def test_the_newest_hundred_errors_are_kept(session, worker):
    job = session.job(qt_errors=sql.SQL("(select jsonb_agg(jsonb_build_object('n', i)) from generate_series(1, 99) i)"))
    for number in (100, 101, 102):
        fetched = session.fetch(worker)
        session.finish(worker, fetched, "retried", errors=json.dumps({"n": number}))
    errors = session.row(job, "qt_errors")
    assert [error["n"] for error in errors] == list(range(3, 103))


def test_what_is_not_json_fails_loudly_and_changes_nothing(session, worker):
    job = session.job()
    fetched = session.fetch(worker)
    for arrays in ({"results": "{"}, {"errors": "nope"}, {"results": '"\\u0000"'}):
        with pytest.raises(psycopg.DataError), session.connection.transaction():
            session.finish(worker, fetched, "succeeded", **arrays)
    assert session.row(job, "status::text") == "doing"


def test_rows_are_written_by_id_however_much_they_carry_and_however_little_memory_there_is(session):
    worker = session.worker()
    session.jobs(1000)
    fetched = session.fetch(worker, None, 1000)
    session.rows("create temporary table written (n integer generated always as identity, id bigint)")
    session.rows(
        """
        create function pg_temp.note() returns trigger language plpgsql as
        $$ begin insert into written (id) values (new.id); return new; end $$
        """
    )
    session.rows("create trigger note before update on procrastinate_jobs for each row execute function pg_temp.note()")
    session.rows("set local work_mem = '64kB'")
    session.finish(worker, fetched[::-1], "succeeded", results=f'"{"x" * 2000}"')
    assert session.column("select id from written order by n") == [job.id for job in fetched]
