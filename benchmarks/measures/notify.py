"""What notifications cost those who enqueue and who end jobs: NOTIFY takes a lock of the whole server at commit."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.bench import Bench
from benchmarks.contestants import OURS, our_worker, start_ours
from benchmarks.harness import Figures, Series, Turn, TurnFailed
from benchmarks.report import Finding, Found
from benchmarks.server import SQL, Server, statement
from site_app.embedded_postgres.binaries import find_binaries

CLIENTS = 64
SECONDS = 4
LEAST = 0.9
"""Of the rate without notifications."""
RATE = "scripts/s"
LOUD, SILENT = "notifying", "silent"
ENQUEUE = "each job enqueued while a stranger listens to all"
SOON = "jobs due in two minutes, behind another"
SCRIPTS = {
    ENQUEUE: "enqueue_one",
    "jobs that end": "end_one",
    "jobs due in two hours": "schedule_one",
    SOON: "schedule_soon",
}
"""What pgbench runs."""
SILENT_DATABASE = "queue_tasks_silent"


def notify(bench: Bench) -> Found:
    """64 clients that each commit one job, or the end of one, after the other, with and without notifications."""
    server = bench.server
    OURS.reset(server)
    server.for_database("create_database", SILENT_DATABASE, OURS.database)
    server.rows(SILENT_DATABASE, "queue_tasks/silent")
    try:
        with listening(server, OURS.database), listening(server, SILENT_DATABASE):
            turns: dict[str, Turn] = {
                f"{what}, {how}": partial(transactions, server, database, script)
                for what, script in SCRIPTS.items()
                for how, database in ((LOUD, OURS.database), (SILENT, SILENT_DATABASE))
            }
            series = bench.paired(turns, required=tuple(turns))
    finally:
        server.for_database("drop_database", SILENT_DATABASE)
        OURS.reset(server)
    return Found(
        findings=findings(series),
        notes=[
            "7. the same while workers run the jobs, at most a tenth lost: `make chaos ARGS='-k s30'`",
            "7. fifty idle workers and one job: `make chaos ARGS='-k s29'`",
        ],
    )


def findings(series: Series) -> list[Finding]:
    """Of jobs a stranger who listens is told, for nobody knows that he sleeps; of the rest nobody who has not asked.

    Whether a job is the first that is due soon has to be looked for, which is no turn at the server's lock.
    """
    found = []
    for what in SCRIPTS:
        loud, silent = (f"{what}, {how}" for how in (LOUD, SILENT))
        name = f"7. rate of {CLIENTS} clients, {what}, beside none that are told"
        ratio, note = series.ratio(loud, silent, RATE), f" ({series.median(loud, RATE):,.0f} /s)"
        if what in (ENQUEUE, SOON):
            found.append(Finding.seen(name, ratio, "x", note))
        else:
            found.append(Finding.at_least(name, LEAST, ratio, "x", note))
    return found


@contextmanager
def listening(server: Server, database: str) -> Iterator[None]:
    """An idle worker of another queue, and a session that hears all: to nobody, the server would send nothing."""
    over, ready = threading.Event(), threading.Event()

    def listen() -> None:
        with server.connect(database) as connection:
            connection.execute(statement("queue_tasks/listen").encode())
            ready.set()
            while not over.is_set():
                for _ in connection.notifies(timeout=0.2):
                    pass

    thread = threading.Thread(target=listen)
    with start_ours(server, database, our_worker("--queues=elsewhere")):
        thread.start()
        ready.wait(10)
        try:
            yield
        finally:
            over.set()
            thread.join()


def transactions(server: Server, database: str, script: str) -> Figures:
    """One turn, by pgbench, which costs less than what it measures."""
    server.rows(database, "queue_tasks/reset")
    server.rows(database, "queue_tasks/running")
    server.rows(database, "server/checkpoint")
    flags = [
        "-n",
        "-c",
        str(CLIENTS),
        "-j",
        "2",
        "-T",
        str(SECONDS),
        "-f",
        str(SQL / "queue_tasks" / f"{script}.sql"),
    ]
    done = subprocess.run(
        [find_binaries(server.postgres_version) / "pgbench", *flags, server.url(database)],
        env={**os.environ, "PGOPTIONS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None:
        raise TurnFailed(f"pgbench: {done.stderr.strip()[-300:]}")
    return {RATE: float(found[1])}
