"""Running workers in tests: in this process, on a loop of their own in a thread, against the test's database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from queue_tasks.conf import Options
from queue_tasks.worker.process import run
from queue_tasks.worker.settings import WorkerSettings
from queue_tasks.worker.worker import Worker
from tests.waiting import PATIENCE


def make_worker(
    *, queues: list[str] | None = None, concurrency: int = 10, drain: bool = False, listen: bool = True, **options: Any
) -> Worker:
    """A worker; `options` are those of the backend."""
    max_jobs = options.pop("max_jobs", None)
    settings = WorkerSettings(
        queues=queues, concurrency=concurrency, name="test", listen=listen, drain=drain, max_jobs=max_jobs
    )
    return Worker(Options.read({"grace": 5, **options}), settings)


def drain(**arguments: Any) -> Worker:
    """Run what is ready and due; the worker, stopped."""
    worker = make_worker(drain=True, **arguments)
    run(worker)
    return worker


@contextmanager
def running_worker(**arguments: Any) -> Iterator[Worker]:
    """A worker that runs beside the test; stopped, and its exit code checked, at the end."""
    worker = make_worker(**arguments)
    ready = threading.Event()
    worker._on_ready = lambda _: ready.set()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(worker)), name="test worker")
    thread.start()
    try:
        assert ready.wait(2 * PATIENCE), "the worker did not become ready"
        yield worker
    finally:
        worker.stop()
        thread.join(2 * PATIENCE)
    assert codes == [0], f"the worker ended with {codes}"
