"""The import contracts of pyproject.toml break when an import climbs the stairs (`make check` sees that they hold)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def broken_contracts(folder: Path) -> set[str]:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^(.+) BROKEN\b", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def broken_already() -> set[str]:
    """What `make check` reports anyway: these tests are about the contracts, not about today's code."""
    return broken_contracts(PROJECT)


@pytest.mark.parametrize(
    ("room", "wrong", "contract"),
    [
        ("store/client.py", "import queue_tasks.backend", "Rooms"),
        ("connections.py", "import queue_tasks.results", "Rooms"),
        ("helpers.py", "", "Rooms"),  # a module that nobody gave a room
        ("jobs.py", "import django", "The vocabulary is pure"),
        ("control.py", "import procrastinate", "Only the bridge"),
        ("control.py", "import psycopg", "Only the rooms that hold a connection"),
        ("worker/fetcher.py", "import queue_tasks.worker.finisher", "Worker roles meet only"),
        ("store/jobs.py", "import queue_tasks.store.workers", "What is sent for one role"),
    ],
)
def test_a_wrong_import_breaks_the_contract_meant(tmp_path, broken_already, room, wrong, contract):
    shutil.copytree(PROJECT / "queue_tasks", tmp_path / "queue_tasks")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / "queue_tasks" / room).open("a") as file:
        file.write(f"\n{wrong}\n")
    broken = broken_contracts(tmp_path)
    assert [name for name in broken if name.startswith(contract)]
    assert all(name.startswith(contract) for name in broken - broken_already)
