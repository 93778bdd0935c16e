"""S34 supervision: every loop, thread and connection of a worker is killed again and again; each comes back, or the
worker ends with an exit code that is not 0, and its health port says what is so."""

from __future__ import annotations

import json
import time

from queue_tasks.periodic import Schedule
from queue_tasks.statements import ADD_SCHEDULE
from queue_tasks.store import schedule_as_json
from tests.acceptance.health import ask, port_of
from tests.acceptance.workers import WorkerProcess
from tests.chaos.harness import Chaos
from tests.testapp.tasks import noop
from tests.waiting import wait_until

WITHIN = 5.0
"""Seconds until everything works again."""

LOOPS = (
    "announcer",
    "finisher",
    "progress",
    "fetcher",
    "promoter",
    "aborter",
    "rescuer",
    "scheduler",
    "pruner",
    "listener",
)
CONNECTIONS = ("fetch", "finish", "tend", "listen", "heartbeat")
SCHEDULING = ("scheduler", "tend")
"""The loop and the connection that schedules hang on: the next tick has to come as well. It comes each second."""

SABOTEURS = "tests.testapp.saboteurs"
SCHEDULE = "each second"


def test_whatever_is_killed_in_a_worker_comes_back(chaos: Chaos) -> None:
    times = chaos.size(quick=1, full=20)
    back: dict[str, list[float]] = {}
    # Nothing is found by polling: what comes back must really be back.
    options = {"poll_interval": 600, "heartbeat": 0.5}
    with chaos.fleet(1, "--health-port", "0", options=options, respawn=False) as fleet:
        worker = fleet.ready[0].worker
        port = port_of(worker)
        row = schedule_as_json(Schedule(task=noop, name=SCHEDULE, cron="* * * * * *", missed="latest").as_row())
        chaos.db.execute(ADD_SCHEDULE, {"schedule": row})
        works(chaos)
        ticks(chaos)
        for number in range(times):
            for loop in LOOPS:
                begun = time.monotonic()
                assert run(chaos, "cancel_the_loop", loop) == 1, loop
                wait_until(lambda: said(worker, f"{loop} failed (CancelledError") > number, 60, loop)  # noqa: B023 - at once
                works(chaos)
                if loop in SCHEDULING:
                    ticks(chaos)
                back.setdefault(loop, []).append(time.monotonic() - begun)
            for name in CONNECTIONS:
                begun = time.monotonic()
                terminate(chaos, f"queue_tasks {name}")
                works(chaos)
                if name in SCHEDULING:
                    ticks(chaos)
                back.setdefault(f"{name} connection", []).append(time.monotonic() - begun)
            begun = time.monotonic()
            assert run(chaos, "break_heartbeat") == 1
            wait_until(lambda: said(worker, "heartbeat failed (SystemExit") > number, 60, "heartbeat")  # noqa: B023 - at once
            works(chaos)
            back.setdefault("heartbeat", []).append(time.monotonic() - begun)
            assert ask(port, "/livez")[0] == 200, ask(port, "/livez")
            wait_until(lambda: ask(port, "/readyz")[0] == 200, message="it is ready again")
        alive_until_then = worker.process.poll() is None
        # One that cannot be started again is told of, by the port or by the exit code.
        run_to_its_end(chaos, worker, port)
    slowest = max(back, key=lambda what: max(back[what]))
    chaos.report(
        fleet,
        may_exit=1,
        criteria={
            f"everything works again within {WITHIN:g} s": max(back[slowest]) <= WITHIN + chaos.slack,
            "the worker lived through it": alive_until_then,
            "a loop that is dead for good ends it with code 1": worker.process.returncode == 1,
        },
        figures={
            "kills": sum(map(len, back.values())),
            "slowest": slowest.replace(" ", "-"),
            "took": max(back[slowest]),
        },
    )


def said(worker: WorkerProcess, words: str) -> int:
    return worker.output.count(words)


def enqueue(chaos: Chaos, task: str, arguments: list[object], seconds: float | None = None) -> int:
    statement = (
        "select queue_tasks_enqueue_v1(task => %s, args => %s::jsonb, "
        "run_after => case when %s::float8 is not null then now() + make_interval(secs => %s) end) as id"
    )
    return int(chaos.rows(statement, task, json.dumps(arguments), seconds, seconds)[0]["id"])


def until_succeeded(chaos: Chaos, *ids: int) -> None:
    statement = "select count(*) as n from procrastinate_jobs where id = any (%s) and status = 'succeeded'"
    wait_until(lambda: chaos.rows(statement, list(ids))[0]["n"] == len(ids), 60, f"jobs {ids} succeed")


def run(chaos: Chaos, saboteur: str, *arguments: object) -> object:
    """Run one of the saboteurs; what it returns."""
    job = enqueue(chaos, f"{SABOTEURS}.{saboteur}", list(arguments))
    until_succeeded(chaos, job)
    return chaos.rows("select qt_result as result from procrastinate_jobs where id = %s", job)[0]["result"]


def works(chaos: Chaos) -> None:
    """A job that is ready, one that is due soon, and a sign of life: all come through, by notifications alone."""
    task = noop.module_path
    beat = "select extract(epoch from max(last_heartbeat))::float8 as at from procrastinate_workers"
    before = chaos.rows(beat)[0]["at"]
    until_succeeded(chaos, enqueue(chaos, task, []), enqueue(chaos, task, [], 0.1))
    wait_until(lambda: chaos.rows(beat)[0]["at"] > before, 60, "a sign of life")


def ticks(chaos: Chaos) -> None:
    """The schedule's next job runs."""
    statement = (
        "select count(*) as n from procrastinate_jobs where qt_meta ->> 'schedule' = %s and status = 'succeeded' "
        "and (qt_meta ->> 'scheduled_for')::timestamptz > %s"
    )
    now = chaos.rows("select clock_timestamp() as at")[0]["at"]
    wait_until(lambda: chaos.rows(statement, SCHEDULE, now)[0]["n"], 60, "the next tick")


def terminate(chaos: Chaos, name: str) -> None:
    """End the worker's session of a name."""
    statement = (
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where application_name = %s and datname = current_database()"
    )
    wait_until(lambda: chaos.rows(statement, name), 60, name)


def run_to_its_end(chaos: Chaos, worker: WorkerProcess, port: int) -> None:
    enqueue(chaos, f"{SABOTEURS}.ruin_the_promoter", [])
    wait_until(lambda: worker.process.poll() is not None or ask(port, "/livez")[0] == 503, 60, "it tells")
    worker.wait()
