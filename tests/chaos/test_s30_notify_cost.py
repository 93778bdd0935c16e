"""S30 notify-cost: sixty-four writers that enqueue, with their notifications and without."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from site_app.embedded_postgres import find_binaries
from tests.chaos.harness import FULL, Chaos

WRITERS = 64
SECONDS = 5  # of each turn
TURNS = 5
WRITE = "select queue_tasks_enqueue_v1('none', '[1]'::jsonb);\n"
SILENT = "create or replace function queue_tasks_wake_queues_v1(p_queues text[]) returns void language sql as 'select'"
LIVING = Path(__file__).parents[2] / "sql" / "functions" / "queue_tasks_wake_queues_v1.sql"


@pytest.mark.skipif(not FULL, reason="a measurement, in full size only")
def test_to_notify_costs_those_who_enqueue_little(chaos: Chaos, tmp_path: Path) -> None:
    server = chaos.own_server(fsync="on", full_page_writes="on")
    script = tmp_path / "enqueue.sql"
    script.write_text(WRITE)
    tmp_path.chmod(0o755)
    rates: dict[str, list[float]] = {"loud": [], "silent": []}
    with listening(server.url):
        # In turns: what else the machine does meets both alike.
        for _ in range(TURNS):
            for way, function in (("loud", LIVING.read_text()), ("silent", SILENT)):
                chaos.db.execute(function.encode())
                chaos.db.execute("truncate procrastinate_jobs, procrastinate_events cascade")
                rates[way].append(transactions_a_second(server.url, server.version, script))
    loud, silent = statistics.median(rates["loud"]), statistics.median(rates["silent"])
    chaos.report(
        figures={"with": loud, "without": silent, "loss": 1 - loud / silent},
        criteria={f"at most a tenth is lost: {rates}": loud >= 0.9 * silent},
    )


@contextmanager
def listening(url: str) -> Iterator[None]:
    """A session that hears all of it, as a worker does: without one the server would throw it away unread."""
    stopping = threading.Event()

    def listen() -> None:
        with psycopg.connect(url, autocommit=True, application_name="chaos listener") as connection:
            connection.execute("listen procrastinate_any_queue_v1")
            ready.set()
            while not stopping.is_set():
                for _ in connection.notifies(timeout=0.2):
                    pass

    ready = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def transactions_a_second(url: str, version: str, script: Path) -> float:
    """Each enqueues one job in a transaction of its own; by pgbench, which costs less than what it measures."""
    flags = ["-n", "-c", str(WRITERS), "-j", "2", "-T", str(SECONDS), "-f", str(script)]
    done = subprocess.run(
        [find_binaries(version) / "pgbench", *flags, url],
        env={**os.environ, "PGOPTIONS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return float(found[1])
