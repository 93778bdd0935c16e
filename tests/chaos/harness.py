"""Chaos: what a scenario has in hand. Its database, its seed, its workers, its jobs, and at the end its report.

    def test_s01_...(chaos: Chaos) -> None:
        jobs = chaos.enqueue(chaos.size(quick=100, full=10_000), mode="sync", seconds=(0.05, 0.2))
        with chaos.fleet() as fleet:
            for done in chaos.moments(3, of=len(jobs)):      # at three moments of the run, from the seed
                chaos.until_ended(done)
                fleet.kill(chaos.random.choice(fleet.ready))
            chaos.until_done()
        chaos.report(fleet, most_duplicates=24)              # prints the line, holds the standing rule

The environment says how (tools/chaos.py sets it): CHAOS_FULL=1 for full size, CHAOS_SEED, CHAOS_PEER=procrastinate,
CHAOS_RESULTS, a file that every report is appended to as a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.rows import dict_row

from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres
from tests.acceptance.workers import WorkerProcess
from tests.chaos import accounting, ledger
from tests.chaos.accounting import Acked, Books, Counts
from tests.chaos.fleet import Fleet
from tests.chaos.proxy import Proxy
from tests.postgres import PROJECT
from tests.waiting import wait_until

T = TypeVar("T")

FULL = os.environ.get("CHAOS_FULL") == "1"
SEED = int(os.environ.get("CHAOS_SEED") or 1)
PEER = os.environ.get("CHAOS_PEER") or None
CHUNK = 1000
NO_ANSWER = ("08", "57P")
"""Beginnings of the SQLSTATEs of a broken connection and of a server that goes away: it may have committed or not."""

TASKS = {
    "sync": "tests.chaos.tasks.work",
    "async": "tests.chaos.tasks.work_async",
    "process": "tests.chaos.tasks.work_process",
    "atomic": "tests.chaos.tasks.work_atomic",
    "gated": "tests.chaos.tasks.gated",
    "gated async": "tests.chaos.tasks.gated_async",
    "gated process": "tests.chaos.tasks.gated_process",
    "gated atomic": "tests.chaos.tasks.gated_atomic",
    "watchful": "tests.chaos.tasks.watchful",
}


class StockProcess(WorkerProcess):
    """procrastinate's own worker."""

    @property
    def said_ready(self) -> bool:
        return any("Starting worker on" in line for line in self.errors)


class Chaos:
    """See the module. Made by the fixture `chaos`, which ends everything it began."""

    def __init__(self, scenario: str, url: str, folder: Path, stack: ExitStack) -> None:
        self.scenario = scenario
        self.seed, self.full, self.peer = SEED, FULL, PEER
        self.random = random.Random(f"{scenario} {SEED}")  # noqa: S311 - a plan of faults, to be repeated
        self.folder = folder
        self.server: EmbeddedPostgres | None = None
        self.acked: list[Acked] = []
        self.forbidden: set[str] = set()
        self.unanswered: set[str] = set()
        self.cleared: list[float] = []
        self.begun = time.time()
        self.fleets: list[Fleet] = []
        self.reported = False
        self._stack = stack
        self._keys = 0
        self.url = ""
        self._db: psycopg.Connection[dict[str, Any]]
        self.use(url)
        self._db.execute(ledger.TABLES)

    def size(self, *, quick: T, full: T) -> T:
        """A number that depends on the form: `make test` runs the quick one, `make chaos` the full one."""
        return full if self.full else quick

    @property
    def slack(self) -> float:
        """Seconds that the quick form, which shares the machine with other tests, may take beyond a promise."""
        return self.size(quick=20.0, full=0.0)

    @property
    def modes(self) -> list[str]:
        """The ways a body can run, of "sync", "async", "process" and "atomic", that there are."""
        if self.peer:
            return ["sync", "async"]
        from tests.chaos.tasks import MODES

        return list(MODES)

    # ------------------------------------------------------------------------------------------------ the database

    def own_server(self, **settings: Any) -> EmbeddedPostgres:
        """A server of the scenario's own, to be halted and restarted, with a migrated database; `url` is then its."""
        server = EmbeddedPostgres(self.folder / "pg", settings={**FORGETFUL, **settings}, temporary=True)
        self.server = self._stack.enter_context(server)
        migrate(server.url, self.peer)
        self.use(server.url)
        self._db.execute(ledger.TABLES)
        return server

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter something that is left at the scenario's end, in the reverse order."""
        return self._stack.enter_context(context)

    def proxy(self) -> Proxy:
        """A proxy before the database; give its `url` to a fleet."""
        return self._stack.enter_context(Proxy(self.url))

    def connect(self, **options: Any) -> psycopg.Connection[dict[str, Any]]:
        """A connection of the scenario's own, closed at its end."""
        connection = psycopg.connect(
            self.url, autocommit=True, row_factory=dict_row, application_name="chaos", **options
        )
        self._stack.callback(connection.close)
        return connection

    @property
    def db(self) -> psycopg.Connection[dict[str, Any]]:
        """The connection the scenario looks through; opened anew after a restart."""
        if self._db.closed or self._db.broken:
            self._db = self.connect()
        return self._db

    def rows(self, statement: Any, *parameters: Any, **named: Any) -> list[dict[str, Any]]:
        """The rows of a statement, asked again while the server is away."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.db.execute(statement, parameters or named or None).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise

    def use(self, url: str) -> None:
        """Have everything go to the database of this URL from now on: the scenario's looks, enqueuers, the ledger."""
        self.url = url
        self._db = self.connect()

    # ------------------------------------------------------------------------------------------------ the jobs

    def key(self) -> str:
        """A new one."""
        self._keys += 1
        return f"{self.scenario}-{self._keys:06}"

    def enqueue(
        self,
        count: int,
        mode: str = "sync",
        *,
        seconds: float | tuple[float, float] = 0.0,
        lock: Callable[[int], str | None] | None = None,
        priority: int = 0,
        url: str | None = None,
    ) -> list[Acked]:
        """Enqueue jobs of tests.chaos.tasks by SQL, a thousand to a transaction; acknowledged when it has committed.

        seconds: that a body takes; a pair is a range to draw from. lock: of the nth.
        """
        jobs: list[Acked] = []
        with psycopg.connect(url or self.url, autocommit=True, application_name="chaos enqueue") as connection:
            while len(jobs) < count:
                part = []
                for number in range(len(jobs), min(count, len(jobs) + CHUNK)):
                    took = seconds if isinstance(seconds, float | int) else self.random.uniform(*seconds)
                    part.append((self.key(), round(took, 4), None if lock is None else lock(number)))
                try:
                    ids = insert(connection, TASKS[mode], part, priority, self.peer)
                except psycopg.Error as exc:
                    if exc.sqlstate is None or exc.sqlstate.startswith(NO_ANSWER):
                        self.unanswered |= {key for key, *_ in part}
                    raise
                jobs += [
                    Acked(key, job_id, mode.endswith("atomic"), locked)
                    for (key, _, locked), job_id in zip(part, ids, strict=True)
                ]
        self.acked += jobs
        return jobs

    def enqueue_call(self, task: str, **arguments: Any) -> int:
        """Enqueue any task by its name, which no book knows of; the job's id."""
        if self.peer:
            statement = """
                select unnest(procrastinate_defer_jobs_v1(array[
                    row('default', %s, 0, null, null, %s::jsonb, null)::procrastinate_job_to_defer_v1
                ])) as id
            """
        else:
            statement = "select queue_tasks_enqueue_v1(%s, kwargs => %s::jsonb) as id"
        return int(self.rows(statement, task, json.dumps(arguments))[0]["id"])

    def statuses(self) -> dict[str, int]:
        """How many rows there are of each status."""
        found = self.rows("select status::text as status, count(*) as n from procrastinate_jobs group by 1")
        return {row["status"]: row["n"] for row in found}

    def ended(self) -> int:
        """The jobs of the ledger that ended."""
        return int(self.rows("select count(distinct key) as n from chaos_ledger where phase = 'end'")[0]["n"])

    @staticmethod
    def until(check: Callable[[], object], timeout: float) -> bool:
        """Wait until it is true, or for `timeout` seconds; whether it became true. For what a criterion judges."""
        try:
            wait_until(check, timeout)
        except pytest.fail.Exception:
            return False
        return True

    def until_ended(self, number: int, timeout: float = 120) -> None:
        """Wait until so many jobs have ended."""
        wait_until(lambda: self.ended() >= number, timeout, f"{number} jobs ended")

    def open_gates(self, jobs: Sequence[Acked]) -> None:
        """Wait until these gated jobs run, all of them at once, and let them go."""
        keys = [job.key for job in jobs]
        started = "select count(distinct key) as n from chaos_ledger where phase = 'start' and key = any (%s)"
        wait_until(lambda: self.rows(started, keys)[0]["n"] == len(keys), 90, f"{len(keys)} jobs run at once")
        self.db.execute(
            "insert into chaos_ledger (key, job_id, lease, attempt, pid, phase) "
            "select key, 0, 0, 0, 0, 'open' from unnest(%s::text[]) key",
            [keys],
        )

    def until_done(self, timeout: float = 120) -> None:
        """Wait until no acknowledged job waits or runs."""
        ids = [job.job_id for job in self.acked]

        def left() -> int:
            statement = (
                "select count(*) as n from procrastinate_jobs where id = any (%s) "
                "and status in ('todo'::procrastinate_job_status, 'doing'::procrastinate_job_status)"
            )
            return int(self.rows(statement, ids)[0]["n"])

        wait_until(lambda: not left(), timeout, f"every job ended; {self.statuses()}")

    def moments(self, count: int, of: int) -> list[int]:
        """`count` moments of a run of `of` jobs, drawn from the seed: numbers of ended jobs, in order."""
        return sorted(self.random.sample(range(of // 20, max(of * 4 // 5, of // 20 + count)), count))

    # ------------------------------------------------------------------------------------------------ the workers

    def fleet(
        self,
        size: int | None = None,
        *flags: str,
        concurrency: int = 4,
        url: str | None = None,
        options: Mapping[str, Any] | None = None,
        respawn: bool = True,
        settings: str = "tests.chaos.settings",
        environment: Mapping[str, str] | Callable[[int], Mapping[str, str]] | None = None,
    ) -> Fleet:
        """Workers (two in the quick form, four in the full one), as a context manager.

        url: the database as they see it, such as a proxy's. options: more OPTIONS of the backend. settings: another
        module of settings, made on the scenarios' own. environment: more variables; a function gives those of the nth
        worker that is started, from 0.
        """

        def start(number: int) -> WorkerProcess:
            more = environment(number) if callable(environment) else environment
            variables = {
                "CHAOS_LEDGER_URL": self.url,
                "CHAOS_OPTIONS": json.dumps(dict(options or {})),
                **(more or {}),
            }
            if self.peer:
                return StockProcess(
                    url or self.url,
                    "--concurrency",
                    str(concurrency),
                    settings="tests.chaos.stock_settings",
                    command=("procrastinate", "worker"),
                    environment=variables,
                )
            return WorkerProcess(
                url or self.url,
                "--concurrency",
                str(concurrency),
                *flags,
                settings=settings,
                environment=variables,
            )

        fleet = Fleet(start, size or self.size(quick=2, full=4), respawn=respawn)
        self.fleets.append(fleet)
        return fleet

    # ------------------------------------------------------------------------------------------------ the report

    def clear(self) -> None:
        """A fault is over: Trec counts from here."""
        self.cleared.append(time.time())

    def books(self, *fleets: Fleet) -> Books:
        """Everything to count from, as it is now."""
        return accounting.read(
            self.db,
            self.acked,
            forbidden=frozenset(self.forbidden),
            unanswered=frozenset(self.unanswered),
            deaths=[death for fleet in fleets for death in fleet.deaths],
            exits=[exit_ for fleet in fleets for exit_ in fleet.exits],
            cleared=self.cleared,
            living=frozenset(m.pid for fleet in fleets for m in fleet.living if not m.frozen),
        )

    def report(
        self,
        *fleets: Fleet,
        most_duplicates: int | None = None,
        criteria: Mapping[str, bool] | None = None,
        may_exit: int = 0,
        charged: int = 0,
        figures: Mapping[str, Any] | None = None,
        variant: str = "",
    ) -> Counts:
        """Count, print the report line, and hold the scenario to the standing rule and to its own criteria.

        most_duplicates: what D may be; None: anything. criteria: name -> whether it was met. may_exit, charged: what W
        and X may be. figures: more for the line. variant: tells several reports of one scenario apart.
        """
        counts = accounting.count(self.books(*fleets))
        failed = [name for name in ("L", "K", "U", "E2") if getattr(counts, name)]
        failed += ["W"] if may_exit < counts.W else []
        failed += ["X"] if charged < counts.X else []
        failed += ["D"] if most_duplicates is not None and most_duplicates < counts.D else []
        unmet = [name for name, met in (criteria or {}).items() if not met]
        name = f"{self.scenario} {variant}" if variant else self.scenario
        line = counts.line(name, self.seed, most_duplicates, figures)
        self.say(
            line,
            passed=not failed and not unmet,
            counts=counts,
            unmet=[*failed, *unmet],
            figures=figures,
            variant=variant,
        )
        assert not failed, f"{line}\n{accounting.explain(counts, failed)}\n{self._said(fleets)}"
        assert not unmet, f"{line}\nnot met: {', '.join(unmet)}\n{self._said(fleets)}"
        return counts

    def say(
        self,
        line: str,
        *,
        passed: bool,
        counts: Counts | None = None,
        unmet: Sequence[str] = (),
        figures: Mapping[str, Any] | None = None,
        variant: str = "",
    ) -> None:
        """Print a report line, and keep it for the table."""
        self.reported = True
        say_result(
            self.scenario,
            line,
            passed=passed,
            unmet=unmet,
            figures=figures,
            variant=variant,
            seconds=round(time.time() - self.begun, 1),
            counts={} if counts is None else counts.as_json(),
        )

    def report_failure(self, why: str) -> None:
        """The report of a scenario that came to none: what the books say at its end."""
        try:
            counts = accounting.count(self.books(*self.fleets))
        except (psycopg.Error, LookupError):
            counts = Counts(A=len(self.acked))
        self.say(counts.line(self.scenario, self.seed), passed=False, counts=counts, unmet=[why])
        print(accounting.explain(counts, ("L", "K", "E2", "U", "X", "W")), self._said(self.fleets), sep="\n")  # noqa: T201 - as `report`

    @staticmethod
    def _said(fleets: Sequence[Fleet]) -> str:
        return "\n".join(fleet.output[-6000:] for fleet in fleets)


def insert(
    connection: psycopg.Connection[Any],
    task: str,
    jobs: Sequence[tuple[str, float, str | None]],
    priority: int,
    peer: str | None,
) -> list[int]:
    """Insert jobs (key, seconds, lock) in one transaction; their ids."""
    keys, seconds, locks = ([job[n] for job in jobs] for n in range(3))
    if peer:
        statement = """
            select unnest(procrastinate_defer_jobs_v1(array_agg(
                row(
                    'default', %(task)s, %(priority)s, j.lock, null,
                    jsonb_build_object('key', j.key, 'seconds', j.seconds), null
                )::procrastinate_job_to_defer_v1 order by j.n
            )))
            from unnest(%(keys)s::text[], %(seconds)s::float8[], %(locks)s::text[])
                with ordinality j (key, seconds, lock, n)
        """
    else:
        statement = """
            select queue_tasks_enqueue_v1(
                %(task)s, jsonb_build_array(j.key, j.seconds), priority => %(priority)s, lock => j.lock
            )
            from unnest(%(keys)s::text[], %(seconds)s::float8[], %(locks)s::text[])
                with ordinality j (key, seconds, lock, n)
            order by j.n
        """
    values = {"task": task, "priority": priority, "keys": keys, "seconds": seconds, "locks": locks}
    return [row[0] for row in connection.execute(statement, values).fetchall()]


def migrate(url: str, peer: str | None) -> None:
    """Make the tables: ours on procrastinate's, or procrastinate's alone."""
    settings = "tests.chaos.stock_settings" if peer else "tests.settings"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings},
        check=True,
    )


def say_result(
    scenario: str,
    line: str,
    *,
    passed: bool,
    unmet: Sequence[str] = (),
    figures: Mapping[str, Any] | None = None,
    variant: str = "",
    **more: Any,
) -> None:
    """Print a report line, and keep it for the table."""
    print(f"\n{line}{'' if passed else ' FAILED: ' + ', '.join(unmet)}", flush=True)  # noqa: T201 - the report
    keep_result(
        {
            "seconds": 0.0,
            "counts": {},
            **more,
            "scenario": scenario,
            "variant": variant,
            "line": line,
            "passed": passed,
            "figures": dict(figures or {}),
            "unmet": list(unmet),
        }
    )


def keep_result(result: Mapping[str, Any]) -> None:
    """Append to the file that tools/chaos.py reads, if there is one."""
    results = os.environ.get("CHAOS_RESULTS")
    if results:
        with Path(results).open("a") as file:
            file.write(json.dumps(result, default=str) + "\n")
