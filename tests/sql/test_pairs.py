"""Every pair of statements, in two sessions at once, leaves each row as one order or the other would have left it.

Twice for each pair: the second comes while the first has not committed; and both come to rows that a third session
holds, so that they meet half way through. A deadlock or an error of either fails the test. The rows lie in the table in
the opposite order of their ids, so that a statement that locks them as it finds them does not lock them by id.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import psycopg
import pytest

from queue_tasks import statements
from tests import postgres
from tests.sql.session import Job, Session
from tests.waiting import wait_until

LIVING, DEAD = 1, 2
RUNNING, READY, SCHEDULED, FINISHED, STRANDED = (list(range(n, n + 4)) for n in (1, 5, 9, 13, 17))
ALL = [*RUNNING, *READY, *SCHEDULED, *FINISHED, *STRANDED]

WORLD = """
set session_replication_role = replica;
delete from procrastinate_events;
delete from procrastinate_jobs;
delete from procrastinate_workers;
alter sequence procrastinate_workers_id_seq restart;
select setval('procrastinate_jobs_id_seq', 20);
insert into procrastinate_workers (last_heartbeat) values (now()), (now() - interval '1 hour');
insert into procrastinate_jobs
    (id, queue_name, task_name, status, worker_id, qt_lease, lock, queueing_lock, scheduled_at, qt_attempted_at,
    qt_expires_at)
select
    n, 'a', 't',
    (array['doing', 'todo', 'todo', 'succeeded', 'doing'])[1 + (n - 1) / 4]::procrastinate_job_status,
    (array[1, null, null, 1, 2])[1 + (n - 1) / 4],
    (array[1, 0, 0, 1, 1])[1 + (n - 1) / 4],
    case n when 1 then 'l1' when 5 then 'l1' when 6 then 'l2' when 17 then 'l2' end,
    case when n in (2, 6) then 'q1' when n in (3, 18) then 'q2' end,
    case when n between 9 and 12 then now() - interval '1 minute' end,
    case when n <= 4 or n >= 13 then now() - interval '1 minute' end,
    case when n between 13 and 16 then now() - interval '1 minute' end
from generate_series(1, 20) n
order by n desc;
set session_replication_role = origin;
"""

# Not the queueing lock: a job that comes back while its twin is being cancelled waits without it, and that is right.
STATE = """
select j.id, j.status::text, j.worker_id, j.attempts, j.qt_lease, j.qt_crashes, j.abort_requested,
    j.scheduled_at is not null, j.qt_meta::text,
    (select array_agg(e.type::text order by e.id) from procrastinate_events e where e.job_id = j.id)
from procrastinate_jobs j order by j.id
"""

Rows = dict[str, tuple[Any, ...]]
Act = Callable[[Session], object]


def sends(statement: Any, **parameters: Any) -> Act:
    return lambda session: session.connection.execute(statement, parameters)


def fetches(session: Session) -> None:
    try:
        session.fetch(LIVING, None, 100)
    except psycopg.Error as exc:
        # Not registered any more, before the fetch or during it; the worker registers anew.
        if exc.sqlstate not in {"QT002", "23503"}:
            raise


def deletes(session: Session) -> None:
    """As the documentation tells users to."""
    session.rows(
        """
        with held as materialized (
            select id from procrastinate_jobs where id = any (%s) order by id for update
        )
        delete from procrastinate_jobs where id = any (array(select id from held))
        """,
        DOWN,
    )


def finishes(*outcomes: str, worker: int = LIVING, **arrays: Any) -> Act:
    # In the order in which they happened to end, not that of their ids.
    handles = [Job(number, 1, "a", 0, None) for number in reversed(RUNNING if worker == LIVING else STRANDED)]
    return lambda session: session.finish(worker, handles, *outcomes, **arrays)


DOWN = list(reversed(ALL))
ACTS: dict[str, Act] = {
    "enqueue": sends(
        statements.ENQUEUE_JOBS,
        queue_names=["a", "a"],
        task_names=["t", "t"],
        priorities=[5, 0],
        run_afters=[None] * 2,
        ephemerals=[False] * 2,
        tasks="1\n2",
        args="{}\n{}",
        locks=["l1", "l3"],
        trace=None,
    ),
    "fetch": fetches,
    "finish": finishes("succeeded"),
    "vanish": finishes("succeeded", keeps=0.0),
    "vanish or stay": finishes("succeeded", keeps=[None, 0.0, 0.0, None]),
    "fail": finishes("failed"),
    "finish after all": finishes("succeeded", worker=DEAD),
    "bring back": finishes("retried", "snoozed", "released", "retried", waits=[60.0, 0.0, 0.0, 0.0]),
    "progress": sends(
        statements.PROGRESS_JOBS, worker_id=LIVING, ids=RUNNING[::-1], leases=[1] * 4, progress=['{"done": 1}'] * 4
    ),
    "note a start": sends(statements.NOTE_START, worker_id=LIVING, id=2, lease=1),
    "heartbeat": sends(statements.HEARTBEAT, worker_id=DEAD, busy=True, memory=1, dead_after=30.0, silent_after=3.0),
    "look around": sends(
        statements.LOOK_AROUND, worker_id=DEAD, queues=None, memory=1, dead_after=30.0, silent_after=3.0
    ),
    "hold the lock": sends(statements.HOLD_LOCK, worker_id=LIVING),
    "register": sends(
        statements.REGISTER_WORKER, name="w", host="h", pid=1, version="1", queues=None, concurrency=1, told=None
    ),
    "unregister": sends(statements.UNREGISTER_WORKER, worker_id=LIVING),
    "rescue": sends(
        # Between the living one, that has just beaten, however slow the machine, and the dead one: half an hour.
        statements.RESCUE_JOBS,
        dead_after=1800.0,
        silent_after=1800.0,
        max_crashes=3,
        keep=60.0,
        max_jobs=100,
    ),
    "rescue all": sends(
        statements.RESCUE_JOBS, dead_after=-60.0, silent_after=-60.0, max_crashes=3, keep=60.0, max_jobs=100
    ),
    "reclaim": sends(statements.RECLAIM_JOBS, worker_id=LIVING, in_hand=[2], older_than=15.0, keep=60.0),
    "promote": sends(statements.PROMOTE_JOBS, max_jobs=100),
    "prune": sends(statements.PRUNE_JOBS, max_jobs=100),
    "cancel": sends(statements.CANCEL_JOBS, ids=DOWN, keep=60.0),
    "abort": sends(statements.ABORT_JOBS, ids=DOWN, keep=60.0),
    "retry": sends(statements.RETRY_JOBS, ids=DOWN, wait=None, args=None, lock=None),
    "postpone": sends(statements.RETRY_JOBS, ids=DOWN, wait=60.0, args=None, lock=None),
    "delete": sends(statements.DELETE_JOBS, ids=DOWN),
    "a user's delete": deletes,
}
LOOKS_AGAIN = ("rescue", "rescue all", "promote", "prune", "fetch")
"""What leaves alone the rows that others hold, and comes again."""


class Scene:
    """Three actors on one database, and somebody who watches them."""

    def __init__(self, url: str) -> None:
        self.one, self.two, self.third, self.watcher = (Session(url, f"tests.pairs {n}") for n in range(4))
        self.actors = (self.one, self.two, self.third)
        for session in self.actors:
            session.rows("set lock_timeout = '20s'")
            session.rows("set deadlock_timeout = '20ms'")
        # Of the statements alone, in this order.
        self.serial = functools.cache(self._serial)

    def close(self) -> None:
        for session in (*self.actors, self.watcher):
            session.close()

    def set_up(self) -> None:
        self.watcher.connection.execute(WORLD)
        for session in self.actors:
            session.rows("select pg_advisory_unlock_all()")

    def outcome(self, first: str, second: str) -> Rows:
        """What is in the tables when those that look again have done so."""
        for name in LOOKS_AGAIN:
            if name in {first, second}:
                ACTS[name](self.one)
        workers = self.watcher.rows("select id, now() - last_heartbeat < interval '1 hour' from procrastinate_workers")
        return {
            **{f"job {row[0]}": row for row in self.watcher.rows(STATE)},
            **{f"worker {row[0]}": row for row in workers},
        }

    def _serial(self, first: str, second: str) -> Rows:
        self.set_up()
        persist(ACTS[first], self.one)
        persist(ACTS[second], self.two)
        return self.outcome(first, second)

    def judge(self, first: str, second: str) -> None:
        """Compare with one after the other. Row by row: a statement leaves out what was not there when it began."""
        found = self.outcome(first, second)
        orders = [self.serial(first, second), self.serial(second, first)]
        for name in found.keys() | orders[0].keys() | orders[1].keys():
            assert found.get(name) in [order.get(name) for order in orders], f"{first} and {second}: {name}"

    def start(self, threads: ThreadPoolExecutor, session: Session, name: str) -> Future[object]:
        """Begin, and return when it is done or waits for a lock."""
        future = threads.submit(persist, ACTS[name], session)
        wait_until(
            lambda: wait([future], timeout=0.002).done or self.waits(session),
            message=f"{name} is neither done nor waits",
        )
        return future

    def waits(self, session: Session) -> bool:
        return bool(
            self.watcher.value(
                "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'",
                session.connection.info.backend_pid,
            )
        )


def persist(act: Act, session: Session) -> object:
    """As the worker does: 23505 means that another took a lock at this moment, and to look again."""
    try:
        return act(session)
    except psycopg.errors.UniqueViolation:
        return act(session)


@pytest.fixture(scope="module")
def scene(template_database: str) -> Iterator[Scene]:
    with postgres.database(f"{postgres.PREFIX}_pairs", template_database) as url:
        scene = Scene(url)
        yield scene
        scene.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("first", ACTS)
def test_any_other_may_come_before_it_has_committed(scene, threads, first):
    for second in ACTS:
        scene.set_up()
        with scene.one.connection.transaction():
            ACTS[first](scene.one)
            coming = scene.start(threads, scene.two, second)
        coming.result(30)
        scene.judge(first, second)


@pytest.mark.parametrize("first", ACTS)
def test_any_other_may_come_to_the_rows_it_waits_for(scene, threads, first):
    # Each pair once: it is the third that decides when they go on.
    for second in list(ACTS)[list(ACTS).index(first) :]:
        scene.set_up()
        with scene.third.connection.transaction():
            scene.third.rows("select from procrastinate_jobs where id in (2, 6, 10, 14, 18) for update")
            coming = [scene.start(threads, scene.one, first), scene.start(threads, scene.two, second)]
        for future in coming:
            future.result(30)
        scene.judge(first, second)
