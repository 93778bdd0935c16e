"""What an operator decides about queues and workers is obeyed by worker processes at once. No poll helps: 600 s."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import call_command

from queue_tasks import enqueue_many
from queue_tasks.control import limit_queue, pause_queue, quiet_worker, resume_queue, resume_worker, stop_worker
from queue_tasks.results import TaskResult
from tests.acceptance.workers import Table, doing, worker_process
from tests.testapp import tasks
from tests.waiting import PATIENCE, wait_until

DEAF_TO_POLLS = ("--poll-interval", "600")


def pids(table: Table) -> list[int]:
    return [row["qt_pid"] for row in table.workers()]


def done(result: TaskResult[Any]) -> bool:
    return bool(result.wait(PATIENCE).is_finished)


def test_a_pause_is_obeyed_and_its_end_wakes_the_worker(dsn: str, table: Table) -> None:
    with worker_process(dsn, *DEAF_TO_POLLS):
        running = tasks.wait_for_group.using(queue_name="media").enqueue("go")
        doing(table)
        pause_queue("media")
        waiting = [tasks.noop.using(queue_name="media", priority=50).enqueue() for _ in range(3)]
        # Taken by the same statement as the others would be, and after them.
        assert done(tasks.noop.enqueue())
        tasks.create_group.enqueue("go")
        assert done(running), "what ran goes on"
        assert {table.job(result.id)["status"] for result in waiting} == {"todo"}
        assert resume_queue("media")
        assert all(done(result) for result in waiting)

        pause_queue("media", timedelta(seconds=1.5))
        (until,) = table.all("select paused_until from queue_tasks_queues")
        late = tasks.noop.using(queue_name="media").enqueue()
        assert done(late)
        assert table.job(late.id)["qt_attempted_at"] >= until["paused_until"]


def test_a_limit_holds_over_two_workers_and_a_killed_one_gives_its_share_back(dsn: str, table: Table) -> None:
    limit_queue("media", 3)
    media = tasks.count_running.using(queue_name="media")
    flags = (*DEAF_TO_POLLS, "--concurrency", "4")
    soon = "tests.testapp.short_lease_settings"
    with worker_process(dsn, *flags, settings=soon) as one, worker_process(dsn, *flags, settings=soon) as two:
        results = enqueue_many(media.bind() for _ in range(60))
        assert all(done(result) for result in results)
        assert max(result.return_value for result in results) <= 3

        limit_queue("media", 1)
        held = tasks.wait_for_group.using(queue_name="media").enqueue("go")
        doing(table)
        behind = media.enqueue()
        (holder,) = table.all(
            "select w.qt_pid from procrastinate_jobs j join procrastinate_workers w on w.id = j.worker_id "
            "where j.status = 'doing'"
        )
        (victim,) = (worker for worker in (one, two) if worker.process.pid == holder["qt_pid"])
        assert table.job(behind.id)["status"] == "todo"
        victim.send(signal.SIGKILL)
        # Through the other's rescue, without which nothing of the queue would ever run again.
        wait_until(lambda: table.job(held.id)["qt_lease"] == 2)
        tasks.create_group.enqueue("go")
        assert done(held)
        assert done(behind)
        assert behind.return_value == 1


def test_a_quiet_worker_finishes_what_runs_and_one_that_is_stopped_ends(dsn: str, table: Table) -> None:
    with worker_process(dsn, *DEAF_TO_POLLS) as one, worker_process(dsn, *DEAF_TO_POLLS) as two:
        number = {row["qt_pid"]: row["id"] for row in table.workers()}
        first, second = number[one.process.pid], number[two.process.pid]
        assert quiet_worker(second)
        told = "select worker_id as id from queue_tasks_listeners"
        wait_until(lambda: [row["id"] for row in table.all(told)] == [first])
        running = tasks.wait_for_group.enqueue("go")
        doing(table)
        assert quiet_worker(first)
        wait_until(lambda: not table.all(told))
        waiting = tasks.noop.enqueue()
        assert resume_worker(second)
        assert done(waiting)
        assert table.job(waiting.id)["worker_id"] == second, "the other one fetches nothing"
        tasks.create_group.enqueue("go")
        assert done(running)
        assert table.job(running.id)["worker_id"] == first

        out = StringIO()
        call_command("queue", "stop", str(second), stdout=out)
        assert out.getvalue() == f"worker {second}: told to stop; running jobs have its time of grace\n"
        assert two.wait() == 0
        assert pids(table) == [one.process.pid]
        assert stop_worker(first), "a quiet one can be stopped"
        assert one.wait() == 0


def test_a_supervisor_replaces_a_process_that_an_operator_stopped(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", *DEAF_TO_POLLS) as supervisor:
        held = tasks.wait_for_group.enqueue("go")
        doing(table)
        holder = table.job(held.id)["worker_id"]
        assert stop_worker(holder)
        (pid,) = (row["qt_pid"] for row in table.workers() if row["id"] == holder)
        assert done(tasks.create_group.enqueue("go"))
        assert done(held), "within its time of grace"
        wait_until(lambda: len(pids(table)) == 2 and pid not in pids(table))
        assert table.job(held.id)["qt_crashes"] == 0
        assert not os.path.exists(f"/proc/{pid}")  # noqa: PTH110 - a process, not a file
        assert supervisor.stop()[0] == 0, supervisor.output
        assert any("an operator told it to stop" in line for line in supervisor.errors), supervisor.output
