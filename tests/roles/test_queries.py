"""Queries: another thread cancels them, and stops nobody else by that, whatever libpq and network do."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import psycopg
import pytest
from django.db import OperationalError, connection

from queue_tasks.worker.queries import cancel_queries
from tests.chaos.proxy import Proxy
from tests.roles.parts import Rows
from tests.waiting import PATIENCE, START, await_until, wait_until

NAP = "select pg_sleep(600)"

PROGRAM = f"""
import sys
import threading
import django
import psycopg
django.setup()
from django.db import connection
from queue_tasks.worker.queries import cancel_queries

psycopg.capabilities.has_cancel_safe = lambda check=False: False

def nap():
    with connection.cursor() as cursor:
        cursor.execute("{NAP}")

thread = threading.Thread(target=nap, daemon=True)
thread.start()
for line in sys.stdin:
    if line == "cancel\\n":
        cancel_queries(thread.ident)
    print(line, end="", flush=True)
"""
"""Cancels a query when told to, as with an old libpq, and says again whatever it is told."""


def is_napping(rows: Rows) -> bool:
    found = rows.db.execute(
        "select from pg_stat_activity where query = %s and state = 'active' and datname = current_database()", [NAP]
    )
    return bool(found.fetchall())


@pytest.mark.parametrize("libpq", ["as it is", "an old one"])
def test_a_query_is_cancelled_and_its_connection_stays(rows: Rows, monkeypatch: pytest.MonkeyPatch, libpq: str) -> None:
    if libpq == "an old one":
        monkeypatch.setattr(psycopg.capabilities, "has_cancel_safe", lambda: False)
    said: list[object] = []

    def nap() -> None:
        try:
            with connection.cursor() as cursor:
                try:
                    cursor.execute(NAP)
                except OperationalError as exc:
                    said.append(exc.__cause__)
                cursor.execute("select 40 + 2")
                said.append(cursor.fetchone())
        finally:
            connection.close()

    thread = threading.Thread(target=nap)
    thread.start()
    wait_until(lambda: is_napping(rows))
    cancel_queries(thread.ident or 0)
    thread.join(PATIENCE)
    assert isinstance(said[0], psycopg.errors.QueryCanceled)
    assert said[1] == (42,)


async def test_an_old_libpq_that_waits_for_a_silent_network_does_not_stop_the_process(rows: Rows, dsn: str) -> None:
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with Proxy(dsn) as proxy:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            env={**settings, "DATABASE_URL": proxy.url},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert program.stdin
        assert program.stdout
        try:
            await await_until(lambda: is_napping(rows), START)
            proxy.blackhole()
            before = len(proxy.names)
            program.stdin.write(b"cancel\n")
            await await_until(lambda: len(proxy.names) > before)
            program.stdin.write(b"still there?\n")
            async with asyncio.timeout(PATIENCE):
                assert await program.stdout.readline() == b"cancel\n"
                assert await program.stdout.readline() == b"still there?\n"
            assert is_napping(rows)
        finally:
            program.kill()
            await program.wait()
            rows.db.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where query = %s and datname = current_database()",
                [NAP],
            )
            await await_until(lambda: not is_napping(rows))
