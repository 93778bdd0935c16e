"""tools/chaos.py: a scenario that hangs or dies stops no other, and the documentation's table is what was recorded."""

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import recorded
from tools import chaos

OPTIONS = argparse.Namespace(quick=True, peer="", record=False)


def report(**more: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("A", "L", "K", "D", "E2", "U", "X", "W"), 0) | {"A": 10, "requested": 0}
    return {"variant": "", "passed": True, "unmet": [], "trec": "", "tres": "", "figures": {}, "counts": counts} | more


def record(seed: int, peer: str = "", *, passed: bool = True, size: str = "full", **more: Any) -> dict[str, Any]:
    told = {"scenario": "S03", "peer": peer, "seed": seed, "size": size, "passed": passed, "failures": []}
    return {**told, "reports": [report(passed=passed, **more)]}


def row_of(kept: list[dict[str, Any]]) -> list[str]:
    (line,) = [line for line in recorded.table(kept).splitlines() if line.startswith("| S03")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_has_the_table_of_what_was_recorded() -> None:
    page = recorded.PAGE.read_text()
    assert recorded.with_table(page) == page, "run `.venv/bin/python tools/chaos.py --table`"


def test_counters_are_summed_over_the_seeds() -> None:
    row = row_of([record(2), record(1)])
    assert (row[1], row[2], row[10]) == ("1 2", "20", "passed")


def test_a_seed_that_failed_fails_the_scenario_and_says_why() -> None:
    row = row_of([record(1), record(2, passed=False, unmet=["L", "quick: [9.5]"])])
    assert row[10] == "**failed**: L=0; not met: quick"


def test_a_quick_run_does_not_count_beside_a_full_one_and_never_as_passed_at_full_size() -> None:
    assert row_of([record(1), record(2, size="quick", passed=False)])[10] == "passed"
    text = recorded.table([record(1, size="quick")])
    assert "| 1 (quick) |" in text
    assert "**0 of 36**" in text


def test_the_peer_stands_beside_ours() -> None:
    kept = [record(1), record(1, "procrastinate", passed=False, size="quick", unmet=["K"])]
    assert row_of(kept)[11] == "failed (quick): K=0"


def test_a_scenario_whose_process_dies_has_failed(tmp_path: Path) -> None:
    file = tmp_path / "test_s99_dies.py"
    file.write_text("import os, pytest\n@pytest.mark.chaos\ndef test_it(): os._exit(3)\n")
    found = chaos.run("S99", str(file), "1", OPTIONS, [])
    assert not found.passed
    assert [outcome["reason"] for outcome in found.outcomes] == ["pytest ended with 3"]


def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "LIMIT", 0.1)
    assert chaos.run_limited([sys.executable, "-c", "import signal; signal.pause()"], {}) is None


def test_arguments_of_pytest_choose_scenarios() -> None:
    assert chaos.scenarios(["-k", "s03 or s01"]) == {
        "S01": "tests/chaos/test_s01_kill_storm.py",
        "S03": "tests/chaos/test_s03_zombie_fence.py",
    }


def test_the_command_that_runs_one_again_names_its_seed_and_peer() -> None:
    assert chaos.again("S03", "7", "procrastinate") == "make chaos ARGS='-k s03' SEED=7 PEER=procrastinate"
