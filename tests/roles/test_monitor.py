"""Monitor: what it finds wrong with a worker that runs in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from queue_tasks.worker import monitor as module
from queue_tasks.worker.health import Health
from queue_tasks.worker.monitor import Monitor
from tests.roles.parts import Rows
from tests.waiting import wait_until
from tests.workers import make_worker, running_worker


@contextmanager
def jobs_hidden(rows: Rows) -> Iterator[None]:
    """Every statement about jobs fails, and the database answers all the same."""
    rows.db.execute("alter table procrastinate_jobs rename to hidden")
    try:
        yield
    finally:
        rows.db.execute("alter table hidden rename to procrastinate_jobs")


def test_a_worker_that_runs_is_all_right_and_one_that_starts_or_stops_runs_no_jobs(rows: Rows) -> None:
    assert Monitor(make_worker()).health() == Health(unready=("it is starting",))
    with running_worker() as worker:
        monitor = Monitor(worker)
        assert monitor.health() == Health()
    assert monitor.health() == Health(unready=("it is stopping",))


def test_a_loop_that_fails_again_and_again_makes_a_worker_unready_and_in_the_end_dead(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILING_LIMIT", 0.0)
    with running_worker(poll_interval=0.05) as worker:
        monitor = Monitor(worker)
        with jobs_hidden(rows):
            wait_until(lambda: monitor.health().unready)
            (why,) = monitor.health().unready
            assert why.startswith("the fetcher has been failing for ")
            assert monitor.health().dead == ()
            monkeypatch.setattr(module, "HOPELESS_AFTER", 0.0)
            (why,) = monitor.health().dead
            assert why.startswith("the fetcher has been failing for ")
            assert monitor.health().unready == ()
        wait_until(lambda: monitor.health() == Health())


def test_a_worker_that_has_grown_too_much_asks_to_be_replaced(rows: Rows) -> None:
    with running_worker() as worker, Monitor(worker, max_memory=1):
        wait_until(lambda: worker.recycled)
        assert worker.recycled.endswith(" MB of memory, more than 0 MB; it had more before it ran a job: give more")
        wait_until(lambda: worker.stopping)
