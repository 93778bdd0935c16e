"""S26 scheduler-swarm: many schedulers whose clocks are off by up to five minutes, some killed at a tick, each second.

No tick twice, and with `All` none missed: also through an outage of the database, and while the schedule is edited.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from queue_tasks import All, schedules
from queue_tasks.periodic import Schedule
from queue_tasks.statements import ADD_SCHEDULE
from queue_tasks.store import schedule_as_json
from tests.acceptance.workers import WorkerProcess
from tests.chaos import accounting
from tests.chaos.accounting import Acked
from tests.chaos.fleet import Fleet
from tests.chaos.harness import PEER, Chaos
from tests.testapp.tasks import noop
from tests.waiting import wait_until

OURS = pytest.mark.skipif(PEER is not None, reason="schedules of our own")

EACH_SECOND = "* * * * * *"
EVEN = "*/2 * * * * *"
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
MOST_OFF = 300
"""Seconds that a clock is off at the most, either way."""
SECOND = timedelta(seconds=1)


def add(chaos: Chaos, name: str, **options: Any) -> None:
    """A schedule that makes jobs of a task that does nothing, as an operator adds it."""
    row = schedule_as_json(Schedule(task=noop, name=name, **options).as_row())
    chaos.db.execute(ADD_SCHEDULE, {"schedule": row})


def wrong_clock(seconds: int) -> dict[str, str]:
    """What makes a process's clock wrong by so many seconds; the one that counts from the start stays right."""
    return {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def swarm(chaos: Chaos, size: int, clock: Callable[[int], int], poll: float = 5) -> Fleet:
    """Workers, each with a clock that is off by so many seconds."""

    def start(number: int) -> WorkerProcess:
        off = wrong_clock(clock(number)) if clock(number) else {}
        flags = ("--concurrency", "4", "--poll-interval", str(poll))
        environment = {"CHAOS_OPTIONS": '{"grace": 5}', **off}
        return WorkerProcess(chaos.url, *flags, settings="tests.chaos.settings", environment=environment)

    return Fleet(start, size)


def ticks(chaos: Chaos, name: str) -> list[datetime]:
    """What the jobs of a schedule are for, in order."""
    rows = chaos.rows(
        "select (qt_meta ->> 'scheduled_for')::timestamptz as tick from procrastinate_jobs "
        "where qt_meta ->> 'schedule' = %s order by 1",
        name,
    )
    return [row["tick"] for row in rows]


def lateness(chaos: Chaos, name: str) -> list[float]:
    """Seconds from each tick to its job, by the database's clock."""
    rows = chaos.rows(
        "select extract(epoch from qt_enqueued_at - (qt_meta ->> 'scheduled_for')::timestamptz)::float8 as late "
        "from procrastinate_jobs where qt_meta ->> 'schedule' = %s",
        name,
    )
    return [row["late"] for row in rows]


def twice(found: list[datetime]) -> list[datetime]:
    return [tick for tick, after in zip(found, found[1:], strict=False) if tick == after]  # noqa: RUF007 - pairs


def missing(found: list[datetime]) -> list[datetime]:
    """The seconds between the first and the last tick that have none."""
    there = set(found)
    every = [found[0] + number * SECOND for number in range(int((found[-1] - found[0]) / SECOND))]
    return [tick for tick in every if tick not in there]


def passed_over(chaos: Chaos, name: str, found: list[datetime]) -> int:
    """The missed ticks that the history notes between the first job and the last."""
    rows = chaos.rows(
        "select coalesce(sum(n.passed), 0)::int as passed from queue_tasks_ticks n "
        "join queue_tasks_schedules s on s.id = n.schedule_id "
        "where s.name = %s and n.outcome = 'missed' and n.tick between %s and %s",
        name,
        found[0],
        found[-1],
    )
    return int(rows[0]["passed"])


def run_until(chaos: Chaos, name: str, count: int) -> None:
    wait_until(lambda: len(ticks(chaos, name)) >= count, 60 + 3 * count, f"{count} ticks of {name}")


@OURS
@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed: apt-get install faketime")
def test_no_tick_comes_twice_and_none_is_missed_whatever_the_clocks_and_the_deaths(chaos: Chaos) -> None:
    size, count, kills = chaos.size(quick=(3, 6, 1), full=(20, 600, 40))
    clocks = [chaos.random.randint(-MOST_OFF, MOST_OFF) or 1 for _ in range(size + kills)]
    clocks[:2] = [-MOST_OFF, MOST_OFF]
    limit = 2 + chaos.slack
    with swarm(chaos, size, lambda number: clocks[number % len(clocks)]) as fleet:
        add(chaos, "swarm", cron=EACH_SECOND, missed=All(max=1000))
        for moment in sorted(chaos.random.sample(range(2, count), kills)):
            run_until(chaos, "swarm", moment)
            # At a tick: whoever has just made a job, or is about to.
            fleet.kill(chaos.random.choice(fleet.ready or fleet.living))
        run_until(chaos, "swarm", count)
        found, late = ticks(chaos, "swarm"), lateness(chaos, "swarm")
    chaos.report(
        fleet,
        criteria={
            f"no tick twice: {twice(found)}": not twice(found),
            f"no tick missed: {missing(found)}": not missing(found),
            "no job before its tick by the database's clock": min(late) >= 0,
            f"lateness p99 <= {limit} s: {accounting.percentile(late, 99):.3f}": accounting.percentile(late, 99)
            <= limit,
            "as many kills as planned": len(fleet.deaths) == kills,
        },
        figures={"ticks": len(found), "late_p99_ms": round(1000 * accounting.percentile(late, 99), 1)},
    )


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed: apt-get install faketime")
@pytest.mark.parametrize("seconds", [-MOST_OFF, MOST_OFF])
def test_a_clock_that_is_set_wrong_is_wrong(seconds: int) -> None:
    asks = [sys.executable, "-c", "import time; print(time.time())"]
    said = subprocess.run(asks, env={**os.environ, **wrong_clock(seconds)}, check=True, capture_output=True, text=True)
    assert abs(float(said.stdout) - time.time() - seconds) < 60


@OURS
def test_one_living_worker_is_on_time(chaos: Chaos) -> None:
    count = chaos.size(quick=3, full=120)
    with swarm(chaos, 1, lambda _: 0, poll=60) as fleet:
        add(chaos, "lone", cron=EACH_SECOND, missed=All())
        run_until(chaos, "lone", count)
        found, late = ticks(chaos, "lone"), lateness(chaos, "lone")
    p99 = accounting.percentile(late, 99)
    # The promise is 50 ms, of a machine that is not busy with other tests.
    limit = 0.05 + chaos.slack
    chaos.report(
        fleet,
        criteria={f"lateness p99 <= {limit} s: {p99:.4f}": p99 <= limit, "none missed": not missing(found)},
        figures={"ticks": len(found), "late_p99_ms": round(1000 * p99, 1)},
        variant="alone",
    )


@OURS
def test_an_outage_over_several_ticks_ends_as_each_policy_says(chaos: Chaos) -> None:
    away = chaos.size(quick=3.0, full=25.0)
    server = chaos.own_server()
    for name, missed in (("all", All(max=1000)), ("latest", "latest"), ("skip", "skip")):
        add(chaos, name, cron=EACH_SECOND, missed=missed)
    with swarm(chaos, 2, lambda _: 0) as fleet:
        for name in ("all", "latest", "skip"):
            run_until(chaos, name, 2)
        before = len(ticks(chaos, "all"))
        server.halt("immediate")
        threading.Event().wait(away)
        server.resume()
        chaos.clear()
        for name in ("all", "latest", "skip"):
            run_until(chaos, name, before + 3)
        found = {name: ticks(chaos, name) for name in ("all", "latest", "skip")}
        passed = {name: passed_over(chaos, name, found[name]) for name in ("latest", "skip")}
    gaps = {name: len(missing(some)) for name, some in found.items()}
    chaos.report(
        fleet,
        criteria={
            f"All missed none: {missing(found['all'])}": not missing(found["all"]),
            f"no tick twice: {found}": not any(twice(some) for some in found.values()),
            f"latest passed over what it missed, and said so: {gaps} {passed}": gaps["latest"] >= 1
            and passed["latest"] == gaps["latest"],
            f"skip passed over what it missed, and said so: {gaps} {passed}": gaps["skip"] >= 1
            and passed["skip"] == gaps["skip"],
        },
        figures={"away": away, **{f"passed_{name}": count for name, count in passed.items()}},
        variant="outage",
    )


@OURS
def test_a_schedule_that_is_edited_while_it_fires_ticks_as_it_was_at_each_tick(chaos: Chaos) -> None:
    edits = chaos.size(quick=4, full=60)
    add(chaos, "edited", cron=EACH_SECOND, missed=All())
    since: list[tuple[datetime, str]] = [(datetime.min.replace(tzinfo=UTC), EACH_SECOND)]
    with swarm(chaos, chaos.size(quick=2, full=6), lambda _: 0, poll=60) as fleet:
        for number in range(edits):
            run_until(chaos, "edited", len(ticks(chaos, "edited")) + 1)
            line = EVEN if number % 2 == 0 else EACH_SECOND
            with transaction.atomic(), connection.cursor() as cursor:
                schedules.override("edited", cron=line)
                # By the edit's own transaction: once it has committed, the schedule may tick before it is looked at.
                cursor.execute("select last_tick from queue_tasks_schedules where name = 'edited'")
                since.append((cursor.fetchone()[0], line))
        run_until(chaos, "edited", len(ticks(chaos, "edited")) + 2)
        found = ticks(chaos, "edited")
    begins = [begin for begin, _ in since]
    odd_in_even = [tick for tick in found if tick.second % 2 == 1 and since[bisect_left(begins, tick) - 1][1] == EVEN]
    late = lateness(chaos, "edited")
    chaos.report(
        fleet,
        criteria={
            f"no tick twice: {twice(found)}": not twice(found),
            f"no tick of a line that was not in force: {odd_in_even}": not odd_in_even,
            "every edit was heard, and not at a poll": max(late) < 5 + chaos.slack,
        },
        figures={"edits": edits, "ticks": len(found)},
        variant="edited",
    )


def test_each_tick_of_procrastinates_comes_once_however_many_schedulers_there_are_and_die(chaos: Chaos) -> None:
    workers, kills, seconds = chaos.size(quick=(3, 1, 6), full=(12, 10, 120))
    with chaos.fleet(workers, concurrency=2, settings="tests.chaos.ticking_settings") as fleet:
        for ended in sorted(chaos.random.sample(range(2, seconds - 1), kills)):
            chaos.until_ended(ended, timeout=300)
            fleet.kill(chaos.random.choice(fleet.ready))
        chaos.until_ended(seconds, timeout=300)
        fleet.stop()
    ticks = chaos.rows(
        "select id, (args ->> 'timestamp')::bigint as at, status::text from procrastinate_jobs "
        "where task_name = 'tests.chaos.ticking.tick' order by id"
    )
    # Each is acknowledged by the transaction that its scheduler has committed.
    chaos.acked += [Acked(f"tick {row['at']}", row["id"]) for row in ticks]
    times = sorted(row["at"] for row in ticks)
    missed = sorted(set(range(times[0], times[-1] + 1)) - set(times))
    starts: dict[str, float] = {}
    for run in chaos.books(fleet).executions:
        starts[run.key] = min(run.started, starts.get(run.key, run.started))
    killed = {run.key for pid, at in fleet.deaths for run in accounting.in_flight(chaos.books(fleet), pid, at)}
    late = [at - float(key.split()[1]) for key, at in starts.items() if key not in killed]
    latest = 2 + chaos.slack
    chaos.report(
        fleet,
        most_duplicates=kills * 3,
        criteria={
            "no tick twice": len(times) == len(set(times)),
            f"no tick missed: {missed}": not missed,
            f"at most {latest:g} s late: {sorted(late)[-3:]}": accounting.percentile(late, 99) <= latest,
            "as many kills as planned": len(fleet.deaths) == kills,
        },
        figures={"late p99": accounting.percentile(late, 99)},
        variant="procrastinate's",
    )
