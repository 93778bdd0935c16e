"""Sessions that change overlapping sets of jobs all at once: Postgres finds not one deadlock."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable

import pytest

from queue_tasks import statements
from tests.sql.session import Job, Session
from tests.waiting import wait_until

STORM = "select from pg_stat_activity where application_name like 'storm %%' and datname = current_database()"
JOBS = 120
TURNS = 60
LIVING = 1

unused_leases = itertools.count(1_000_000)
"""Ids are used again here, as nowhere else: whoever has the lease of a job that is gone may not write its successor."""

Act = Callable[[Session, random.Random], object]


def some(chance: random.Random) -> list[int]:
    """Ids in any order."""
    return chance.sample(range(1, JOBS + 1), JOBS // 3)


def finish(session: Session, chance: random.Random) -> None:
    """What came of jobs of every kind, in the order in which they happened to end."""
    session.fetch(LIVING, None, JOBS)
    rows = session.rows("select id, qt_lease from procrastinate_jobs where worker_id = %s and status = 'doing'", LIVING)
    jobs = [Job(job, lease, "", 0, None) for job, lease in rows]
    chance.shuffle(jobs)
    outcomes = ["succeeded", "failed", "retried", "snoozed", "released", "aborted"]
    session.finish(
        LIVING,
        jobs,
        *(chance.choice(outcomes) for _ in jobs),
        keeps=[chance.choice([0.0, 60.0, None]) for _ in jobs],
    )


def fetch_and_die(session: Session, chance: random.Random) -> None:
    worker = session.value(
        "insert into procrastinate_workers (last_heartbeat) values (now() - interval '2 hours') returning id"
    )
    session.fetch(worker, None, JOBS // 4)
    session.connection.execute(
        statements.RESCUE_JOBS,
        {
            "dead_after": 3600.0,
            "silent_after": 3600.0,
            "max_crashes": 3,
            "keep": 0.0,
            "max_jobs": chance.randrange(1, JOBS),
        },
    )


def prune(session: Session, chance: random.Random) -> None:
    session.connection.execute(statements.PRUNE_JOBS, {"max_jobs": chance.randrange(1, 20)})
    # In the place of some that are gone, each in a transaction of its own, as jobs with a queueing lock are deferred.
    for job in chance.sample(range(1, JOBS + 1), 10):
        session.rows(
            """
            insert into procrastinate_jobs (id, queue_name, task_name, queueing_lock, qt_lease)
            values (%s, 'a', 't', 'q' || %s %% 40, %s) on conflict do nothing
            """,
            job,
            job,
            next(unused_leases),
        )


def cancel(session: Session, chance: random.Random) -> None:
    session.connection.execute(statements.CANCEL_JOBS, {"ids": some(chance), "keep": 0.0})


def abort(session: Session, chance: random.Random) -> None:
    session.connection.execute(statements.ABORT_JOBS, {"ids": some(chance), "keep": 0.0})


def retry(session: Session, chance: random.Random) -> None:
    session.connection.execute(statements.RETRY_JOBS, {"ids": some(chance), "wait": None, "args": None, "lock": None})


def note_progress(session: Session, chance: random.Random) -> None:
    ids = some(chance)
    leases = dict(session.rows("select id, qt_lease from procrastinate_jobs where id = any (%s)", ids))
    session.connection.execute(
        statements.PROGRESS_JOBS,
        {
            "worker_id": LIVING,
            "ids": ids,
            "leases": [leases.get(job) for job in ids],
            "progress": ['{"done": 1}'] * len(ids),
        },
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_eight_sessions_on_overlapping_sets(open_session, seed):
    setup = open_session("setup")
    assert setup.worker() == LIVING
    # Three twins to each queueing lock, and rows that do not lie in the order of their ids.
    setup.rows(
        """
        insert into procrastinate_jobs (id, queue_name, task_name, status, queueing_lock)
        select n, 'a', 't', 'failed', 'q' || n %% 40 from generate_series(1, %s) n order by hashint4(n + %s)
        """,
        JOBS,
        seed,
    )
    acts: list[Act] = [finish, finish, fetch_and_die, prune, cancel, abort, retry, note_progress]
    trouble: list[str] = []
    sessions: dict[int, str] = {}
    together = threading.Barrier(len(acts))

    def run(number: int, act: Act) -> None:
        session = Session(setup.url, f"storm {number}")
        # A deadlock names the sessions in it by these numbers.
        sessions[session.connection.info.backend_pid] = act.__name__
        chance = random.Random(seed * 100 + number)  # noqa: S311 - a plan of its own
        try:
            session.rows("set deadlock_timeout = '20ms'")
            together.wait()
            for _ in range(TURNS):
                act(session, chance)
        except Exception as exc:  # noqa: BLE001 - the main thread judges
            together.abort()
            trouble.append(f"{act.__name__}: {exc!r}")
        finally:
            session.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A session tells its statistics when it ends.
    wait_until(lambda: not setup.rows(STORM))
    assert trouble == [], sessions
    assert setup.value("select deadlocks from pg_stat_database where datname = current_database()") == 0
    assert setup.value("select count(*) from procrastinate_events where type = 'retried'") > 0
