"""S28 notify-hostile: garbage and lies in the channels, a flood, and a server whose queue of notifications is full."""

from __future__ import annotations

import json

import psycopg
import pytest

from queue_tasks.statements import FOLLOW
from tests.chaos.harness import Chaos
from tests.roles.test_listener import HOSTILE_PAYLOADS
from tests.waiting import wait_until

CHANNELS = ("procrastinate_any_queue_v1", "procrastinate_queue_v1#default", "queue_tasks_scheduled", "queue_tasks_echo")
FULL = "too many notifications"


@pytest.mark.peer
def test_whatever_is_said_changes_nothing_and_a_flood_is_outlived(chaos: Chaos) -> None:
    count, flood = chaos.size(quick=(40, 5000), full=(2000, 100_000))
    with chaos.fleet(concurrency=4) as fleet:
        jobs = chaos.enqueue(count, "async", seconds=0.05)
        chaos.until_ended(count // 10)
        for payload in HOSTILE_PAYLOADS:
            for channel in CHANNELS:
                chaos.rows("select pg_notify(%s, %s)", channel, payload)
        for job in jobs:
            lie = json.dumps({"type": "abort_job_requested", "job_id": job.job_id})
            chaos.rows("select pg_notify(%s, %s)", CHANNELS[0], lie)
        chaos.rows("select count(pg_notify(%s, n::text)) from generate_series(1, %s) n", CHANNELS[0], flood)
        chaos.enqueue(count, "async")
        chaos.until_done(timeout=120)
        statuses = chaos.statuses()
    chaos.report(
        fleet,
        variant="payloads",
        most_duplicates=0,
        criteria={"no lie was believed": statuses == {"succeeded": 2 * count}},
    )


@pytest.mark.parametrize("followed", [True, False], ids=["ends are told", "nobody follows"])
def test_a_full_queue_of_notifications_is_clear_again_soon_after_its_cause_is_gone(
    chaos: Chaos, followed: bool
) -> None:
    count = chaos.size(quick=20, full=500)
    # A setting of Postgres 17 and newer; before, it takes 8 GB of notifications.
    server = chaos.own_server(max_notify_queue_pages=64)
    with (
        chaos.fleet(concurrency=4) as fleet,
        psycopg.connect(server.url) as sleeper,
        psycopg.connect(server.url, autocommit=True) as follower,
    ):
        if followed:
            follower.execute(FOLLOW)
        held = chaos.enqueue(2, "gated", seconds=600)
        chaos.enqueue(count, "async", seconds=0.2)
        sleeper.execute("listen anything")
        sleeper.commit()
        sleeper.execute("select 1")  # and now it is in a transaction, and reads nothing
        chaos.until_ended(1)
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=FULL):
            fill(chaos)
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=FULL):
            chaos.enqueue(1, "async")
        # Workers meet it as well: what ends now cannot be written now, if somebody wants to be told of it.
        wait_until(lambda: all("queue of notifications" in member.worker.output for member in fleet.ready), 60)
        chaos.open_gates(held)
        if not followed:
            chaos.until_done(timeout=120)
        sleeper.rollback()
        chaos.clear()
        wait_until(
            lambda: can_enqueue(chaos), timeout=5.5 + chaos.slack, message="enqueue works again without an operator"
        )
        chaos.until_done()
        statuses = chaos.statuses()
    chaos.report(
        fleet,
        variant="full queue" if followed else "full queue, nobody follows",
        most_duplicates=0,
        criteria={
            "no outcome was turned into a failure": set(statuses) == {"succeeded"},
            "it was said": ("queue of notifications is full" in fleet.output) is followed,
        },
    )


def can_enqueue(chaos: Chaos) -> bool:
    try:
        chaos.enqueue(1, "async")
    except psycopg.errors.ProgramLimitExceeded:
        return False
    return True


def fill(chaos: Chaos) -> None:
    """Notify until it is refused."""
    while True:
        chaos.db.execute("select count(pg_notify('filler', n || repeat('x', 500))) from generate_series(1, 100) n")
