"""S29 herd: many idle workers and few jobs. What the idle ask of the database, and how often they look for one job."""

from __future__ import annotations

import re
import time
from collections import Counter

from site_app.embedded_postgres import EmbeddedPostgres
from tests.chaos.harness import Chaos
from tests.waiting import hold, wait_until

NAME = re.compile(r"/\* queue_tasks: (\w+) \*/")
POLLING = ("fetch_jobs", "promote_jobs", "rescue_jobs", "reclaim_jobs", "prune_jobs", "aborting_jobs")
LIVENESS = ("heartbeat", "look_around", "notify_usage")


def test_idle_workers_ask_little_and_look_once_for_one_job(chaos: Chaos) -> None:
    workers, seconds, jobs = chaos.size(quick=(3, 6.0, 3), full=(50, 60.0, 60))
    server = chaos.own_server(log_statement="all", max_connections=400)
    # The options of a worker that says nothing of them, but for the heartbeat, which is the scenarios'.
    with chaos.fleet(workers, concurrency=2, options={"heartbeat": 2.0, "dead_after": 30.0}) as fleet:
        wait_until(lambda: asked(server)["hold_lock"] >= workers)
        before, begun = asked(server), time.monotonic()
        hold(seconds)
        idle, seconds = asked(server) - before, time.monotonic() - begun
        looks = 0.0
        for _ in range(jobs):
            untold, begun = asked(server)["fetch_jobs"], time.monotonic()
            chaos.enqueue(1, "async")
            chaos.until_done()
            # As long as the second named needs; and once more, for a job a second in the full form.
            hold(chaos.size(quick=0.3, full=0.5))
            after, told = asked(server)["fetch_jobs"], time.monotonic()
            hold(chaos.size(quick=0.3, full=0.5))
            # Polls come at any time: apart from them nobody looks any more. Not as many as before the first job: where
            # one runs now and then, each worker polls for itself.
            polls = (asked(server)["fetch_jobs"] - after) / (time.monotonic() - told) * (told - begun)
            looks += (after - untold - polls) / jobs
    polling = sum(idle[name] for name in POLLING) / seconds / workers
    liveness = sum(idle[name] for name in LIVENESS) / seconds / workers
    # In a time so short each may have looked once more than its pace says.
    slack = 3 / seconds
    chaos.report(
        fleet,
        most_duplicates=0,
        figures={
            "polling": f"{polling:.2f}/s/worker",
            "liveness": f"{liveness:.2f}/s/worker",
            "looks": f"{looks:.2f}/job of {workers} workers, polls apart",
        },
        criteria={
            "idle polling <= 0.3 statements/s/worker": polling <= 0.3 + slack,
            "idle liveness <= 0.7 statements/s/worker": liveness <= 0.7 + slack,
            # The first who is named; and the second, should the first have slept too well. Rather two than three: with
            # them is counted whose poll comes in the few milliseconds in which the job waits.
            "two look for a job beyond the polls": looks <= 2.5,
        },
    )


def asked(server: EmbeddedPostgres) -> Counter[str]:
    """How often each of our statements was sent, by the server's log."""
    text = server.log.read_text(errors="replace")
    return Counter(NAME.findall("\n".join(line for line in text.splitlines() if "LOG:  " in line)))
