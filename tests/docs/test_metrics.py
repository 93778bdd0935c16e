"""Every metric has its line in the documentation, and the dashboard and the alarms ask for none that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from queue_tasks import metrics
from queue_tasks.conf import Options
from queue_tasks.meter import Meter
from tests.docs.pages import DOCS

FILES = (DOCS / "metrics" / "grafana.json", DOCS / "metrics" / "alerts.yml", DOCS / "how-to" / "metrics.md")
NAME = re.compile(r"\bqueue_tasks_[a-z_]+\b")
PARTS = re.compile(r"_(bucket|sum|count)$")

pytestmark = pytest.mark.django_db


@pytest.fixture
def names() -> set[str]:
    """Each metric by the name of its samples, a histogram's without what it adds."""
    found = set()
    for family in (*metrics.of_worker(Meter()), *metrics.of_queues(Options())):
        found.add(f"{family.name}_total" if family.type == "counter" else family.name)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_none_is_named_that_does_not_exist(file: Path, names: set[str]) -> None:
    named = {PARTS.sub("", name) for name in NAME.findall(file.read_text())}
    assert named
    assert named <= names


def test_each_is_documented(names: set[str]) -> None:
    assert names <= set(NAME.findall(FILES[-1].read_text()))


def test_the_dashboard_and_the_rules_are_whole() -> None:
    board = json.loads(FILES[0].read_text())
    assert all(panel["targets"] and panel["title"] for panel in board["panels"])
    (group,) = yaml.safe_load(FILES[1].read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    assert all({"alert", "expr", "labels", "annotations"} <= rule.keys() for rule in rules)
    assert len({rule["alert"] for rule in rules}) == len(rules)
