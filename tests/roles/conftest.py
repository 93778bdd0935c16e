"""One role at a time: real rows, a registered worker, and neighbours that only note what they are told."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections
from psycopg.rows import dict_row

from queue_tasks import events
from queue_tasks.conf import Options
from queue_tasks.store import Store
from tests.chaos.proxy import Proxy
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
def proxy(transactional_db: None, dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A network between this process's new connections and the database. Ask for it before the store."""
    with Proxy(dsn) as proxy:
        place = urlsplit(proxy.url)
        connections["default"].close()
        for name, value in (("HOST", place.hostname), ("PORT", str(place.port))):
            monkeypatch.setitem(connections["default"].settings_dict, name, value)
            monkeypatch.setitem(connections.settings["default"], name, value)
        yield proxy
        connections["default"].close()


@pytest.fixture
def options() -> Options:
    return Options.read({"poll_interval": 60, "grace": 5})


@pytest.fixture
async def store(db: psycopg.Connection[dict[str, Any]], options: Options) -> AsyncIterator[Store]:
    """The statements of a registered worker."""
    store = Store(options)
    await store.workers.register_worker("role", "host", 1, None, 10)
    yield store
    await store.close()


@pytest.fixture
def failures() -> Iterator[list[events.ServiceFailed]]:
    """What services failed with during the test."""
    seen: list[events.ServiceFailed] = []
    unsubscribe = events.subscribe(events.ServiceFailed, seen.append)
    yield seen
    unsubscribe()
