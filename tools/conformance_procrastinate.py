"""Run procrastinate's own tests against our tables: what passes on its own schema must pass on ours.

Called by   `make conformance-procrastinate`
Usage       python tools/conformance_procrastinate.py [--tests FOLDER] [--postgres 18] [pytest's arguments]
Exit codes  0 nothing fails that passes on the stock schema, but for what EXPLAINED names; 1 something does; 2 no tests

The tests are looked for in procrastinate's source distribution of the installed version, which pip downloads. It has
none as of 3.10.0: then give --tests, a folder with a checkout's `tests/`, near to that version. Nothing of it is kept.
Each test runs twice, on stock tables and on ours, so that what fails by itself (another version's checkout, a slow
machine) is told apart. They run in an environment and on a Postgres of their own, in a temporary folder.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres, forget_libpq_settings  # noqa: E402 - a script's own path first

FOLDERS = ("tests/acceptance", "tests/integration")
# Sphinx's tests have nothing to do with tables.
LEFT_OUT = ("tests/integration/contrib/sphinx",)
NEEDED = (
    "aiopg",
    "psycopg2-binary",
    "psycopg[binary,pool]",
    "pytest<9",
    "pytest-asyncio",
    "pytest-benchmark",
    "pytest-django",
    "pytest-mock",
    "setuptools<81",
    "sphinx",
    "sqlalchemy",
)

# Part of a test's name -> why it may fail on our tables.
EXPLAINED: Mapping[str, str] = {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run procrastinate's own tests against our tables.")
    parser.add_argument("--tests", type=Path, help="a folder that has procrastinate's tests/, when the sdist has none")
    parser.add_argument("--postgres", default="18", help="15, 16 or 18 (default 18)")
    options, rest = parser.parse_known_args(arguments)
    version = importlib.metadata.version("procrastinate")
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        work = Path(name)
        work.chmod(0o755)  # the server may run as another account
        root = options.tests or unpack_sdist(work, version)
        if not (root / "tests").is_dir():
            print(
                f"procrastinate {version}: its source distribution has no tests. Give --tests FOLDER: a checkout of "
                "https://github.com/procrastinate-org/procrastinate near that version.",
                file=sys.stderr,
            )
            return 2
        python = make_environment(work, version)
        forget_libpq_settings()
        with EmbeddedPostgres(
            work / "postgres", version=options.postgres, settings=FORGETFUL, temporary=True
        ) as server:
            server.start()
            stock = run(python, root, server, "stock", work, rest)
            tuned = run(python, root, server, "tuned", work, rest)
    return judge(version, stock, tuned)


def unpack_sdist(work: Path, version: str) -> Path:
    """Download procrastinate's source distribution; returns its folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(work), f"procrastinate=={version}"], check=True)
    with tarfile.open(next(work.glob("procrastinate-*.tar.gz"))) as archive:
        archive.extractall(work, filter="data")
    return work / f"procrastinate-{version}"


def make_environment(work: Path, version: str) -> Path:
    """Return the interpreter of an environment with what procrastinate's tests need and our library does not."""
    subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
    python = work / "venv" / "bin" / "python"
    django = importlib.metadata.version("Django")
    extra = ["django-tasks"] if django.startswith("5.") else []
    wanted = [f"procrastinate[django]=={version}", f"Django=={django}", *extra, *NEEDED]
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    return python


def run(
    python: Path, root: Path, server: EmbeddedPostgres, kind: str, work: Path, rest: Sequence[str]
) -> dict[str, str]:
    """Run the tests on one kind of tables; test -> passed, failed or skipped."""
    report = work / f"{kind}.xml"
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "--no-header",
        "--tb=short",
        "-p",
        "tools.conformance_procrastinate_plugin",
    ]
    command += ["-p", "no:cacheprovider", "-W", "default", f"--junitxml={report}", "--create-db"]
    command += [f"--ignore={path}" for path in LEFT_OUT]
    folders = [folder for folder in FOLDERS if (root / folder).is_dir()]
    environment = {
        **os.environ,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{root}{os.pathsep}{PROJECT}",
        "CONFORMANCE": kind,
        "PGHOST": str(server.socket_folder()),
        "PGUSER": "postgres",
        "PGDATABASE": "postgres",
    }
    print(f"{kind} tables: {' '.join(folders)}", flush=True)
    done = subprocess.run(
        [*command, *folders, *rest], cwd=root, env=environment, check=False, capture_output=True, text=True
    )
    if not report.exists():
        raise SystemExit(f"pytest gave no report:\n{done.stdout}{done.stderr}")
    (Path(tempfile.gettempdir()) / f"conformance-{kind}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    found = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own file
        test = f"{case.get('classname')}::{case.get('name')}"
        bad = case.find("failure") is not None or case.find("error") is not None
        found[test] = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
    print(f"  {count(found)}", flush=True)
    return found


def count(found: Mapping[str, str]) -> str:
    """Return the numbers in words."""
    return ", ".join(f"{list(found.values()).count(state)} {state}" for state in ("passed", "failed", "skipped"))


def judge(version: str, stock: Mapping[str, str], tuned: Mapping[str, str]) -> int:
    """Print what differs, and why; returns the exit code."""
    worse = [test for test, state in tuned.items() if state == "failed" and stock.get(test) != "failed"]
    missing = [test for test, state in stock.items() if state == "passed" and test not in tuned]
    both = [test for test, state in tuned.items() if state == "failed" and stock.get(test) == "failed"]
    print(f"\nprocrastinate {version} on our tables: {count(tuned)}; on its own: {count(stock)}")
    for test in both:
        print(f"  fails on its own tables too: {test}")
    unexplained = 0
    for test in [*worse, *missing]:
        reason = next((why for part, why in EXPLAINED.items() if part in test), None)
        unexplained += reason is None
        print(f"  fails on ours only: {test}: {reason or 'NOT EXPLAINED'}")
    if not stock:
        return 2
    return 1 if unexplained else 0


if __name__ == "__main__":
    raise SystemExit(main())
