"""Whatever upstream's triggers and foreign keys did, ours do: one script on both, compared."""

import importlib.resources
from collections.abc import Iterator

import psycopg
import pytest

from tests import postgres
from tests.sql.session import Session

DEFER = (
    "insert into procrastinate_jobs (queue_name, task_name, lock, queueing_lock, scheduled_at, args) "
    "values ('q', 't', {lock}, {queueing_lock}, {scheduled_at}, '{{}}')"
)
FETCH = "select id from procrastinate_fetch_job_v2(null, 1)"
MAKE_DUE = "update procrastinate_jobs set scheduled_at = '2020-01-01 00:00:00+00'"
LATER = "'2099-01-01 00:00:00+00'"


def defer(lock="null", queueing_lock="null", scheduled_at="null"):
    return DEFER.format(lock=lock, queueing_lock=queueing_lock, scheduled_at=scheduled_at)


def finish(job, status, delete="false"):
    return f"select procrastinate_finish_job_v1({job}, '{status}', {delete})"


WORKER = "select procrastinate_register_worker_v1()"

SCRIPTS = {
    "plain": [WORKER, defer(), FETCH, finish(1, "succeeded")],
    "several in one statement": [
        (
            "select procrastinate_defer_jobs_v1(array["
            "row('q', 't', 0, null, null, '{}', null), row('q', 't', 1, 'l', 'ql', '{}', '2099-01-01 00:00+00')"
            "]::procrastinate_job_to_defer_v1[])"
        ),
    ],
    "failed": [WORKER, defer(), FETCH, finish(1, "failed")],
    "aborted": [WORKER, defer(), FETCH, "select procrastinate_cancel_job_v1(1, true, false)", finish(1, "aborted")],
    "deleted when it succeeds": [WORKER, defer(), FETCH, finish(1, "succeeded", "true")],
    "finished while it waits": [defer(), finish(1, "failed")],
    "succeeded while it waits": [defer(), finish(1, "succeeded")],
    "aborted while it waits": [defer(), finish(1, "aborted")],
    "cancelled": [defer(), "select procrastinate_cancel_job_v1(1, false, false)"],
    "cancelled and deleted": [defer(), "select procrastinate_cancel_job_v1(1, false, true)"],
    "aborted before it starts": [defer(), "select procrastinate_cancel_job_v1(1, true, false)"],
    "retried at once": [WORKER, defer(), FETCH, "select procrastinate_retry_job_v2(1, null, null, null, null)", FETCH],
    "retried later": [
        WORKER,
        defer(),
        FETCH,
        f"select procrastinate_retry_job_v2(1, {LATER}, 3, 'other', 'l')",
        MAKE_DUE,
        FETCH,
        finish(1, "succeeded"),
    ],
    "retried when its abort is asked for": [
        WORKER,
        defer(),
        FETCH,
        "select procrastinate_cancel_job_v1(1, true, false)",
        "select procrastinate_retry_job_v2(1, null, null, null, null)",
    ],
    "retried after it failed": [
        WORKER,
        defer(),
        FETCH,
        finish(1, "failed"),
        f"select procrastinate_retry_job_v2(1, {LATER}, null, null, null)",
    ],
    "scheduled": [WORKER, defer(scheduled_at=LATER), MAKE_DUE, FETCH],
    "locks": [
        WORKER,
        defer(lock="'a'"),
        defer(lock="'a'"),
        FETCH,
        FETCH,
        finish(1, "succeeded"),
        FETCH,
        finish(2, "failed"),
    ],
    "a queueing lock is taken": [defer(queueing_lock="'a'"), defer(queueing_lock="'a'")],
    "a queueing lock is free again": [WORKER, defer(queueing_lock="'a'"), FETCH, defer(queueing_lock="'a'")],
    "periodic": [
        "select procrastinate_defer_periodic_job_v2('q', null, null, 't', 0, 'p', 100, '{}')",
        "select procrastinate_defer_periodic_job_v2('q', null, null, 't', 0, 'p', 100, '{}')",
        "select procrastinate_defer_periodic_job_v2('q', null, null, 't', 0, 'p', 200, '{}')",
        "delete from procrastinate_jobs where id = 1",
        "delete from procrastinate_jobs",
    ],
    "deleted with its events": [defer(), defer(), "delete from procrastinate_jobs where id = 1"],
    "all deleted": [defer(), defer(), "delete from procrastinate_jobs"],
    "a worker of no name": [defer(), FETCH],
    "a job of no worker": [
        "insert into procrastinate_jobs (queue_name, task_name, worker_id) values ('q', 't', 99)",
    ],
    "a job moved to a worker that is not": [defer(), "update procrastinate_jobs set worker_id = 99"],
    "an event of no job": ["insert into procrastinate_events (job_id, type) values (99, 'started')"],
    "an event of a job": [defer(), "insert into procrastinate_events (job_id, type) values (1, 'started')"],
    "a periodic defer of no job": [
        "insert into procrastinate_periodic_defers (task_name, defer_timestamp, job_id) values ('t', 1, 99)",
    ],
    "a periodic defer moved to no job": [
        "select procrastinate_defer_periodic_job_v2('q', null, null, 't', 0, 'p', 100, '{}')",
        "update procrastinate_periodic_defers set job_id = 99",
    ],
    "a worker goes while its job runs": [WORKER, defer(), FETCH, "select procrastinate_unregister_worker_v1(1)"],
    "a dead worker goes": [
        WORKER,
        defer(),
        FETCH,
        "update procrastinate_workers set last_heartbeat = now() - interval '1 hour'",
        "select procrastinate_prune_stalled_workers_v1(30)",
    ],
    "a todo job asked to abort": [defer(), "update procrastinate_jobs set abort_requested = true"],
    "a job enqueued with the wish to abort it": [
        "insert into procrastinate_jobs (queue_name, task_name, abort_requested) values ('q', 't', true)",
    ],
    "of several enqueued one with the wish to abort it": [
        (
            "insert into procrastinate_jobs (queue_name, task_name, abort_requested) "
            "values ('q', 't', false), ('q', 't', true)"
        ),
    ],
    "put back into the line with the wish to abort it": [
        WORKER,
        *[defer()] * 2,
        FETCH,
        FETCH,
        "select procrastinate_cancel_job_v1(2, true, false)",
        "update procrastinate_jobs set status = 'todo'",
    ],
    "inserted as it was elsewhere": [
        "insert into procrastinate_jobs (queue_name, task_name, status, attempts) values ('q', 't', 'succeeded', 1)",
        (
            "insert into procrastinate_jobs (queue_name, task_name, status, scheduled_at) "
            "values ('q', 't', 'failed', '2099-01-01 00:00:00+00')"
        ),
    ],
    "many changes in one statement": [
        WORKER,
        *[defer()] * 4,
        FETCH,
        FETCH,
        (
            "update procrastinate_jobs set status = (array['succeeded', 'failed', 'cancelled', 'doing']"
            "::procrastinate_job_status[])[id]"
        ),
    ],
    "nothing to change": ["update procrastinate_jobs set status = 'doing'", "delete from procrastinate_jobs"],
}

LOOK = {
    # Where upstream writes the moment, only that it is a recent one is the same on both.
    "events": "select job_id, type::text, case when at > now() - interval '1 hour' and at < now() + interval '1 hour' "
    "then 'now' else at::text end from procrastinate_events order by job_id, id",
    "jobs": "select id, queue_name, priority, lock, queueing_lock, status::text, scheduled_at::text, attempts, "
    "abort_requested, worker_id from procrastinate_jobs order by id",
    "periodic": "select id, task_name, defer_timestamp, job_id, periodic_id "
    "from procrastinate_periodic_defers order by id",
    "workers": "select id from procrastinate_workers order by id",
}


@pytest.fixture(scope="module")
def pristine() -> Iterator[str]:
    """A database that has procrastinate's schema and never had ours."""
    schema = importlib.resources.files("procrastinate.sql").joinpath("schema.sql").read_text()
    with postgres.database(f"{postgres.PREFIX}_pristine") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(schema.encode())
        yield url


def play(url: str, script: list[str]) -> tuple[list[str], dict[str, list[tuple[object, ...]]]]:
    """Run a script in one transaction, which is rolled back; the refusals, and what is in the tables at the end."""
    session = Session(url, autocommit=False)
    try:
        session.rows("set timezone = 'UTC'")
        for table in ("jobs", "events", "workers", "periodic_defers"):
            session.rows(f"select setval(pg_get_serial_sequence('procrastinate_{table}', 'id'), 1, false)")
        refusals = []
        for statement in script:
            try:
                with session.connection.transaction():
                    session.rows(statement)
            except psycopg.Error as exc:
                refusals.append(f"{exc.sqlstate} from {statement}")
        return refusals, {name: session.rows(query) for name, query in LOOK.items()}
    finally:
        session.connection.rollback()
        session.close()


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_script_has_the_same_effect(name, pristine, dsn):
    assert play(dsn, SCRIPTS[name]) == play(pristine, SCRIPTS[name])


# ------------------------------------------------------------------------------------------ where we differ, on purpose


def test_a_finished_job_remembers_its_worker(pristine, dsn):
    """Upstream's key rewrote every job a worker had ever run when it stopped."""
    script = [WORKER, defer(), FETCH, finish(1, "succeeded"), "select procrastinate_unregister_worker_v1(1)"]
    _, ours = play(dsn, script)
    _, theirs = play(pristine, script)
    assert ours["jobs"][0][-1] == 1
    assert theirs["jobs"][0][-1] is None


def test_an_event_is_written_once(pristine, dsn):
    """Upstream repeats "scheduled" at every change of a job that waits, and "abort_requested" at every wish."""
    script = [
        defer(scheduled_at=LATER),
        "update procrastinate_jobs set priority = 5",
        defer(),
        "update procrastinate_jobs set scheduled_at = null where id = 1",
        FETCH,
    ]
    _, ours = play(dsn, script)
    _, theirs = play(pristine, script)
    assert [event[1] for event in ours["events"] if event[0] == 1] == ["scheduled", "deferred"]
    assert [event[1] for event in theirs["events"] if event[0] == 1] == ["scheduled", "deferred", "scheduled"]
    script = [
        WORKER,
        defer(),
        FETCH,
        "select procrastinate_cancel_job_v1(1, true, false)",
        "select procrastinate_cancel_job_v1(1, true, false)",
    ]
    assert [event[1] for event in play(dsn, script)[1]["events"]].count("abort_requested") == 1
    assert [event[1] for event in play(pristine, script)[1]["events"]].count("abort_requested") == 2


def test_retrying_what_did_not_fail_is_an_event_too(pristine, dsn):
    script = [
        defer(),
        "select procrastinate_cancel_job_v1(1, false, false)",
        "update procrastinate_jobs set status = 'todo'",
    ]
    assert [event[1] for event in play(dsn, script)[1]["events"]] == ["deferred", "cancelled", "retried"]
    assert [event[1] for event in play(pristine, script)[1]["events"]] == ["deferred", "cancelled"]


def test_a_parked_job_has_no_time_to_write_down(session):
    job = session.jobs(1, scheduled_at="9000-01-01 00:00:00+00")[0]
    assert session.events(job) == ["deferred"]
    session.rows("update procrastinate_jobs set scheduled_at = null")
    session.rows("update procrastinate_jobs set scheduled_at = queue_tasks_parked_until_v1()")
    assert session.events(job) == ["deferred"]


def test_an_ephemeral_job_leaves_no_events(session):
    worker = session.worker()
    session.job(qt_ephemeral=True, scheduled_at="2020-01-01 00:00:00+00")
    session.rows("update procrastinate_jobs set scheduled_at = null")
    fetched = session.fetch(worker)
    session.rows("update procrastinate_jobs set abort_requested = true")
    session.finish(worker, fetched, "failed")
    assert session.value("select count(*) from procrastinate_events") == 0


# -------------------------------------------------------------------------------------- foreign keys, in two sessions


def test_a_job_cannot_go_while_its_event_is_being_written(open_session):
    one, two = open_session("one"), open_session("two")
    job = one.job()
    with one.connection.transaction():
        one.rows("insert into procrastinate_events (job_id, type) values (%s, 'started')", job)
        two.rows("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.rows("delete from procrastinate_jobs")
    two.rows("delete from procrastinate_jobs")
    assert two.value("select count(*) from procrastinate_events") == 0


def test_a_worker_cannot_go_while_it_takes_a_job(open_session):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    job = one.job()
    with one.connection.transaction():
        one.fetch(worker)
        two.rows("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            two.rows("delete from procrastinate_workers")
    two.rows("delete from procrastinate_workers")
    assert two.row(job, "status::text", "worker_id") == ("doing", None)
