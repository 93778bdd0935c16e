"""One measurement in a process of its own: `python -m benchmarks.measure NAME COUNT` prints one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - after setup
from django.db import connection, transaction  # noqa: E402

HERE = Path(__file__).parent
STOCK = os.environ.get("BENCHMARK_SIDE") == "stock"
CONCURRENCY = 20


def migrate(_: int) -> dict[str, Any]:
    """Make the tables."""
    call_command("migrate", verbosity=0)
    return {}


def drain_async(count: int) -> dict[str, Any]:
    """Jobs per second of coroutines that do nothing, kept with history and result."""
    return _drain("noop_async", count)


def drain_thread(count: int) -> dict[str, Any]:
    """Jobs per second of plain functions that do nothing."""
    return _drain("noop_thread", count)


def drain_process(count: int) -> dict[str, Any]:
    """Jobs per second of plain functions that do nothing, in processes, whose start is counted."""
    return _drain("noop_process", count)


def drain_ephemeral(count: int) -> dict[str, Any]:
    """Jobs per second of coroutines that leave no trace: between the worker's first and last line."""
    from benchmarks import tasks
    from queue_tasks import enqueue_many

    _execute("reset.sql")
    enqueue_many(tasks.noop_ephemeral.bind() for _ in range(count))
    with _worker("--drain") as (process, output):
        started = time.monotonic()
        assert output.readline().startswith("stopped")
        seconds = time.monotonic() - started
        process.wait()
    return {"jobs": count, "per_second": count / seconds}


def enqueue_single(count: int) -> dict[str, Any]:
    """Jobs per second enqueued one at a time, each in a transaction of its own."""
    _execute("reset.sql")
    one = _enqueuer("noop_async")
    one()
    started = time.monotonic()
    for _ in range(count):
        one()
    return {"jobs": count, "per_second": count / (time.monotonic() - started)}


def enqueue_bulk(count: int) -> dict[str, Any]:
    """Jobs per second enqueued many at a time, in one transaction."""
    _execute("reset.sql")
    started = time.monotonic()
    with transaction.atomic():
        _enqueue_bulk("noop_async", count)
    return {"jobs": count, "per_second": count / (time.monotonic() - started)}


def latency(count: int) -> dict[str, Any]:
    """Milliseconds from the return of a commit to the start of the body, one job at a time, the worker idle."""
    _execute("reset.sql")
    waits = []
    with tempfile.TemporaryDirectory() as folder, _worker() as (_, _output):
        starts = Path(folder) / "starts"
        starts.touch()
        for number in range(count + 20):
            committed, started = (_stock_round if STOCK else _our_round)(starts, number)
            if number >= 20:  # the first rounds open connections and plan statements
                waits.append(1000 * (started - committed))
    waits.sort()
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: waits[min(int(part * len(waits)), len(waits) - 1)] for name, part in at.items()}


def idle_memory(_: int) -> dict[str, Any]:
    """Megabytes resident of a worker that has nothing to do."""
    with _worker() as (process, _output):
        time.sleep(1)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return {"megabytes": kilobytes / 1024}


def _drain(name: str, count: int) -> dict[str, Any]:
    _execute("reset.sql")
    _enqueue_bulk(name, count)
    # A queue in use has statistics; without them the stock fetch reads the table for each job.
    with connection.cursor() as cursor:
        cursor.execute("analyze procrastinate_jobs")
    if STOCK:
        from procrastinate.contrib.django import app

        with app.replace_connector(app.connector.get_worker_connector()):
            app.run_worker(wait=False, concurrency=CONCURRENCY, install_signal_handlers=False)
    else:
        with _worker("--drain") as (process, _output):
            process.wait()
    jobs, seconds = _execute("drain_rate.sql")
    assert jobs == count, f"{jobs} of {count} jobs succeeded"
    return {"jobs": jobs, "per_second": jobs / seconds}


def _enqueuer(name: str) -> Callable[[], Any]:
    if STOCK:
        from benchmarks import stock_tasks

        return getattr(stock_tasks, name).defer
    from benchmarks import tasks

    return getattr(tasks, name).enqueue


def _enqueue_bulk(name: str, count: int) -> None:
    if STOCK:
        from benchmarks import stock_tasks

        for _ in range(0, count, 1000):
            getattr(stock_tasks, name).batch_defer(*[{} for _ in range(min(count, 1000))])
    else:
        from benchmarks import tasks
        from queue_tasks import enqueue_many

        enqueue_many(getattr(tasks, name).bind() for _ in range(count))


def _our_round(_starts: Path, _number: int) -> tuple[float, float]:
    from benchmarks import tasks

    result = tasks.clock.enqueue()
    committed = time.time()
    while not result.is_finished:
        result.refresh()
    return committed, float(result.return_value)


def _stock_round(starts: Path, number: int) -> tuple[float, float]:
    from benchmarks import stock_tasks

    stock_tasks.clock.defer(path=str(starts))
    committed = time.time()
    while len(lines := starts.read_text(encoding="ascii").splitlines()) <= number:
        time.sleep(0.0005)
    return committed, float(lines[number])


@contextmanager
def _worker(*flags: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A worker in a process of its own, from its ready line on."""
    command = [sys.executable, "-m", "django"]
    if STOCK:
        command += ["procrastinate", "worker", f"--concurrency={CONCURRENCY}"]
    else:
        command += ["queue_worker", f"--concurrency={CONCURRENCY}", *flags]
    stream = subprocess.PIPE
    with subprocess.Popen(command, stdout=stream, stderr=None if not STOCK else stream, text=True) as process:
        output = process.stderr if STOCK else process.stdout
        assert output is not None
        if not STOCK:
            assert output.readline().startswith("ready"), "the worker did not become ready"
        try:
            yield process, output
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate()


def _execute(name: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute((HERE / name).read_text(encoding="utf-8"))
        return cursor.fetchone() if cursor.description else None


def main() -> None:
    """Run one measurement and print it."""
    name, count = sys.argv[1], int(sys.argv[2])
    measured = globals()[name](count)
    print(json.dumps({"name": name, **measured}))


if __name__ == "__main__":
    main()
