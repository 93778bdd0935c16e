"""What an enqueue costs the server: one call for one job, one pass for many, no index entry without a use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, LiteralString

import pytest
from psycopg import ClientCursor

from queue_tasks import statements
from tests.sql.session import Session

LATER = "2100-01-01 00:00:00+00"
OF_THE_TASK = {
    "queue_name": "default",
    "task_name": "t",
    "priority": 0,
    "run_after": None,
    "ephemeral": False,
    "trace": None,
}


def explained(session: Session, statement: LiteralString, **parameters: Any) -> dict[str, Any]:
    """The plan of a statement as Django sends it, values and all, and what its run has cost."""
    text = ClientCursor(session.connection).mogrify(statement, parameters)
    [(found,)] = session.rows(f"explain (analyze, buffers, wal, format json) {text}")
    plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def kinds(plan: dict[str, Any]) -> list[str]:
    return [node["Node Type"] for node in nodes(plan["Plan"])]


def wal_records(plan: dict[str, Any]) -> int:
    [insert] = [node for node in nodes(plan["Plan"]) if node["Node Type"] == "ModifyTable"]
    return int(insert["WAL Records"])


def test_one_job_is_one_call_and_no_set(session):
    plan = explained(session, statements.ENQUEUE_JOB, **OF_THE_TASK, lock=None, args="{}")
    assert kinds(plan) == ["Result"]
    assert list(session.statuses().values()) == ["todo"]


def test_jobs_of_one_task_are_read_once_from_one_text(session):
    plan = explained(session, statements.ENQUEUE_ALIKE, **OF_THE_TASK, locks=None, args="\n".join(["{}"] * 500))
    assert kinds(plan).count("Function Scan") == 1
    assert not [kind for kind in kinds(plan) if "Join" in kind or kind == "Nested Loop"]
    [trigger] = [one for one in plan["Triggers"] if one["Trigger Name"] == "procrastinate_jobs_qt_inserted"]
    assert trigger["Calls"] == 1


def test_jobs_of_several_tasks_are_told_apart_without_a_look_at_each_task_for_each_job(session):
    plan = explained(
        session,
        statements.ENQUEUE_JOBS,
        queue_names=["default"] * 500,
        task_names=["t"] * 500,
        priorities=list(range(500)),
        run_afters=[None] * 500,
        ephemerals=[False] * 500,
        tasks="\n".join(str(number) for number in range(1, 501)),
        args="\n".join(["{}"] * 500),
        locks=None,
        trace=None,
    )
    assert "Nested Loop" not in kinds(plan)
    assert session.rows("select array_agg(priority order by id) from procrastinate_jobs") == [(list(range(500)),)]


@pytest.mark.parametrize(
    ("parameters", "entries"),
    [
        ({}, 4),  # the key, the queue's name, the stock worker's order, ours
        ({"ephemeral": True}, 4),
        ({"run_after": LATER}, 4),  # the time instead of our order
        ({"locks": [f"l{n}" for n in range(500)]}, 6),  # the lock for the stock worker and for ours
    ],
    ids=["plain", "ephemeral", "scheduled", "locked"],
)
def test_a_job_pays_for_no_more_index_entries_than_it_has_use_for(session, parameters, entries):
    given = {**OF_THE_TASK, "locks": None, "args": "\n".join(["{}"] * 500), **parameters}
    # The first fills pages of its own; what is counted here are the rows, their entries and a few full pages.
    explained(session, statements.ENQUEUE_ALIKE, **given)
    records = wal_records(explained(session, statements.ENQUEUE_ALIKE, **given)) / 500
    assert entries + 1 <= records < entries + 1.5
