"""Every statement that Python sends can be run, and its columns are those of the value it feeds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, get_type_hints

import psycopg
import pytest

from queue_tasks import jobs, results, statements

CONSTANTS = {name: value for name, value in vars(statements).items() if name.isupper() and isinstance(value, str)}
PLACEHOLDER = re.compile(r"%\((\w+)\)s(?:::([a-z ]+(?:\[\])?))?")

# Statements whose answer depends on a worker that is there.
WORKER = {"FETCH_JOBS"}
# Values for parameters where null has no meaning.
VALUES: dict[str, Any] = {
    "max_jobs": 1,
    "limit": 1,
    "concurrency": 1,
    "statement_timeout": "1000",
    "lock_timeout": "1000",
    "synchronous_commit": "on",
    "backend_pid": 0,
    "word": "w",
    "name": "n",
    "host": "h",
    "pid": 1,
    "task_name": "t",
    "queue_name": "q",
    "priority": 0,
    "periodic_id": "",
    "timestamp": 0,
    "args": "{}",
    "ephemeral": False,
    "worker_id": 0,
    "read_only": "off",
    "ticket": "00000000-0000-0000-0000-000000000000",
    "user_id": "1",
    "user_name": "ada",
    "action": "retry",
    "target": "job 1",
}

VOID = 2278
"""What a function without a value gives: nobody reads it."""

# statement -> the dataclass that is made of its rows, in this order
FEEDS: dict[str, type] = {"FETCH_JOBS": jobs.FetchedJob, "GET_JOB": results.JobRow}

PYTHON_TYPES = {
    "int8": int,
    "int4": int,
    "text": str,
    "varchar": str,
    "bool": bool,
    "float8": float,
    "timestamptz": datetime,
}


def parameters(text: str) -> dict[str, Any]:
    """A value for each placeholder: an empty array, a plain value, else null."""
    found = {}
    for name, kind in PLACEHOLDER.findall(text):
        found[name] = [] if kind.endswith("[]") else VALUES.get(name)
        if kind.endswith("[]") and name == "queues":
            found[name] = None
    return found


@pytest.mark.parametrize("name", CONSTANTS)
def test_the_statement_runs_with_nothing_to_do(name, session):
    text = CONSTANTS[name]
    given = parameters(text)
    if name in WORKER:
        given["worker_id"] = session.worker()
    try:
        cursor = session.connection.execute(text, given or None)
    except psycopg.errors.RaiseException as exc:  # pragma: no cover - says which
        pytest.fail(f"{name}: {exc}")
    # A type that psycopg does not know it gives as bytes where a worker asks for binary values.
    known = session.connection.adapters.types
    unknown = {
        each.name for each in cursor.description or () if each.type_code != VOID and known.get(each.type_code) is None
    }
    assert unknown == set()


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_parameter_says_its_type(name):
    """Null has none of its own, and a server-side bound one must not be guessed from what stands beside it."""
    text = CONSTANTS[name]
    untyped = [found for found, kind in PLACEHOLDER.findall(text) if not kind]
    assert not [found for found in untyped if re.search(rf"%\({found}\)s\s*(is|or)\b", text)]


@pytest.mark.parametrize("name", FEEDS)
def test_the_columns_are_those_of_the_value(name, session):
    given = parameters(CONSTANTS[name])
    if name in WORKER:
        given["worker_id"] = session.worker()
    cursor = session.connection.execute(CONSTANTS[name], given)
    assert cursor.description is not None
    hints = get_type_hints(FEEDS[name])
    # A tuple's or a dataclass's fields, in their order; methods have no hint of their own.
    assert [column.name.removeprefix("qt_") for column in cursor.description] == list(hints)
    for column, (field, hint) in zip(cursor.description, hints.items(), strict=True):
        kind = session.connection.adapters.types.get(column.type_code)
        assert kind is not None
        wanted = PYTHON_TYPES[kind.name]
        assert hint is wanted or hint == wanted | None, f"{name}: {field} is {kind.name}, declared {hint}"


def test_every_state_of_a_job_is_one_of_upstreams(session):
    labels = session.column("select unnest(enum_range(null::procrastinate_job_status))::text")
    assert set(results.STATUS) == set(labels)
