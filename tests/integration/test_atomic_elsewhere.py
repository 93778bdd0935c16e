"""Atomic tasks and a second database: what would change it is refused, for it could not be undone with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tests.testapp import atomic
from tests.workers import drain

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture(scope="module", autouse=True)
def _other_database(django_db_setup: None) -> Iterator[None]:
    """A second alias, of the same database; there before Django's test case looks at the aliases."""
    connections.settings["other"] = {**connections.settings["default"]}
    yield
    connections["other"].close()
    del connections["other"], connections.settings["other"]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into auth_group (name) values ('elsewhere')",
        "/* select */ UPDATE auth_group set name = 'x'",
        "with w as (delete from auth_group returning 1) select * from w",
    ],
)
def test_a_statement_that_would_change_another_database_is_refused(statement: str) -> None:
    result = atomic.use_other.enqueue(statement, "a")
    drain()
    result.refresh()
    (error,) = result.errors
    assert error.exception_class_path == "queue_tasks.exceptions.OutsideAtomic"
    assert 'Task tests.testapp.atomic.use_other is atomic in database "default"' in error.traceback
    assert 'in database "other"' in error.traceback
    assert "Do it in a task of its own" in error.traceback
    assert not Group.objects.exists()


@pytest.mark.parametrize("statement", ["select 1", "-- how many\n (SELECT 1)", "/* a */ select 1 -- insert"])
def test_another_database_may_be_read(statement: str) -> None:
    result = atomic.use_other.enqueue(statement, "b")
    drain()
    result.refresh()
    assert result.return_value == [[1]]
    assert Group.objects.count() == 1


def test_another_database_may_be_read_whose_connection_is_made_fit_by_a_statement() -> None:
    def limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '20s'")

    connection_created.connect(limit)
    try:
        result = atomic.use_other.enqueue("select 1", "b")
        drain()
    finally:
        connection_created.disconnect(limit)
    result.refresh()
    assert (result.errors, result.return_value) == ([], [[1]])


def test_the_next_task_of_the_thread_may_change_it() -> None:
    atomic.use_other.enqueue("select 1", "c")
    result = atomic.change_other.enqueue("d")
    drain(concurrency=1)
    result.refresh()
    assert result.errors == []
    assert sorted(Group.objects.values_list("name", flat=True)) == ["c", "d"]
