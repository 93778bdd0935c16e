"""Run Django's own tests of its task framework (tests/tasks) against our backend.

Usage   python tools/conformance_django.py [--keep-output]

The tests are those of the installed Django. They are not in its wheel and not in this repository: pip fetches the
source distribution once into .cache/conformance/. A copy of them is changed by text: the backends they are written for
become the two of tests/conformance/backends.py, and test cases may use the database. Everything else stays.
Exit code 0 when each test passes but those of EXPECTED, and each of those fails; else 1, and a line says which.
Without DATABASE_URL an embedded Postgres is started for the run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "conformance"
ENOUGH = 80
"""Tests that must pass, whatever EXPECTED says."""

IMMEDIATE = "tasks.test_immediate_backend.ImmediateBackendTestCase"
DUMMY = "tasks.test_dummy_backend.DummyBackendTestCase"
EXPECTED = {
    f"{IMMEDIATE}.test_cannot_get_result": "asserts that results cannot be read; ours can",
    f"{IMMEDIATE}.test_cannot_refresh_result": "asserts that results cannot be refreshed; ours can",
    f"{IMMEDIATE}.test_cannot_pass_run_after": "asserts that jobs cannot be scheduled; ours can",
    f"{DUMMY}.test_refresh_result": "changes a job through the list DummyBackend keeps in memory; ours is a row",
    f"{DUMMY}.test_refresh_result_async": "the same, from async code",
}
"""Tests that cannot pass, and why."""

CHANGES = [
    (r"django\.tasks\.backends\.immediate\.ImmediateBackend", "tests.conformance.backends.Eager"),
    (r"django\.tasks\.backends\.dummy\.DummyBackend", "tests.conformance.backends.EnqueueOnly"),
    (
        r"from django\.tasks\.backends\.immediate import ImmediateBackend",
        "from tests.conformance.backends import Eager as ImmediateBackend",
    ),
    (
        r"from django\.tasks\.backends\.dummy import DummyBackend",
        "from tests.conformance.backends import EnqueueOnly as DummyBackend",
    ),
    (r"\b(?:Simple|Transaction)TestCase\b(?=\):)", "JobsTestCase"),
    (r"^    available_apps = \[\]\n", ""),
    (
        r"^from django\.test import .*$",
        "from django.test import override_settings\nfrom tests.conformance.cases import JobsTestCase",
    ),
]
"""Regular expression -> text, in this order."""


def main() -> int:
    """Fetch, change, run, compare; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run Django's own tests/tasks against our backend.")
    parser.add_argument(
        "--keep-output", action="store_true", help="print the test runner's output also when all is well"
    )
    options = parser.parse_args()
    version = django.get_version()
    if django.VERSION < (6, 0):
        print(f"conformance: Django {version} has no task framework of its own, so no tests of it either: skipped")
        return 0
    changed = change(fetch(version), CACHE / f"changed-{version}")
    with database() as url:
        outcomes, output = run(changed, url)
    problems = list(compare(outcomes))
    if problems or options.keep_output:
        print(output)
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    print(f"conformance: {passed} of {len(outcomes)} of Django {version}'s own tests pass")
    for test, reason in EXPECTED.items():
        if outcomes.get(test) == "failed":
            print(f"  not {test.removeprefix('tasks.')}: {reason}")
    for problem in problems:
        print(f"conformance: {problem}", file=sys.stderr)
    return 1 if problems else 0


def fetch(version: str) -> Path:
    """The folder tests/tasks of Django's source distribution."""
    folder = CACHE / f"django-{version}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as place:
            # Only Django is wanted as source: what builds it may come as wheels.
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*command, "--no-binary", "Django", "--dest", place, f"Django=={version}"], check=True)
            [archive] = Path(place).glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                top = tar.getnames()[0].split("/")[0]
                members = [name for name in tar.getmembers() if name.name.startswith(f"{top}/tests/tasks/")]
                tar.extractall(place, members, filter="data")
            shutil.move(Path(place) / top, folder)
    return folder / "tests" / "tasks"


def change(source: Path, target: Path) -> Path:
    """A folder with the package `tasks`, changed as CHANGES says."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target / "tasks")
    for file in (target / "tasks").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        for pattern, replacement in CHANGES:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    return target


@contextmanager
def database() -> Iterator[str]:
    """The URL of a database on a server where another may be created: the given one, or our own."""
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        yield given
        return
    sys.path.insert(0, str(PROJECT))
    from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres  # noqa: PLC0415 - not needed beside a given one

    folder = Path(tempfile.gettempdir()) / f"queue_tasks-conformance-{os.getpid()}"
    with EmbeddedPostgres(folder, settings=FORGETFUL, temporary=True) as server:
        yield server.url


def run(changed: Path, url: str) -> tuple[dict[str, str], str]:
    """What became of each test, and what the runner printed."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        environment = os.environ | {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.conformance.settings",
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(changed)]),
            "CONFORMANCE_REPORT": str(report),
            # Some of Django's tests call the synchronous API from async code: free of risk with a backend in memory.
            "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
        }
        command = [sys.executable, "-m", "django", "test", "tasks", "--noinput", "--verbosity", "1"]
        command += ["--testrunner", "tests.conformance.runner.Recorder"]
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        output = done.stdout + done.stderr
        outcomes: dict[str, str] = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
        return outcomes, output


def compare(outcomes: dict[str, str]) -> Iterator[str]:
    """What is not as expected, in sentences."""
    if not outcomes:
        yield "the tests did not run at all; see above"
        return
    for test, outcome in sorted(outcomes.items()):
        if test in EXPECTED and outcome != "failed":
            yield f"{test} {outcome}, but is listed as one that cannot pass: take it off EXPECTED"
        elif test not in EXPECTED and outcome != "passed":
            yield f"{test} {outcome}"
    for test in EXPECTED.keys() - outcomes.keys():
        yield f"{test} is listed as one that cannot pass, but does not exist: take it off EXPECTED"
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    if passed < ENOUGH:
        yield f"{passed} tests pass; expected {ENOUGH} or more"


if __name__ == "__main__":
    raise SystemExit(main())
