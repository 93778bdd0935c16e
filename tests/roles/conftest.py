"""One role at a time: real rows, a registered worker, and neighbours that only note what they are told."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from queue_tasks import events
from queue_tasks.conf import Options
from queue_tasks.store import Store
from tests.roles.parts import Rows


@pytest.fixture
def db(transactional_db: None, dsn: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A session of the test's own."""
    with psycopg.connect(dsn, autocommit=True, application_name="tests.roles", row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def rows(db: psycopg.Connection[dict[str, Any]]) -> Rows:
    return Rows(db)


@pytest.fixture
def options() -> Options:
    return Options.read({"poll_interval": 60, "grace": 5})


@pytest.fixture
async def store(db: psycopg.Connection[dict[str, Any]], options: Options) -> AsyncIterator[Store]:
    """The statements of a registered worker."""
    store = Store(options)
    await store.register_worker("role", "host", 1, None, 10)
    yield store
    await store.close()


@pytest.fixture
def failures() -> Iterator[list[events.ServiceFailed]]:
    """What services failed with during the test."""
    seen: list[events.ServiceFailed] = []
    unsubscribe = events.subscribe(events.ServiceFailed, seen.append)
    yield seen
    unsubscribe()
