"""Tasks that do something: functions in threads, with and without the ORM, in processes, and naps on the loop."""

from __future__ import annotations

import threading
import time
from functools import partial

from benchmarks import durations
from benchmarks.bench import Bench, until_ended
from benchmarks.contestants import BARE, OURS, STOCK, environment, our_worker, start_ours
from benchmarks.harness import Figures, Turn
from benchmarks.measures.drain import drained, drained_by
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found
from benchmarks.server import Server, statement

THREAD, ORM, NAP, PROCESS = "thread", "orm", "nap", "process"
BARE_ORM, BARE_NAP = "bare threads, orm", "bare asyncio, nap"
REQUIRED = (THREAD, ORM, NAP, BARE_ORM, BARE_NAP)
NAPPING = 100
"""Naps at a time."""

SLOTS = 20


def sync(bench: Bench) -> Found:
    """Functions in threads, with the ORM, in processes; naps of 20 ms at concurrency 100."""
    server = bench.server
    server.rows(OURS.database, "queue_tasks/pages", count=1000)
    with OURS.client(server) as client:
        turns: dict[str, Turn] = {
            THREAD: partial(drained_by, server, client, THREAD, bench.count(20_000), (), SLOTS),
            ORM: partial(with_orm, server, client, bench.count(8_000)),
            BARE_ORM: partial(bare, server, "orm", bench.count(8_000), SLOTS),
            NAP: partial(drained_by, server, client, NAP, bench.count(20_000), (), NAPPING),
            BARE_NAP: partial(bare, server, "naps", bench.count(20_000), NAPPING),
            PROCESS: partial(in_processes, server, client, bench.count(2_000)),
        }
        if STOCK in bench.contestants:
            with STOCK.client(server) as stock:
                turns[STOCK.name] = partial(drained, server, STOCK, stock, THREAD, bench.count(1_500))
                series = bench.paired(turns, required=REQUIRED)
        else:
            series = bench.paired(turns, required=REQUIRED)
    ideal = NAPPING / durations.NAP
    found = Found(
        cells=[Cell("queue_tasks, kept", "threads, jobs/s", series.median(THREAD, "jobs/s"))],
        findings=[
            Finding.at_least("4. no-op functions in threads", 8_000, series.median(THREAD, "jobs/s"), "jobs/s"),
            Finding.at_least(
                "4. functions with one ORM query and one update", 2_000, series.median(ORM, "jobs/s"), "jobs/s"
            ),
            Finding.at_most(
                f"4. connections of the ORM's threads, {SLOTS} slots", SLOTS, series.worst(ORM, "connections")
            ),
            Finding.at_least(
                f"4. naps of 20 ms, {NAPPING} at a time: part of the ideal {ideal:,.0f}/s",
                98,
                100 * series.median(NAP, "jobs/s") / ideal,
                "%",
            ),
            Finding.seen(
                "one ORM query and one update, beside as many bare threads without a queue",
                series.ratio(ORM, BARE_ORM, "jobs/s"),
                "x",
            ),
            Finding.seen(
                "naps, beside a bare asyncio loop without a queue", series.ratio(NAP, BARE_NAP, "jobs/s"), "x"
            ),
        ],
    )
    if STOCK.name in series:
        found.cells.append(Cell(STOCK.name, "threads, jobs/s", series.median(STOCK.name, "jobs/s")))
        found.findings.append(
            Finding.seen("threads, beside procrastinate's own worker", series.ratio(THREAD, STOCK.name, "jobs/s"), "x")
        )
    if PROCESS in series:
        found.findings.append(
            Finding.seen(
                'no-op functions in processes (executor="process"), the start of the processes counted',
                series.median(PROCESS, "jobs/s"),
                "jobs/s",
            )
        )
    return found


def bare(server: Server, what: str, count: int, concurrency: int) -> Figures:
    """One turn of the same bodies without a queue."""
    with Program(BARE, environment(server, OURS.database)) as program:
        program.wait_for("ready")
        used = program.cpu()
        rate = float(program.ask(what, count, concurrency)[0])
        return {"jobs/s": rate, "CPU s/1,000": 1000 * (program.cpu() - used) / count}


def with_orm(server: Server, client: Program, count: int) -> Figures:
    """One turn, with the number of connections Django held at most."""
    most = 0
    over = threading.Event()
    sessions = statement("queue_tasks/orm_sessions").encode()

    def watch() -> None:
        nonlocal most
        with server.connect(OURS.database) as connection:
            while not over.wait(0.1):
                row = connection.execute(sessions).fetchone()
                most = max(most, row[0] if row else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        figures = drained_by(server, client, ORM, count, (), SLOTS)
    finally:
        over.set()
        watcher.join()
    # The client that enqueued has one, too.
    return {**figures, "connections": most - 1}


def in_processes(server: Server, client: Program, count: int) -> Figures:
    """One turn; bodies in other processes are not counted by marks, so the database is asked."""
    OURS.reset(server)
    client.ask("fill", PROCESS, count)
    OURS.settle(server)
    with start_ours(server, OURS.database, our_worker(concurrency=SLOTS)):
        started = time.monotonic()
        until_ended(server, OURS, every=0.1)
        return {"jobs/s": count / (time.monotonic() - started)}
