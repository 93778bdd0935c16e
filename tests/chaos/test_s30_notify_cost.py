"""S30 notify-cost: sixty-four writers that enqueue, with what tells workers of jobs and without.

served     two workers, asleep at first, run what is enqueued
full       every slot of two workers is taken: nobody can start what is enqueued, and nobody asks to be told
listened   nobody works, and a session listens that no one knows: it is told of each; shown, and held to nothing
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from site_app.embedded_postgres import EmbeddedPostgres
from site_app.embedded_postgres.binaries import find_binaries
from tests.chaos.fleet import Fleet
from tests.chaos.harness import FULL, Chaos
from tests.waiting import wait_until

WRITERS = 64
SECONDS = 10  # of each turn
TURNS = 5
WRITE = "select queue_tasks_enqueue_v1('tests.testapp.tasks.noop_ephemeral', ephemeral => true);\n"
SILENT = "create or replace function queue_tasks_wake_queue_v1(p_queue text) returns void language sql as 'select'"
LIVING = Path(__file__).parents[2] / "sql" / "functions" / "queue_tasks_wake_queue_v1.sql"
# Who is told nothing looks as often as polling goes.
OFTEN = {"poll_interval": 0.05}

pytestmark = pytest.mark.skipif(not FULL, reason="a measurement, in full size only")


def test_workers_that_run_the_jobs_cost_the_writers_little(chaos: Chaos, tmp_path: Path) -> None:
    server = chaos.own_server(fsync="on", full_page_writes="on")

    def until_run() -> None:
        wait_until(lambda: not {"todo", "doing"} & set(chaos.statuses()), 120)

    with chaos.fleet(2, concurrency=10, options=OFTEN) as fleet:
        loud, silent = in_turns(chaos, server, tmp_path, after=until_run)
    judge(chaos, loud, silent, "served", fleet)


def test_workers_that_are_full_cost_the_writers_little(chaos: Chaos, tmp_path: Path) -> None:
    server = chaos.own_server(fsync="on", full_page_writes="on")
    with chaos.fleet(2, concurrency=1, options=OFTEN) as fleet:
        held = chaos.enqueue(2, "gated", seconds=600)
        wait_until(lambda: chaos.statuses() == {"doing": 2})
        loud, silent = in_turns(chaos, server, tmp_path)
        chaos.db.execute("delete from procrastinate_jobs where status = 'todo'")
        chaos.open_gates(held)
        chaos.until_done()
    judge(chaos, loud, silent, "full", fleet)


def test_who_listens_unknown_to_all_is_told_of_every_job(chaos: Chaos, tmp_path: Path) -> None:
    server = chaos.own_server(fsync="on", full_page_writes="on")
    loud, silent = in_turns(chaos, server, tmp_path)
    chaos.report(
        figures=figures(loud, silent),
        criteria={"it hears of each": loud.told >= 0.99 * loud.enqueued},
        variant="listened",
    )


@dataclass
class Turns:
    """What came of the turns of one way."""

    rates: list[float] = field(default_factory=list)
    """Enqueues a second."""
    told: int = 0
    """Notifications in all."""

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def enqueued(self) -> float:
        return sum(self.rates) * SECONDS


def judge(chaos: Chaos, loud: Turns, silent: Turns, variant: str, *fleets: Fleet) -> None:
    """At most a tenth of the writers' rate is lost."""
    chaos.report(
        *fleets,
        most_duplicates=0,
        figures=figures(loud, silent),
        criteria={
            "at most a tenth is lost": loud.rate >= 0.9 * silent.rate,
            "at most a twentieth is told": loud.told <= 0.05 * loud.enqueued,
            "without it nothing is told": silent.told == 0,
        },
        variant=variant,
    )


def figures(loud: Turns, silent: Turns) -> dict[str, str]:
    return {
        "with": f"{loud.rate:.0f}/s",
        "without": f"{silent.rate:.0f}/s",
        "loss": f"{1 - loud.rate / silent.rate:.3f}",
        "told": f"{loud.told} of {loud.enqueued:.0f}",
    }


def in_turns(
    chaos: Chaos, server: EmbeddedPostgres, folder: Path, after: Callable[[], None] = lambda: None
) -> tuple[Turns, Turns]:
    """Enqueue with what tells workers and without, in turns, so that what else the machine does meets both alike.

    after: waits until the jobs of a turn are out of the way of the next.
    """
    script = folder / "enqueue.sql"
    script.write_text(WRITE)
    folder.chmod(0o755)
    ways = {"loud": Turns(), "silent": Turns()}
    with listening(server.url) as heard:
        for _ in range(TURNS):
            for way, function in (("loud", LIVING.read_text()), ("silent", SILENT)):
                before = len(heard)
                chaos.db.execute(function.encode())
                ways[way].rates.append(transactions_a_second(server.url, server.version, script))
                ways[way].told += len(heard) - before
                after()
                chaos.db.execute("vacuum procrastinate_jobs")
    print(f"\n{ways}")  # noqa: T201 - beside the report
    return ways["loud"], ways["silent"]


@contextmanager
def listening(url: str) -> Iterator[list[str]]:
    """A session that hears all of it and is no worker; what it has heard."""
    stopping, ready = threading.Event(), threading.Event()
    heard: list[str] = []

    def listen() -> None:
        with psycopg.connect(url, autocommit=True, application_name="chaos listener") as connection:
            connection.execute("listen procrastinate_any_queue_v1")
            ready.set()
            while not stopping.is_set():
                heard.extend(notice.payload for notice in connection.notifies(timeout=0.2))

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(30)
    try:
        yield heard
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
