"""S31 rolling-deploy: workers of two releases side by side, and a live migration of the tables they work on.

Release 2 of the application `shop` (see tests.chaos.releases) has tasks of each kind that release 1 does not know, has
changed two, and removed one. Its first web process enqueues before any of its workers is there; the last one of release
1 still enqueues when all of its workers are gone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.chaos import accounting
from tests.chaos.accounting import Acked
from tests.chaos.harness import TASKS, Chaos
from tests.postgres import PROJECT
from tests.waiting import wait_until

RELEASES = Path(__file__).parent / "releases"
SETTINGS = "tests.chaos.releases.settings"
DEPLOY = "chaos deploy"
"""What the sessions of `migrate` call themselves."""

BEHIND = (
    # What a migration of procrastinate's or an operator may have left: `migrate` repairs it.
    """
    create trigger procrastinate_trigger_delete_jobs_v1 before delete on procrastinate_jobs
        for each row execute function procrastinate_unlink_periodic_defers_v1()
    """,
    "drop index procrastinate_jobs_qt_expires_idx",
)


@dataclass(frozen=True)
class Kind:
    """A kind of job."""

    task: str
    weight: int
    """Its share of the jobs, of all weights."""
    arguments: tuple[Any, ...] = ()
    """After the key."""
    release: int | None = None
    """The one release that can run it; None: both."""
    before: str = "succeeded"
    """The end of one that was enqueued when there was only release 1."""
    after: str = "succeeded"
    """The end of one that was enqueued when there was only release 2."""


KINDS = {
    "sync": Kind(TASKS["sync"], 24, (0.01,)),
    "async": Kind(TASKS["async"], 24, (0.01,)),
    "atomic": Kind(TASKS["atomic"], 16, (0.01,)),
    "process": Kind(TASKS["process"], 1),
    "new": Kind("shop.tasks.notify", 8, release=2),
    "new async": Kind("shop.tasks.stream", 8, release=2),
    "new atomic": Kind("shop.tasks.settle", 8, release=2),
    "new process": Kind("shop.tasks.render", 1, release=2),
    "removed": Kind("shop.tasks.fax", 4, release=1, after="todo"),
    "charge, as before": Kind("shop.tasks.charge", 2, release=1, after="failed"),
    "charge, changed": Kind("shop.tasks.charge", 2, ("EUR",), release=2, before="failed"),
    "bill, changed": Kind("shop.tasks.bill", 2, ("EUR",), release=2),
}
"""No `bill` as before: it would be tried again for ever under release 2."""

CHANGED = {name for name in KINDS if name.startswith(("charge", "bill"))}
"""Those that cost an attempt when their arguments do not fit, though their body does not start."""


def test_two_releases_run_side_by_side_while_their_tables_are_migrated(chaos: Chaos) -> None:
    workers, rate, seconds, longest = chaos.size(quick=(2, 60, 3, 6), full=(4, 300, 60, 2))
    for statement in BEHIND:
        chaos.db.execute(statement)
    web = Web(chaos, rate)

    def release(number: int) -> dict[str, str]:
        return environment(1 if number < workers else 2)

    with chaos.fleet(workers, settings=SETTINGS, environment=release) as fleet, ThreadPoolExecutor(2) as pool:
        old = {member.pid for member in fleet.ready}
        with web:
            first = web.enqueue(list(KINDS))
            wait_until(lambda: looked_at(chaos, first), 90, "release 1 looked at every kind")
            stands = threading.Event()
            turned_away = pool.submit(stand_in_the_way, chaos, stands)
            wait_until(lambda: stands.is_set() or turned_away.done(), message="a reader stands in the way")
            migration = pool.submit(migrate, chaos)
            for member, ended in zip(list(fleet.ready), chaos.moments(workers, of=rate * seconds), strict=True):
                chaos.until_ended(ended)
                fleet.terminate(member)
                fleet.until_whole()
            said, since, until = migration.result(timeout=120)
            wait_until(lambda: len(chaos.acked) >= rate * seconds, seconds + 60, "every job is enqueued")
        last = web.enqueue(list(KINDS))
        wait_until(lambda: not left(chaos, web), 120, f"every job ended; {chaos.statuses()}")
        # None of those that still wait may be in a worker's hands when it is counted.
        fleet.stop()
    books = chaos.books(fleet)
    counts = accounting.count(books)
    charged = {web.kind_of[job.key] for job, *_ in counts.offending.get("X", [])}
    astray = ran_astray(books, web, old)
    wrong = wrong_ends(chaos, web)
    stall = longest_stall(chaos, since, until)
    chaos.report(
        fleet,
        charged=counts.X,
        criteria={
            f"an unknown task costs no attempt: {charged}": charged <= CHANGED,
            f"each job by a release that knows it: {astray[:3]}": not astray,
            f"a changed task says what is given and taken, a removed one waits: {wrong[:3]}": not wrong,
            "what came first": ends_of(chaos, first) == [kind.before for kind in KINDS.values()],
            "what came last": ends_of(chaos, last) == [kind.after for kind in KINDS.values()],
            "a migration gave way to a transaction that held the table": turned_away.result(),
            f"migrated: {said}": "0001_note_on_jobs... OK" in said,
            f"repaired: {said}": said.count("Repaired") == len(BEHIND),
            f"no stall longer than {longest} s": stall <= longest + chaos.slack,
            "no cached plan": "cached plan" not in fleet.output,
            "every worker left as asked": [exit_.code for exit_ in fleet.exits] == [0] * 2 * workers,
        },
        figures={"stall": stall, "put back": put_back(chaos), "migration": until - since},
    )


def environment(release: int) -> dict[str, str]:
    """What makes a process one of this release."""
    return {"PYTHONPATH": str(RELEASES / ("one", "two")[release - 1])}


@dataclass
class Web:
    """The web processes of both releases: `with` it they enqueue so many jobs a second."""

    chaos: Chaos
    rate: int
    kind_of: dict[str, str] = field(default_factory=dict)
    """Key -> kind."""

    def __enter__(self) -> Self:
        self._db = self.chaos.connect()
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="chaos web")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._failed and error is None:
            raise self._failed[0]

    def _run(self) -> None:
        begun, done = time.monotonic(), 0
        weights = [kind.weight for kind in KINDS.values()]
        try:
            while not self._stop.wait(0.05):
                due = int((time.monotonic() - begun) * self.rate) - done
                self.enqueue(self.chaos.random.choices(list(KINDS), weights, k=due))
                done += due
        except psycopg.Error as exc:
            self._failed.append(exc)

    def enqueue(self, names: list[str]) -> list[Acked]:
        """Enqueue jobs of these kinds, in one transaction."""
        keys = [self.chaos.key() for _ in names]
        self.kind_of.update(zip(keys, names, strict=True))
        ids = self._db.execute(
            "select queue_tasks_enqueue_v1(j.task, j.args::jsonb) as id "
            "from unnest(%s::text[], %s::text[]) with ordinality j (task, args, n) order by j.n",
            [
                [KINDS[name].task for name in names],
                [json.dumps([key, *KINDS[name].arguments]) for key, name in zip(keys, names, strict=True)],
            ],
        ).fetchall()
        jobs = [Acked(key, row["id"], atomic="atomic" in name) for key, name, row in zip(keys, names, ids, strict=True)]
        self.chaos.acked += jobs
        return jobs

    def ids(self, *names: str) -> list[int]:
        """The jobs of these kinds."""
        return [job.job_id for job in list(self.chaos.acked) if self.kind_of[job.key] in names]


# ------------------------------------------------------------------------------------------------------- the migration


def migrate(chaos: Chaos) -> tuple[str, float, float]:
    """What a deploy runs: `manage.py migrate` of release 2. What it said, and from when to when by the database."""
    db = chaos.connect()
    now = "select extract(epoch from clock_timestamp())::float8 as at"
    since = db.execute(now).fetchall()[0]["at"]
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        cwd=PROJECT,
        env={
            **os.environ,
            **environment(2),
            "DATABASE_URL": chaos.url,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "PGAPPNAME": DEPLOY,
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, since, db.execute(now).fetchall()[0]["at"]


def stand_in_the_way(chaos: Chaos, stands: threading.Event) -> bool:
    """A transaction that has read the jobs and stays until the migration has waited for it, and given way."""
    with psycopg.connect(chaos.url, application_name="chaos reader") as reader, chaos.connect() as db:
        reader.execute("select from procrastinate_jobs limit 1")
        stands.set()
        waiting = (
            "select count(*) as n from pg_stat_activity where application_name = %s and datname = current_database() "
            "and %s = any (pg_blocking_pids(pid))"
        )
        for there in (1, 0):
            wait_until(
                lambda: db.execute(waiting, [DEPLOY, reader.info.backend_pid]).fetchall()[0]["n"] == there,  # noqa: B023 - at once
                90,
                f"{there} sessions of the migration wait for the reader",
            )
        return True


def longest_stall(chaos: Chaos, since: float, until: float) -> float:
    """Seconds of the migration in which no job ended, by the rows' own times."""
    statement = """
        select coalesce(max(gap), 'infinity')::float8 as gap
        from (
            select extract(epoch from j.qt_finished_at - lag(j.qt_finished_at) over (order by j.qt_finished_at)) as gap
            from procrastinate_jobs j
            where j.status = 'succeeded'
                and j.qt_finished_at between to_timestamp(%s) - interval '1 s' and to_timestamp(%s)
        ) g
    """
    return float(chaos.rows(statement, since, until)[0]["gap"])


# ---------------------------------------------------------------------------------------------------------- the judging


def looked_at(chaos: Chaos, jobs: list[Acked]) -> bool:
    """Whether release 1 has done what it can with each of these: run it, failed it, or put it back."""
    statement = """
        select count(*) as n from procrastinate_jobs
        where id = any (%s) and (status = 'doing' or (status = 'todo' and scheduled_at is null))
    """
    return not chaos.rows(statement, [job.job_id for job in jobs])[0]["n"]


def left(chaos: Chaos, web: Web) -> int:
    """The jobs that are not done; one of a removed task that waits is."""
    statement = """
        select count(*) as n from procrastinate_jobs
        where status = 'doing' or (status = 'todo' and (scheduled_at is null or id <> all (%s)))
    """
    return int(chaos.rows(statement, web.ids("removed"))[0]["n"])


def put_back(chaos: Chaos) -> int:
    """How often jobs went back with no attempt spent: of unknown tasks, and those a worker gave back when it ended."""
    statement = "select coalesce(sum(qt_lease - attempts), 0)::int as n from procrastinate_jobs"
    return int(chaos.rows(statement)[0]["n"])


def ran_astray(books: accounting.Books, web: Web, old: set[int]) -> list[tuple[str, accounting.Execution]]:
    """Runs under a release that does not have the task, or not with these arguments."""
    return [
        (web.kind_of[run.key], run)
        for run in books.executions
        if KINDS[web.kind_of[run.key]].release not in (None, 1 if run.pid in old else 2)
    ]


def wrong_ends(chaos: Chaos, web: Web) -> list[tuple[str, dict[str, Any]]]:
    """Jobs that did not end as their kind may."""
    statement = """
        select id, status::text as status, attempts, qt_errors::text as errors
        from procrastinate_jobs where id = any (%s) and status <> 'succeeded'
    """
    kinds = {job.job_id: web.kind_of[job.key] for job in chaos.acked}
    found = [(kinds[row["id"]], row) for row in chaos.rows(statement, list(kinds))]
    return [(kind, row) for kind, row in found if not may_end(KINDS[kind], **row)]


def may_end(kind: Kind, *, status: str, attempts: int, errors: str | None, **_: Any) -> bool:
    """Whether this is an end of the kind other than success: a removed task waits, a changed one fails and says why."""
    if status not in (kind.before, kind.after):
        return False
    if status == "todo":
        return attempts == 0
    given = f"gives {kind.task} ({1 + len(kind.arguments)} by position), and the function takes (key"
    return attempts == 1 and "ArgumentsDoNotFit" in (errors or "") and given in (errors or "")


def ends_of(chaos: Chaos, jobs: list[Acked]) -> list[str]:
    """The statuses of some jobs, in their order."""
    statement = "select status::text as status from procrastinate_jobs where id = any (%s) order by id"
    return [row["status"] for row in chaos.rows(statement, [job.job_id for job in jobs])]
