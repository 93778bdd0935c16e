"""The ledger: what really ran, written by the tasks themselves on connections that no fault is aimed at.

    chaos_ledger   one row for each start and each end of a body, on a connection of its own, committed at once
    chaos_effect   one row for each effect, on the *task's* Django connection: it commits or not with the task's work

The tasks of tests.chaos.tasks write both; a task of your own does the same by

    with recorded(key, context):
        ...
        effect(key, context)

The ledger's connection goes to CHAOS_LEDGER_URL, past any proxy, and waits for a server that is being restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, LiteralString

import psycopg
from django.db import connections

TABLES = """
create table chaos_ledger (
    id bigint generated always as identity primary key,
    key text not null,
    job_id bigint not null,
    lease bigint not null,
    attempt integer not null,
    pid integer not null,
    phase text not null,
    at timestamptz not null default clock_timestamp()
);
create index on chaos_ledger (key);
create table chaos_effect (
    id bigint generated always as identity primary key,
    key text not null,
    job_id bigint not null,
    pid integer not null,
    at timestamptz not null default clock_timestamp()
);
create index on chaos_effect (key);
"""

PATIENCE = 60.0
"""Seconds the ledger waits for a server that is away."""

TOLD_WITHIN = 5.0 if os.environ.get("CHAOS_FULL") == "1" else 30.0
"""Seconds a body that is to stop waits to be told so; in the quick form on a machine that is busy with other tests."""

_local = threading.local()
WRITERS = 4
_writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="chaos ledger")


def worker_pid() -> int:
    """The worker's process, also in a process that it has started for a task."""
    return os.getppid() if sys.argv[0].endswith("task_process.py") else os.getpid()


def note(phase: str, key: str, job_id: int, lease: int, attempt: int) -> None:
    """Write one row and see it committed."""
    _run(
        "insert into chaos_ledger (key, job_id, lease, attempt, pid, phase) "
        "values (%s, %s, %s, %s, %s, %s) returning id",
        [key, job_id, lease, attempt, worker_pid(), phase],
    )


def noted(phase: str, key: str) -> int:
    """How many rows there are of a key and a phase."""
    return _run("select count(*) from chaos_ledger where key = %s and phase = %s", [key, phase])


def _run(statement: LiteralString, values: Sequence[Any]) -> int:
    """Run a statement on a connection of this thread's own, however long the server is away; its one value."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if getattr(_local, "connection", None) is None or _local.connection.closed:
                _local.connection = psycopg.connect(
                    os.environ["CHAOS_LEDGER_URL"], autocommit=True, application_name="chaos ledger"
                )
                _local.connection.execute("set statement_timeout = 0; set lock_timeout = 0")
            return int(_local.connection.execute(statement, values).fetchall()[0][0])
        except psycopg.OperationalError:
            _local.connection = None
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.05)


async def anote(phase: str, *row: Any) -> None:
    """`note`, from the loop, which goes on meanwhile."""
    await asyncio.get_running_loop().run_in_executor(_writers, partial(note, phase, *row))


async def anoted(phase: str, key: str) -> int:
    """`noted`, from the loop."""
    return await asyncio.get_running_loop().run_in_executor(_writers, noted, phase, key)


async def writers_meet() -> None:
    """Have each thread that writes for the loop, and its connection: every one waits for the others."""
    together = threading.Barrier(WRITERS, timeout=PATIENCE)

    def meet() -> None:
        _run("select 1", [])
        together.wait()

    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(_writers, meet) for _ in range(WRITERS)))


def facts(context: Any) -> tuple[int, int, int]:
    """(job id, lease, attempt) of a running task's context, ours or procrastinate's."""
    job = getattr(getattr(context, "run", None), "job", None) or getattr(context, "job", None)
    if hasattr(context, "attempt"):
        # A child process may know less of the row than the worker.
        return int(context.job_id), int(getattr(job, "lease", 0)), int(context.attempt)
    assert job is not None
    return int(job.id), int(job.attempts), int(job.attempts) + 1


@contextlib.contextmanager
def recorded(key: str, context: Any) -> Iterator[None]:
    """Write the start; write the end when the block ends well."""
    row = facts(context)
    note("start", key, *row)
    yield
    note("end", key, *row)


@contextlib.asynccontextmanager
async def arecorded(key: str, context: Any) -> AsyncIterator[None]:
    """`recorded`, for coroutines."""
    row = facts(context)
    await anote("start", key, *row)
    yield
    await anote("end", key, *row)


def wait_at_gate(key: str, seconds: float) -> None:
    """At a job's first start, wait for a row "open" of its key, at most so long; at a later one go through."""
    until = time.monotonic() + seconds
    first = noted("start", key) == 1
    while first and not noted("open", key) and time.monotonic() < until:
        time.sleep(0.02)


async def await_at_gate(key: str, seconds: float) -> None:
    """`wait_at_gate`, on the loop."""
    until = time.monotonic() + seconds
    first = await anoted("start", key) == 1
    while first and not await anoted("open", key) and time.monotonic() < until:  # noqa: ASYNC110 - the gate is a row
        await asyncio.sleep(0.02)


def watch(key: str, context: Any, seconds: float) -> None:
    """At a job's first start, wait to be told to stop and note it, at most until TOLD_WITHIN seconds after "open"."""
    opened, until = False, time.monotonic() + seconds
    first = noted("start", key) == 1
    while first and time.monotonic() < until:
        if context.should_abort():
            note("told", key, *facts(context))
            return
        if not opened and noted("open", key):
            opened, until = True, time.monotonic() + TOLD_WITHIN
        time.sleep(0.02)


def effect(key: str, context: Any, alias: str = "default") -> None:
    """Leave the task's effect, on its Django connection."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "insert into chaos_effect (key, job_id, pid) values (%s, %s, %s)", [key, facts(context)[0], worker_pid()]
        )
