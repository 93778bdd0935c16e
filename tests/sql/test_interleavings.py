"""Two sessions at the same rows: the second waits or skips, and neither is a victim of a deadlock."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from queue_tasks import statements
from tests.sql.session import Job, Session
from tests.waiting import PATIENCE, wait_for_lock


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """A thread for the session that waits."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def start(aside: ThreadPoolExecutor, session: Session, act: Callable[[], object]) -> Future[object]:
    """Begin something that will wait for a lock, and return when it does."""
    session.rows("set lock_timeout = '30s'")
    future = aside.submit(act)
    wait_for_lock(session.url, session.name)
    return future


def test_a_finish_waits_for_an_abort_and_sees_it(open_session, aside):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    job = one.job()
    fetched = one.fetch(worker)
    with one.connection.transaction():
        one.rows("update procrastinate_jobs set abort_requested = true")
        waiting = start(aside, two, lambda: two.finish(worker, fetched, "retried"))
    assert waiting.result(PATIENCE) == {job: "aborted"}


def test_a_finish_waits_for_a_rescue_and_is_fenced_off(open_session, aside):
    one, two = open_session("one"), open_session("two")
    worker, other = one.worker(), one.worker()
    job = one.job()
    fetched = one.fetch(worker)
    with one.connection.transaction():
        one.rows("update procrastinate_jobs set status = 'todo', worker_id = null")
        (taken,) = one.fetch(other)
        waiting = start(aside, two, lambda: two.finish(worker, fetched, "succeeded"))
    assert waiting.result(PATIENCE) == {}
    assert one.row(job, "status::text", "worker_id", "qt_lease") == ("doing", other, taken.lease)


@pytest.mark.parametrize("keeps", [None, 0.0], ids=["kept", "vanishing"])
def test_finish_and_the_end_of_the_worker_come_to_the_rows_in_one_order(open_session, aside, keeps):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    one.jobs(50)
    fetched = one.fetch(worker, None, 50)
    one.rows("set deadlock_timeout = '100ms'")
    two.rows("set deadlock_timeout = '100ms'")
    with one.connection.transaction():
        one.rows("select from procrastinate_jobs where id = %s for update", fetched[0].id)
        waiting = start(aside, two, lambda: two.finish(worker, fetched[::-1], "succeeded", keeps=keeps))
        # Would it have the others by now, this would be a deadlock.
        one.rows("delete from procrastinate_workers where id = %s", worker)
    assert waiting.result(PATIENCE) == {}, "the worker was gone first, so nothing was its own any more"


def test_two_finishes_of_the_same_rows_in_opposite_order(open_session, aside):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    ids = one.jobs(20)
    fetched = one.fetch(worker, None, 20)
    with one.connection.transaction():
        one.finish(worker, fetched[:1], "succeeded")
        waiting = start(aside, two, lambda: two.finish(worker, fetched[::-1], "failed"))
        one.finish(worker, fetched[1:][::-1], "succeeded")
    assert waiting.result(PATIENCE) == {}
    assert set(one.statuses().values()) == {"succeeded"}
    assert len(ids) == 20


def test_a_retry_meets_a_twin_that_is_being_enqueued(open_session, aside):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    job = one.job(queueing_lock="q")
    fetched = one.fetch(worker)
    with one.connection.transaction():
        one.job(queueing_lock="q")
        waiting = start(aside, two, lambda: two.finish(worker, fetched, "retried"))
    assert waiting.result(PATIENCE) == {job: "todo"}
    assert two.row(job, "queueing_lock") is None


def finishes(session: Session, worker: int, jobs: list[int]) -> object:
    return session.finish(worker, [Job(job, 1, "a", 0, None) for job in jobs], "retried")


def reclaims(session: Session, worker: int, _jobs: list[int]) -> object:
    return session.connection.execute(
        statements.RECLAIM_JOBS, {"worker_id": worker, "in_hand": [], "older_than": 0.0, "keep": None}
    ).fetchall()


def rescues(session: Session, _worker: int, jobs: list[int]) -> object:
    return session.rows("select id from queue_tasks_rescue_jobs_v1(-60, -60, 3, null, %s)", jobs[-1])


def retries(session: Session, _worker: int, jobs: list[int]) -> object:
    session.rows("update procrastinate_jobs set status = 'failed' where id = any (%s)", jobs)
    return session.connection.execute(statements.RETRY_JOBS, {"ids": jobs, **NOW}).fetchall()


NOW = {"wait": None, "args": None, "lock": None}
"""A retry at once, with the arguments there were."""

COME_BACK = [finishes, reclaims, rescues, retries]


@pytest.mark.parametrize("first", COME_BACK)
@pytest.mark.parametrize("second", COME_BACK)
def test_jobs_that_come_back_take_their_queueing_locks_in_one_order(open_session, first, second):
    one, two, third = open_session("one"), open_session("two"), open_session("third")
    workers = [third.worker(), third.worker()]
    # The second would take z, then wait for a; the first a, then, when the third is gone, z.
    jobs = [third.job(queueing_lock=name) for name in "amz"] + [
        third.job(queueing_lock=name, status="doing") for name in "za"
    ]
    third.rows("update procrastinate_jobs set status = 'doing'")
    third.rows(
        """
        update procrastinate_jobs
        set qt_lease = 1,
            qt_attempted_at = now() - interval '1 minute',
            worker_id = case when id <= %s then %s else %s end
        """,
        jobs[2],
        *workers,
    )
    for session in (one, two):
        session.rows("set deadlock_timeout = '50ms'")
    with ThreadPoolExecutor(2) as aside:
        with third.connection.transaction(force_rollback=True):
            third.job(queueing_lock="m")
            waiting = [
                start(aside, one, lambda: first(one, workers[0], jobs[:3])),
                start(aside, two, lambda: second(two, workers[1], jobs[3:])),
            ]
        for future in waiting:
            assert future.result(PATIENCE)
    assert third.column("select queueing_lock from procrastinate_jobs order by id") == ["a", "m", "z", None, None]
    assert set(third.statuses().values()) == {"todo"}


def test_a_fetch_does_not_wait_for_the_end_of_its_worker(open_session, aside):
    one, two, third = open_session("one"), open_session("two"), open_session("third")
    worker = one.worker()
    first, last = one.jobs(2)
    fetched = one.fetch(worker)
    one.rows("set deadlock_timeout = '50ms'")
    two.rows("set deadlock_timeout = '50ms'")
    with third.connection.transaction():
        third.rows("select from procrastinate_jobs where id = %s for update", first)
        waiting = start(aside, one, lambda: one.rows("delete from procrastinate_workers where id = %s", worker))
        # It will come to the last of its jobs, of which it does not know yet that it is ready again.
        assert two.finish(worker, fetched[1:], "snoozed") == {last: "todo"}
        with pytest.raises(psycopg.Error) as refused:
            two.fetch(worker)
    waiting.result(PATIENCE)
    assert refused.value.sqlstate == "QT002"
    assert one.row(first, "status::text", "worker_id") == ("doing", None)
    assert one.row(last, "status::text") == "todo"


def test_workers_enqueuers_and_operators_at_once_never_deadlock_nor_share_a_lock(open_session):  # noqa: C901 - one storm
    """A storm of 6 sessions for a fixed number of turns; the database's own constraints are the judge."""
    url = open_session("look").url
    setup = open_session("setup")
    workers = [setup.worker() for _ in range(3)]
    setup.jobs(300, queue_name=sql.SQL("'q' || n % 3"), lock=sql.SQL("case when n % 2 = 0 then 'l' || n % 7 end"))
    trouble: list[str] = []
    finished: list[int] = []
    start_line = threading.Barrier(6)

    def guard(act: Callable[[Session], None], name: str) -> None:
        session = Session(url, name)
        try:
            session.rows("set deadlock_timeout = '50ms'")
            start_line.wait()
            act(session)
        except Exception as exc:  # noqa: BLE001 - the main thread judges
            trouble.append(f"{name}: {exc!r}")
        finally:
            session.close()

    def work(worker: int, queues: list[str] | None) -> Callable[[Session], None]:
        def run(session: Session) -> None:
            idle = 0
            snoozed: set[int] = set()
            while idle < 20:
                try:
                    fetched = session.fetch(worker, queues, 1 + worker % 5)
                except psycopg.errors.UniqueViolation:
                    continue  # as the worker does: another fetch took a job of the same lock at this moment
                outcomes = ["succeeded" if job.id % 2 or job.id in snoozed else "snoozed" for job in fetched]
                snoozed.update(job.id for job in fetched)
                written = session.finish(worker, fetched, *outcomes)
                finished.extend(job for job, status in written.items() if status == "succeeded")
                idle = 0 if fetched else idle + 1

        return run

    def enqueue(session: Session) -> None:
        for turn in range(40):
            session.jobs(5, queue_name=f"q{turn % 3}", lock=f"l{turn % 7}", priority=turn % 4)

    def operate(session: Session) -> None:
        for turn in range(60):
            ids = list(range(1 + turn, 200, 3))
            session.connection.execute(statements.CANCEL_JOBS, {"ids": ids[:3], "keep": 0.0})
            session.connection.execute(statements.RETRY_JOBS, {"ids": ids[::-1], **NOW})
            session.rows("select queue_tasks_prune_jobs_v1(5)")

    acts = [
        *(
            (work(worker, queues), f"worker {worker}")
            for worker, queues in zip(workers, [None, ["q0", "q1"], ["q2"]], strict=True)
        ),
        (enqueue, "enqueue 1"),
        (enqueue, "enqueue 2"),
        (operate, "operate"),
    ]
    threads = [threading.Thread(target=guard, args=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * PATIENCE)
    assert trouble == []
    assert finished
    assert len(finished) == len(set(finished)) or "retried" in setup.column(
        "select type::text from procrastinate_events"
    )
