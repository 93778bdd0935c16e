"""Sessions for the tests of SQL."""

from collections.abc import Callable, Iterator

import pytest

from tests.sql.session import Session


@pytest.fixture
def session(dsn: str) -> Iterator[Session]:
    """A session within a transaction that is rolled back."""
    found = Session(dsn, autocommit=False)
    yield found
    found.connection.rollback()
    found.close()


@pytest.fixture
def open_session(migrated_database: str) -> Iterator[Callable[[str], Session]]:
    """Open named sessions, in autocommit mode, on a database of the test's own."""
    opened: list[Session] = []

    def open_one(name: str = "tests.sql") -> Session:
        opened.append(Session(migrated_database, name))
        return opened[-1]

    yield open_one
    for found in opened:
        found.close()
