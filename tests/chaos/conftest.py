"""The scenarios' fixture, and their mark: `-m "not chaos"` leaves them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.chaos.harness import PEER, SEED, Chaos, migrate
from tests.conftest import point_django_at

SCENARIO = re.compile(r"test_(s\d\d)_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and SCENARIO.match(item.path.name):
            item.add_marker(pytest.mark.chaos)


@pytest.fixture
def chaos(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Chaos]:
    """See tests.chaos.harness. Django's connection of this process leads to the scenario's database meanwhile."""
    named = SCENARIO.match(request.path.name)
    scenario = named[1].upper() if named else "S00"
    if PEER:
        url = request.getfixturevalue("fresh_database")
        migrate(url, PEER)
    else:
        url = request.getfixturevalue("migrated_database")
    before = dict(connections.settings["default"])
    print(f"{scenario} seed={SEED}")  # noqa: T201 - shown when the test fails
    with ExitStack() as stack, django_db_blocker.unblock():
        point_django_at(url)
        try:
            yield Chaos(scenario, url, tmp_path, stack)
        finally:
            connections.close_all()
            for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"):
                value = before.get(name)
                connections["default"].settings_dict[name] = connections.settings["default"][name] = value
