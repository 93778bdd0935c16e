"""What a stranger has written into a row fails that job at most: never a statement that concerns others too."""

from __future__ import annotations

import json

import pytest
from psycopg import sql

from tests.sql.session import Session

BIGGEST = 2**63 - 1


@pytest.fixture
def worker(session: Session) -> int:
    return session.worker()


@pytest.mark.parametrize("lease", [BIGGEST, BIGGEST - 1, -1])
def test_a_lease_at_the_end_of_the_numbers_is_followed_by_another(session: Session, worker: int, lease: int) -> None:
    job = session.job(qt_lease=lease)
    neighbour = session.job()
    fetched = session.fetch(worker)
    assert [found.id for found in fetched] == [job, neighbour]
    assert fetched[0].lease != lease
    assert session.finish(worker, fetched, "succeeded") == {job: "succeeded", neighbour: "succeeded"}


@pytest.mark.parametrize("when", ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "290000-01-01"])
def test_a_time_that_python_cannot_read_does_not_reach_it(session: Session, worker: int, when: str) -> None:
    session.job(qt_enqueued_at=when, qt_started_at=when)
    found = session.rows(
        "select enqueued_at, started_at = attempted_at from queue_tasks_fetch_jobs_v1(%s, null, 10)", worker
    )
    assert found == [(None, True)]


def test_attempts_at_the_end_of_the_numbers_stay_there(session: Session, worker: int) -> None:
    job = session.job(attempts=2**31 - 1)
    session.finish(worker, session.fetch(worker), "failed")
    assert session.row(job, "status::text", "attempts") == ("failed", 2**31 - 1)


@pytest.mark.parametrize("errors", ['{"exception": 1}', "1", '"text"', "null"])
def test_errors_that_are_no_list_give_way_to_one(session: Session, worker: int, errors: str) -> None:
    job = session.job(qt_errors=sql.SQL("{}::jsonb").format(errors))
    session.finish(worker, session.fetch(worker), "failed", errors=json.dumps({"n": 1}))
    assert [error["n"] for error in session.row(job, "qt_errors")] == [1]


@pytest.mark.parametrize("errors", ['{"exception": 1}', "1"])
def test_a_rescue_is_not_held_up_by_one_of_its_rows(session: Session, worker: int, errors: str) -> None:
    jobs = [
        session.job(qt_crashes=2**31 - 1, attempts=2**31 - 1, qt_errors=sql.SQL("{}::jsonb").format(errors)),
        session.job(),
    ]
    session.fetch(worker)
    session.rows("update procrastinate_jobs set qt_started_lease = qt_lease")
    session.rows("update procrastinate_workers set last_heartbeat = '-infinity'")
    session.rows("select * from queue_tasks_rescue_jobs_v1(30, 3, 3, null, 100)")
    assert session.statuses() == {jobs[0]: "failed", jobs[1]: "todo"}
    assert [error["attempt"] for error in session.row(jobs[0], "qt_errors")] == [2**31]
