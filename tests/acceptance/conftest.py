"""What the tests of worker processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.acceptance.workers import Table
from tests.waiting import wait_until


@pytest.fixture
def table(dsn: str, transactional_db: None) -> Iterator[Table]:
    """The rows as the operator sees them; no session of a worker may be left at the end."""
    table = Table(dsn)
    yield table
    connection.close()
    # A killed worker's sessions end a moment after it.
    wait_until(lambda: not table.backends(), message="sessions of workers remain")
    table.db.close()
