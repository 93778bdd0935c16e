"""Workers as processes, killed and frozen: what they had in hand is run by others, once, under the fence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from queue_tasks import enqueue_many
from queue_tasks.compat import TaskResultStatus
from tests.acceptance.workers import BUSY
from tests.testapp import tasks
from tests.waiting import PATIENCE, START, wait_until
from tests.workers import running_worker

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def worker_process(dsn: str, *flags: str, ready: bool = True) -> Iterator[subprocess.Popen[str]]:
    """`manage.py queue_worker`, from its ready line on unless it may not come to that; killed at the end."""
    environment = {**os.environ, "DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "django", "queue_worker", *flags]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert not ready or process.stdout.readline().startswith("ready: ")
        try:
            yield process
        finally:
            process.kill()


def column(job_id: str, name: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"select {name} from procrastinate_jobs where id = %s", [job_id])  # noqa: S608 - our own names
        return cursor.fetchone()[0]


def test_the_jobs_of_a_killed_worker_are_ready_again_within_five_seconds_with_no_attempt_spent(dsn: str) -> None:
    running = tasks.sleep.enqueue(60)
    with worker_process(dsn, "--concurrency", "1") as process:
        wait_until(lambda: column(running.id, "status::text") == "doing")
        with running_worker(queues=["none"]):
            process.send_signal(signal.SIGKILL)
            wait_until(lambda: column(running.id, "status::text") == "todo", 5 + BUSY)
    assert column(running.id, "attempts") == 0
    assert column(running.id, "qt_crashes") == 1
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_workers")
        assert cursor.fetchone() == (0,)


def looks_around() -> int:
    """Workers that have nothing to do, and know that no other has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where application_name = 'queue_tasks listen' "
            "and query like '/* queue_tasks: look_around */%' and datname = current_database()"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("listens", [True, False])
def test_so_are_those_of_one_that_is_killed_as_it_takes_its_first_job_for_long(dsn: str, listens: bool) -> None:
    """Who is left works another queue, and hears nothing of that job, whether it listens or not."""
    with (
        running_worker(queues=["none"], listen=listens),
        worker_process(dsn, "--concurrency", "1", "--queues", "default") as process,
    ):
        wait_until(lambda: looks_around() == 1 + listens)
        running = tasks.sleep.enqueue(60)
        wait_until(lambda: column(running.id, "status::text") == "doing")
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: column(running.id, "status::text") == "todo", 5 + BUSY)
        assert column(running.id, "qt_crashes") == 1
        wait_until(lambda: len(workers()) == 1)


def test_one_that_had_nothing_to_do_says_so_soon_when_it_has(dsn: str) -> None:
    with worker_process(dsn):
        wait_until(lambda: looks_around() == 1)
        enqueued = enqueue_many([tasks.sleep.bind(60)])
        wait_until(lambda: column(enqueued[0].id, "status::text") == "doing")

        def is_busy() -> bool:
            with connection.cursor() as cursor:
                cursor.execute("select qt_busy from procrastinate_workers")
                return bool(cursor.fetchone()[0])

        wait_until(is_busy)


def test_a_frozen_worker_that_comes_back_changes_nothing_and_goes_on_under_a_new_number(dsn: str) -> None:
    result = tasks.wait_for_group.enqueue("go")
    flags = ("--concurrency", "2", "--queues", "default,after")
    with worker_process(dsn, *flags) as process:
        wait_until(lambda: column(result.id, "status::text") == "doing")
        first = column(result.id, "worker_id")
        process.send_signal(signal.SIGSTOP)
        # Dead by its heartbeat alone: a frozen process holds its lock.
        with running_worker(dead_after=2.5, heartbeat=0.5) as other:
            wait_until(lambda: column(result.id, "worker_id") == other.worker_id)
            process.send_signal(signal.SIGCONT)
            tasks.create_group.enqueue("go")
            result.wait(PATIENCE)
            assert result.status == TaskResultStatus.SUCCESSFUL
            assert column(result.id, "worker_id") == other.worker_id
            after = tasks.noop.using(queue_name="after").bind()
        wait_until(lambda: [w for w in workers() if w != first])
        answer = enqueue_many([after])[0]
        assert answer.wait(PATIENCE).status == TaskResultStatus.SUCCESSFUL
        assert process.poll() is None
    assert column(result.id, "attempts") == 1


def workers() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("select id from procrastinate_workers")
        return [row[0] for row in cursor.fetchall()]


def test_a_poison_pill_fails_at_its_third_crash_and_its_neighbours_succeed(dsn: str) -> None:
    neighbours = enqueue_many(tasks.noop.bind() for _ in range(200))
    pill = tasks.kill_the_worker.using(priority=50).enqueue()
    for _ in range(3):
        with worker_process(dsn, ready=False) as process:
            assert process.wait(START) == -signal.SIGKILL
    with running_worker():
        wait_until(lambda: column(pill.id, "status::text") == "failed")
        for neighbour in neighbours:
            neighbour.wait(PATIENCE)
    pill.refresh()
    assert pill.errors[0].exception_class_path == "queue_tasks.exceptions.WorkerCrashed"
    assert "3 times" in pill.errors[0].traceback
    assert all(neighbour.status == TaskResultStatus.SUCCESSFUL for neighbour in neighbours)


def test_a_worker_whose_row_was_deleted_registers_anew_and_its_body_is_told() -> None:
    with running_worker() as worker:
        result = tasks.report_progress.enqueue()
        wait_until(lambda: worker.crew.fetcher.hand.running == 1)
        first = worker.worker_id
        with connection.cursor() as cursor:
            cursor.execute("delete from procrastinate_workers")
        wait_until(lambda: worker.worker_id != first)
        assert tasks.noop.enqueue().wait(PATIENCE).status == TaskResultStatus.SUCCESSFUL
        wait_until(lambda: column(result.id, "worker_id") == worker.worker_id and worker.crew.fetcher.hand.running == 1)
        with connection.cursor() as cursor:
            cursor.execute("update procrastinate_jobs set abort_requested = true where id = %s", [result.id])
        assert result.wait(PATIENCE).return_value == "aborted"
    assert column(result.id, "attempts") == 1


def test_a_job_whose_fetch_was_answered_into_the_void_is_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    from queue_tasks.worker import maintenance

    monkeypatch.setattr(maintenance, "RECLAIM_EVERY", 0.1)
    result = tasks.noop.using(queue_name="void").enqueue()
    with running_worker(queues=["default"]) as worker, connection.cursor() as cursor:
        cursor.execute(
            "update procrastinate_jobs set status = 'doing', worker_id = %s, qt_lease = 1, "
            "qt_attempted_at = clock_timestamp() - interval '1 hour' where id = %s",
            [worker.worker_id, result.id],
        )
        wait_until(lambda: column(result.id, "status::text") == "todo")
    assert column(result.id, "attempts") == 0
