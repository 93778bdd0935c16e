"""Two sessions at the same rows: the second waits or skips, and neither is a victim of a deadlock."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from queue_tasks import statements
from tests.sql.session import Session
from tests.waiting import wait_for_lock


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """A thread for the session that waits."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def start(aside: ThreadPoolExecutor, session: Session, act: Callable[[], object]) -> Future[object]:
    """Begin something that will wait for a lock, and return when it does."""
    session.rows("set lock_timeout = '10s'")
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
    assert waiting.result(10) == {job: "aborted"}


def test_a_finish_waits_for_a_rescue_and_is_fenced_off(open_session, aside):
    one, two = open_session("one"), open_session("two")
    worker, other = one.worker(), one.worker()
    job = one.job()
    fetched = one.fetch(worker)
    with one.connection.transaction():
        one.rows("update procrastinate_jobs set status = 'todo', worker_id = null")
        (taken,) = one.fetch(other)
        waiting = start(aside, two, lambda: two.finish(worker, fetched, "succeeded"))
    assert waiting.result(10) == {}
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
    assert waiting.result(10) == {}, "the worker was gone first, so nothing was its own any more"


def test_two_finishes_of_the_same_rows_in_opposite_order(open_session, aside):
    one, two = open_session("one"), open_session("two")
    worker = one.worker()
    ids = one.jobs(20)
    fetched = one.fetch(worker, None, 20)
    with one.connection.transaction():
        one.finish(worker, fetched[:1], "succeeded")
        waiting = start(aside, two, lambda: two.finish(worker, fetched[::-1], "failed"))
        one.finish(worker, fetched[1:][::-1], "succeeded")
    assert waiting.result(10) == {}
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
    with pytest.raises(psycopg.errors.UniqueViolation):
        waiting.result(10)
    assert two.finish(worker, fetched, "retried") == {job: "todo"}, "the finisher's second try"
    assert two.row(job, "queueing_lock") is None


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
            session.connection.execute(statements.RETRY_JOBS, {"ids": ids[::-1]})
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
        thread.join(30)
    assert trouble == []
    assert finished
    assert len(finished) == len(set(finished)) or "retried" in setup.column(
        "select type::text from procrastinate_events"
    )
