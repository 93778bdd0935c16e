"""S22 hostile-rows: rows that no enqueue would write, by SQL and in front of everything, and good jobs behind them."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Json

from tests.chaos.harness import Chaos

TASK = "tests.chaos.tasks.accept"
GOOD_ARGS = '{"args": ["never"], "kwargs": {}}'

ARGS = {
    "a list": "[1, 2]",
    "a number": "1",
    "null": "null",
    "text": '"args"',
    "empty": "{}",
    "args is a number": '{"args": 1, "kwargs": {}}',
    "args is an object": '{"args": {"0": 1}, "kwargs": {}}',
    "kwargs is a list": '{"args": [], "kwargs": [1]}',
    "kwargs is text": '{"args": [], "kwargs": "key"}',
    "too many": '{"args": [1, 2, 3], "kwargs": {}}',
    "unknown names": '{"args": [], "kwargs": {"no such": 1, "": 2}}',
    "the context": '{"args": [], "kwargs": {"context": 1, "key": "never"}}',
    "5,000 digits": f'{{"args": ["never", {"9" * 5000}], "kwargs": {{}}}}',
    "1e400": '{"args": ["never", 1e400], "kwargs": {}}',
    "5,000 deep": f'{{"args": [{"[" * 5000}{"]" * 5000}], "kwargs": {{}}}}',
    "a megabyte": f'{{"args": [[], "{"x" * 1_000_000}", {{}}], "kwargs": {{}}}}',
}

NAMES = {
    "no module": "no.such.module.task",
    "not a task": "os.system",
    "a builtin": "builtins.exec",
    "a module": "tests.chaos.tasks",
    "dots": "...",
    "empty": "",
    "a newline": "tests.chaos.tasks.work\n",
    "a mistake at import": "tests.no_such_file_here.work",
    "128 characters": "é" * 128,
    "an attribute of a task": "tests.chaos.tasks.work.func",
}

COLUMNS: dict[str, dict[str, Any]] = {
    "attempts at the limit": {"attempts": 2**31 - 1},
    "crashes at the limit": {"qt_crashes": 2**31 - 1},
    "lease at the limit": {"qt_lease": 2**63 - 1},
    "meta is a list": {"qt_meta": Json([1])},
    "meta is text": {"qt_meta": Json("text")},
    "errors is an object": {"qt_errors": Json({"exception": 1})},
    "errors is a number": {"qt_errors": Json(1)},
    "errors has a stranger": {"qt_errors": Json([None, 1, "x"])},
    "due since ever": {"scheduled_at": "-infinity"},
    "enqueued in no year": {"qt_enqueued_at": "infinity"},
    "started before Christ": {"qt_started_at": "0044-03-15 12:00:00+00 BC"},
}


def insert(db: psycopg.Connection[Any], **columns: Any) -> int | None:
    """Insert one row in front of all others; its id, None when the database refuses it."""
    row = {"queue_name": "default", "task_name": TASK, "priority": 100, "args": GOOD_ARGS, **columns}
    names, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    statement = f"insert into procrastinate_jobs ({names}) values ({marks}) returning id"  # noqa: S608 - our own names
    try:
        with db.transaction():
            return int(db.execute(statement, row).fetchall()[0]["id"])
    except (psycopg.DataError, psycopg.IntegrityError):
        return None


def unfinished(chaos: Chaos, ids: list[int]) -> list[dict[str, Any]]:
    """Those of some jobs that have not ended."""
    return chaos.rows(
        "select id, status::text, task_name, attempts, scheduled_at from procrastinate_jobs "
        "where id = any (%s) and status in ('todo', 'doing') order by id",
        ids,
    )


@pytest.mark.peer
def test_hostile_rows_end_alone_and_hold_nobody_up(chaos: Chaos) -> None:
    good = chaos.size(quick=150, full=1000)
    with chaos.fleet(concurrency=4, options={"unknown_task_grace": 0}) as fleet:
        begun = time.monotonic()
        chaos.enqueue(good, "async", seconds=0.01)
        chaos.until_done()
        alone = time.monotonic() - begun

        db = chaos.connect()
        begun = time.monotonic()
        # In one transaction: they are there before the good ones, and all at once.
        with db.transaction():
            rows = {f"args: {name}": insert(db, args=args) for name, args in ARGS.items()}
            rows |= {f"task: {name}": insert(db, task_name=path) for name, path in NAMES.items()}
            if not chaos.peer:
                rows |= {f"row: {name}": insert(db, **columns) for name, columns in COLUMNS.items()}
        jobs = [job.job_id for job in chaos.enqueue(good, "async", seconds=0.01)]
        done = chaos.until(lambda: not unfinished(chaos, jobs), 60 + 2 * alone)
        beside = time.monotonic() - begun

        names = {job_id: name for name, job_id in rows.items() if job_id is not None}
        chaos.until(lambda: not unfinished(chaos, list(names)), 60)
        left = {names[row["id"]]: row for row in unfinished(chaos, list(names))}
    chaos.report(
        fleet,
        criteria={
            "the good jobs ended": done,
            f"every hostile row ended: {left}": not left,
            f"the good ones took at most 1.2 times as long: {alone:.1f} s, {beside:.1f} s": beside
            < 1.2 * alone + 2 + chaos.slack,
        },
        figures={"hostile": len(names), "refused by the database": len(rows) - len(names)},
    )
