"""What a worker costs that has nothing to do: its start, its memory, its statements."""

from __future__ import annotations

import re
import sys
import time
from functools import partial

from benchmarks.bench import Bench
from benchmarks.contestants import OURS, environment, our_worker, start_ours
from benchmarks.harness import Figures
from benchmarks.programs import Program
from benchmarks.report import Finding, Found
from benchmarks.server import Server

DJANGO, WORKER = "Django alone", "queue_worker"
SETTLE = 5.0
"""Seconds after its start in which a worker still does what it does once."""

WATCH = 30.0
"""Seconds for which an idle worker is watched."""

OF_OURS = re.compile(r"^queue_tasks LOG: {2}(?:statement|execute [^:]*): (?P<text>.*)", re.MULTILINE)
LIVENESS = re.compile(r"queue_tasks: (?:heartbeat|look_around|notify_usage)")


def idle(bench: Bench) -> Found:
    """Cold start to ready beyond Django's own start; memory and statements of an idle worker."""
    server = bench.server
    OURS.reset(server)
    series = bench.paired(
        {DJANGO: partial(django_alone, server), WORKER: partial(to_ready, server)}, required=(WORKER,)
    )
    beyond = [
        mine - django
        for mine, django in zip(series.values(WORKER, "seconds"), series.values(DJANGO, "seconds"), strict=True)
    ]
    memory, statements, liveness = watched(bench)
    return Found(
        findings=[
            Finding.at_most(
                "10. start of queue_worker to ready, beyond Django's own",
                0.7,
                sorted(beyond)[len(beyond) // 2],
                "s",
                f" (Django's own {series.median(DJANGO, 'seconds'):.2f} s)",
            ),
            Finding.at_most("10. memory of an idle worker", 60, memory, "MB"),
            Finding.at_most(
                "10. statements of an idle worker",
                0.3,
                statements,
                "/s",
                f" ({liveness:.2f} of them signs of life)",
            ),
        ]
    )


def django_alone(server: Server) -> Figures:
    """Seconds of a Python that sets Django up, without us, and ends."""
    told = {**environment(server, OURS.database), "BENCHMARK_BARE": "1"}
    with Program([sys.executable, "-c", "import django; django.setup(); print('ready')"], told) as program:
        program.wait_for("ready")
        return {"seconds": time.monotonic() - program.started}


def to_ready(server: Server) -> Figures:
    """Seconds to a worker's first line."""
    with Program(our_worker(), environment(server, OURS.database)) as program:
        program.wait_for("ready")
        return {"seconds": time.monotonic() - program.started}


def watched(bench: Bench) -> tuple[float, float, float]:
    """Megabytes, statements a second, and those of them that are signs of life, by the server's own log."""
    server, seconds = bench.server, max(10.0, WATCH * bench.scale)
    server.for_database("log_statements", OURS.database)
    try:
        with start_ours(server, OURS.database, our_worker()) as worker:
            time.sleep(SETTLE)
            before = server.log_size()
            time.sleep(seconds)
            said = [match["text"] for match in OF_OURS.finditer(server.logged_since(before))]
            memory = worker.memory()
    finally:
        server.for_database("log_nothing", OURS.database)
    return memory, len(said) / seconds, sum(bool(LIVENESS.search(text)) for text in said) / seconds
