"""An open snapshot, as a backup or a report holds it: nothing that is done can be cleaned up while it stays open."""

from __future__ import annotations

import contextlib
from functools import partial

from benchmarks.bench import Bench
from benchmarks.contestants import OURS, our_worker, start_ours
from benchmarks.harness import Figures
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found
from benchmarks.server import Server, statement

JOBS = 200_000
WITH, WITHOUT = "with an open snapshot", "without"
WHOLE, LAST = "jobs/s", "jobs/s, last quarter"


def snapshot(bench: Bench) -> Found:
    """200,000 jobs while a repeatable-read transaction is open, and while none is."""
    server, jobs = bench.server, bench.count(JOBS)
    with OURS.client(server) as client:
        series = bench.paired(
            {
                WITHOUT: partial(drained, server, client, jobs, held=False),
                WITH: partial(drained, server, client, jobs, held=True),
            },
            required=(WITH, WITHOUT),
        )
    return Found(
        cells=[Cell(side, figure, series.median(side, figure)) for side in (WITHOUT, WITH) for figure in (WHOLE, LAST)],
        findings=[
            Finding.at_least(
                f"6. rate of the last quarter of {jobs:,} jobs with an open snapshot, beside that without",
                0.8,
                series.ratio(WITH, WITHOUT, LAST),
                "x",
            ),
            Finding.at_least("6. rate of all of them, the same", 0.8, series.ratio(WITH, WITHOUT, WHOLE), "x"),
        ],
    )


def drained(server: Server, client: Program, jobs: int, *, held: bool) -> Figures:
    """One turn. The snapshot is older than the jobs, as that of a backup that began before them."""
    quarter = jobs // 4
    OURS.reset(server)
    with contextlib.ExitStack() as stack:
        if held:
            connection = stack.enter_context(server.connect(OURS.database))
            connection.execute(statement("queue_tasks/begin_snapshot").encode())
            connection.execute(statement("queue_tasks/take_snapshot").encode())
        client.ask("fill", "noop", jobs)
        OURS.settle(server)
        worker = stack.enter_context(start_ours(server, OURS.database, our_worker(), count=jobs, mark=quarter))
        first = int(worker.wait_for("first")[0])
        number, moment = 0, first
        while number < 3 * quarter:
            number, moment = map(int, worker.wait_for("mark"))
        last = int(worker.wait_for("last")[0])
    return {WHOLE: jobs * 1e9 / (last - first), LAST: quarter * 1e9 / (last - moment)}
