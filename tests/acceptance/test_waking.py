"""Workers that are killed or frozen, asleep or awake, hide no job from another. No poll helps: it comes every 600 s."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from queue_tasks.worker.waking import CROWD
from tests.acceptance.workers import WorkerProcess
from tests.waiting import wait_until

BURST = """
    do $body$
    begin
        for n in 1..50 loop
            perform queue_tasks_enqueue_v1('tests.testapp.tasks.noop');
            commit;
        end loop;
    end
    $body$
"""
ENQUEUE = "select queue_tasks_enqueue_v1('tests.testapp.tasks.noop')"


@pytest.fixture
def db(transactional_db: None, dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(dsn, autocommit=True, application_name="tests.acceptance") as connection:
        yield connection


def asleep(db: psycopg.Connection[tuple[Any, ...]]) -> dict[int, bool]:
    """pid -> whether it says that it sleeps."""
    return dict(
        db.execute(
            "select w.qt_pid, l.asleep from queue_tasks_listeners l join procrastinate_workers w on w.id = l.worker_id"
        ).fetchall()
    )


def left(db: psycopg.Connection[tuple[Any, ...]]) -> int:
    found = db.execute("select count(*) from procrastinate_jobs where status in ('todo', 'doing')").fetchone()
    return found[0] if found else 0


def get_up(db: psycopg.Connection[tuple[Any, ...]], dsn: str, pids: set[int]) -> None:
    """Enqueue, among others who have not committed yet, until each of them looks by itself."""
    with ExitStack() as crowd:
        for _ in range(CROWD):
            writer = crowd.enter_context(psycopg.connect(dsn, application_name="tests.acceptance"))
            writer.execute(ENQUEUE)
            crowd.callback(writer.rollback)
        wait_until(lambda: not db.execute(BURST.encode()).description and not any(asleep(db)[pid] for pid in pids), 60)


@pytest.mark.parametrize("awake", [False, True])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_gone_hides_no_job(
    db: psycopg.Connection[tuple[Any, ...]], dsn: str, sent: signal.Signals, awake: bool
) -> None:
    with ExitStack() as stack:
        one, two = (WorkerProcess(dsn, "--poll-interval", "600") for _ in range(2))
        for worker in (one, two):
            stack.callback(worker.end)
        one.until_ready()
        two.until_ready()
        pids = {one.process.pid, two.process.pid}
        wait_until(lambda: asleep(db) == dict.fromkeys(pids, True))
        if awake:
            get_up(db, dsn, pids)
            wait_until(lambda: not left(db))
        one.send(sent)
        # Of two that sleep, one comes first in half of the cases.
        for _ in range(8):
            db.execute(ENQUEUE)
            wait_until(lambda: not left(db), 30)
