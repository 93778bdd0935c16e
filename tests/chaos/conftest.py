"""The scenarios' fixture, and their mark: `-m "not chaos"` leaves them out."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.chaos.harness import PEER, SEED, Chaos, keep_result, migrate
from tests.conftest import point_django_at

OUTCOME = pytest.StashKey[tuple[str, str]]()
"""(outcome, reason) of a scenario's test."""

SCENARIO = re.compile(r"test_(s\d\d)_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if scenario_of(item):
            item.add_marker(pytest.mark.chaos)
            if PEER and item.get_closest_marker("peer") is None:
                item.add_marker(pytest.mark.skip(reason=f"does not fit {PEER}"))


def scenario_of(item: pytest.Item) -> str:
    """ "S01" for a test of test_s01_*.py here, else nothing."""
    named = SCENARIO.match(item.path.name) if item.path.parent == Path(__file__).parent else None
    return named[1].upper() if named else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what came of each scenario's tests, for its fixture and for the table."""
    report = yield
    scenario = scenario_of(item)
    if scenario and (report.when == "call" or not report.passed):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if report.failed and call.excinfo is not None:
            reason = str(call.excinfo.value).partition("\n")[0][:200]
        item.stash[OUTCOME] = (report.outcome, reason)
        keep_result(
            {
                "scenario": scenario,
                "test": item.name,
                "outcome": report.outcome,
                "reason": reason.removeprefix("Skipped: "),
                "seconds": round(report.duration, 1),
            }
        )
    return report


@pytest.fixture
def chaos(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Chaos]:
    """See tests.chaos.harness. Django's connection of this process leads to the scenario's database meanwhile."""
    scenario = scenario_of(request.node) or "S00"
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
            chaos = Chaos(scenario, url, tmp_path, stack)
            yield chaos
            outcome, why = request.node.stash.get(OUTCOME, ("", ""))
            if outcome == "failed" and not chaos.reported:
                chaos.report_failure(why)
        finally:
            connections.close_all()
            for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"):
                value = before.get(name)
                connections["default"].settings_dict[name] = connections.settings["default"][name] = value
