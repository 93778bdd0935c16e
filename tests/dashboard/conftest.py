"""The dashboard as its visitors meet it: over HTTP, through Django's test client, on a real database."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from psycopg.types.json import Jsonb

from tests.dashboard.visitors import OPERATES, SEES, mount, visitor


@pytest.fixture(autouse=True)
def _mounted(settings: Any) -> None:
    mount(settings)


@pytest.fixture
def viewer(db: None) -> Client:
    """Sees jobs, but not what is in them, and changes nothing."""
    return visitor("viewer", *SEES)


@pytest.fixture
def operator(db: None) -> Client:
    """May do all there is."""
    return visitor("operator", *OPERATES)


@pytest.fixture
def make_job(db: None) -> Callable[..., int]:
    """Insert one job; columns not given are those of the plainest one."""

    def make(**columns: Any) -> int:
        columns = {
            "queue_name": "default",
            "task_name": "shop.tasks.resize",
            "args": {"args": [], "kwargs": {}},
            **columns,
        }
        values: Any = [Jsonb(value) if isinstance(value, (dict, list)) else value for value in columns.values()]
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        with connection.cursor() as cursor:
            cursor.execute(f"insert into procrastinate_jobs ({names}) values ({marks}) returning id", values)  # noqa: S608
            return int(cursor.fetchone()[0])

    return make


@pytest.fixture
def ask(db: None) -> Callable[..., Any]:
    """Ask the database for one value."""

    def look(statement: str, *parameters: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchone()[0]

    return look
