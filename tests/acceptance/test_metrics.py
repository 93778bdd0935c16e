"""--metrics-port: what a worker, or several under a supervisor, have done, as Prometheus reads it."""

from __future__ import annotations

import http.client
import os
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from queue_tasks import enqueue_many
from tests.acceptance.health import port_of
from tests.acceptance.workers import Table, worker_process
from tests.testapp import tasks
from tests.waiting import PATIENCE, START, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values, in the order of the labels' names."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(port: int, task: str, outcome: str) -> float:
    return scrape(port).get(("queue_tasks_attempts_total", outcome, "default", f"tests.testapp.tasks.{task}"), 0.0)


def test_what_a_worker_has_done_is_counted(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--metrics-port", "0") as worker:
        port = port_of(worker, "metrics")
        enqueue_many([*(tasks.add.bind(number) for number in range(20)), tasks.fail.bind()])
        wait_until(lambda: (ended(port, "add", "succeeded"), ended(port, "fail", "failed")) == (20, 1))
        found = scrape(port)
        add = "tests.testapp.tasks.add"
        assert found["queue_tasks_run_seconds_count", "default", add] == 20
        assert found["queue_tasks_wait_seconds_count", "default", add] == 20
        assert found["queue_tasks_wait_seconds_bucket", "+Inf", "default", add] == 20
        assert found["queue_tasks_fetched_jobs_total",] == 21
        assert found["queue_tasks_fetch_seconds_count",] >= 1
        assert found["queue_tasks_notifications_total",] >= 1
        assert worker.stop()[0] == 0, worker.output
    assert "--metrics-host" not in worker.output


def test_a_port_that_is_open_to_the_network_is_warned_of(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--metrics-port", "0", "--metrics-host", "0.0.0.0") as worker:  # noqa: S104 - the flag
        port = port_of(worker, "metrics")
        told = f"WARNING queue_tasks.worker: --metrics-host is 0.0.0.0: whoever reaches port {port} of it is told"
        wait_until(lambda: told in worker.output, message=worker.output)
        assert worker.stop()[0] == 0, worker.output


def test_a_supervisor_adds_up_what_its_processes_have_done_also_those_that_ended(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--processes", "2", "--metrics-port", "0") as worker:
        port = port_of(worker, "metrics")
        enqueue_many([tasks.add.bind(number) for number in range(20)])
        wait_until(lambda: ended(port, "add", "succeeded") == 20)
        for row in table.workers():
            os.kill(row["qt_pid"], signal.SIGKILL)
        tasks.add.enqueue(20)
        wait_until(lambda: ended(port, "add", "succeeded") == 21, START)
        assert worker.stop()[0] == 0, worker.output


def test_rescued_jobs_are_counted(dsn: str, table: Table) -> None:
    # A worker that died a while ago, with a job in hand.
    job = int(tasks.add.enqueue(1).id)
    table.all(
        "with dead as ("
        "insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour') returning id"
        ") update procrastinate_jobs j set status = 'doing', worker_id = d.id"
        " from dead d where j.id = %s returning j.id",
        job,
    )
    with worker_process(dsn, "--metrics-port", "0") as worker:
        port = port_of(worker, "metrics")
        wait_until(lambda: scrape(port)["queue_tasks_rescued_jobs_total",] == 1)
        assert worker.stop()[0] == 0, worker.output
