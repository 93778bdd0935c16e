"""S11 conn-famine: every connection the server has is taken by others, for a while."""

from __future__ import annotations

import contextlib
import time

import psycopg

from site_app.embedded_postgres import EmbeddedPostgres
from tests.chaos.fleet import Member
from tests.chaos.harness import Chaos
from tests.waiting import hold, wait_until

CONCURRENCY = 4


def test_a_server_without_a_free_connection_is_waited_for_and_not_stormed(chaos: Chaos) -> None:
    count, seconds = chaos.size(quick=(60, 6), full=(2000, 60))
    # Enough for the workers, their bodies and the ledger: five, five and four each.
    server = chaos.own_server(max_connections=chaos.size(quick=40, full=80), superuser_reserved_connections=3)
    options = {"max_prefetch": 0}
    with contextlib.ExitStack() as famine, chaos.fleet(concurrency=CONCURRENCY, options=options) as fleet:
        size = len(fleet.ready)
        # Every body's connection is there, and the ledger's: it is the workers that are to be without.
        gated = chaos.enqueue(size * CONCURRENCY, "gated async", seconds=600)
        chaos.open_gates(gated)
        chaos.enqueue(count // 2, "async", seconds=0.02)
        chaos.until_ended(len(gated) + count // 8, timeout=60)
        beats = chaos.rows("select min(last_heartbeat) as at from procrastinate_workers")[0]["at"]
        # Ours keep what they have; then what each fetches by is gone, and can not be had again.
        taken = take_all(server.url, famine)
        chaos.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name in "
            "('queue_tasks fetch', 'queue_tasks listen')"
        )
        taken += take_all(server.url, famine)
        wait_until(lambda: all("too many clients" in text(m) or "remaining" in text(m) for m in fleet.ready), 60)
        before, begun = refusals(server), time.monotonic()
        hold(seconds)
        # Of a second each; the first and the last may be cut.
        rate = (refusals(server) - before) / (time.monotonic() - begun + 2) / size
        famine.close()
        chaos.clear()
        chaos.enqueue(count - count // 2, "async", seconds=0.02)
        chaos.until_done(timeout=120)
        alive = chaos.rows("select count(*) as n from procrastinate_workers where last_heartbeat > %s", beats)[0]["n"]
    chaos.report(
        fleet,
        most_duplicates=0,
        figures={"taken": taken, "reconnects": f"{rate:.2f}/s/worker"},
        criteria={"<= 1 reconnect/s/worker": rate <= 1.0, "every worker's heart beats": alive == size},
    )


def text(member: Member) -> str:
    return member.worker.output


def take_all(url: str, stack: contextlib.ExitStack) -> int:
    """Connect until the server refuses; how often it did not."""
    taken = 0
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            stack.callback(psycopg.connect(url, application_name="tests.famine").close)
            taken += 1
    return taken


def refusals(server: EmbeddedPostgres) -> int:
    """How often the server has refused a connection, by its log."""
    return server.log.read_text(errors="replace").count("too many clients already")
