"""The pytest plugin: `queue_tasks.testing` as fixtures, and no job left behind by a test that commits.

pytest loads it before pytest-django has found the settings: what needs them is imported in the fixtures.
The asynchronous ones ask for `transactional_db`: the async ORM of a test that pytest-asyncio runs works in another
thread, whose connection is not in the test's transaction. In async methods of Django's TestCase it is: import there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from queue_tasks.results import TaskResult

    Results = list[TaskResult[Any]]


@pytest.fixture
def drain_jobs(db: None) -> Callable[..., Results]:  # noqa: ARG001 - only asked for
    """`queue_tasks.testing.drain`: run jobs until none is ready or due; the results of all that ran."""
    from queue_tasks import testing  # noqa: PLC0415 - see above

    return testing.drain


@pytest.fixture
def _async_orm(transactional_db: None) -> Iterator[None]:  # noqa: ARG001 - only asked for
    """The database, for async tests: the connections of the thread that their ORM calls work in are closed after each.

    Django closes those of the test's own thread only, and one that stays open keeps the database from being dropped.
    """
    yield
    from asgiref.sync import sync_to_async  # noqa: PLC0415 - see above
    from django.db import connections  # noqa: PLC0415 - see above

    # In a thread of its own: this one may have a loop.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, sync_to_async(connections.close_all, thread_sensitive=True)()).result()


@pytest.fixture
def adrain_jobs(_async_orm: None) -> Callable[..., Awaitable[Results]]:
    """`queue_tasks.testing.adrain`: the same, for async tests."""
    from queue_tasks import testing  # noqa: PLC0415 - see above

    return testing.adrain


@pytest.fixture
def enqueued_jobs(db: None) -> Callable[..., Results]:  # noqa: ARG001 - only asked for
    """`queue_tasks.testing.enqueued`: the jobs that wait, by task and arguments."""
    from queue_tasks import testing  # noqa: PLC0415 - see above

    return testing.enqueued


@pytest.fixture
def aenqueued_jobs(_async_orm: None) -> Callable[..., Awaitable[Results]]:
    """`queue_tasks.testing.aenqueued`: the same, for async tests."""
    from queue_tasks import testing  # noqa: PLC0415 - see above

    return testing.aenqueued


@pytest.fixture
def run_job(db: None) -> Callable[..., TaskResult[Any]]:  # noqa: ARG001 - only asked for
    """`queue_tasks.testing.run_job`: run one attempt of one job now; its result."""
    from queue_tasks import testing  # noqa: PLC0415 - see above

    return testing.run_job


@pytest.fixture
def arun_job(_async_orm: None) -> Callable[..., Awaitable[TaskResult[Any]]]:
    """`queue_tasks.testing.arun_job`: the same, for async tests."""
    from queue_tasks import testing  # noqa: PLC0415 - see above

    return testing.arun_job


@pytest.fixture(autouse=True)
def _clear_committed_jobs(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that commits, delete its jobs: Django's flush leaves them, and the next test would run them."""
    if not commits(request):
        yield
        return
    if request.cls is None or not hasattr(request.cls, "databases"):
        # Set up first, so that it still may use the database when this ends.
        request.getfixturevalue("transactional_db")
    yield
    from django.apps import apps  # noqa: PLC0415 - see above

    if apps.is_installed("queue_tasks"):
        from queue_tasks import testing  # noqa: PLC0415 - see above

        testing.clear()


def commits(request: pytest.FixtureRequest) -> bool:
    """Whether the test is of pytest-django's transactional kind, or of Django's TransactionTestCase."""
    plugins = request.config.pluginmanager
    if not plugins.has_plugin("django") and not plugins.has_plugin("pytest_django.plugin"):
        return False
    if request.cls is not None and hasattr(request.cls, "databases"):
        from django.test import TestCase, TransactionTestCase  # noqa: PLC0415 - see above

        return issubclass(request.cls, TransactionTestCase) and not issubclass(request.cls, TestCase)
    if {"transactional_db", "live_server", "django_db_reset_sequences"} & set(request.fixturenames):
        return True
    marker = request.node.get_closest_marker("django_db")
    return marker is not None and bool(marker.kwargs.get("transaction", marker.args and marker.args[0]))
