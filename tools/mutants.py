"""Test the tests: put each seeded bug of tools/mutations.py into a copy of the project and see that a test turns red.

Usage   python tools/mutants.py             all of them
        python tools/mutants.py rescue NUL  those whose name has one of these words
        python tools/mutants.py --list      their names

The tests are first run without a bug: they must be green, or red would prove nothing. A line for each bug names the
test that caught it. Exit code 1 if one survived or cannot be judged, 2 if the tests are red anyway.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres  # noqa: E402 - the path first
from tools.mutations import MUTANTS, Mutant  # noqa: E402 - the path first

AT_A_TIME = 2
PATIENCE = 300
"""Seconds a selection may take: a bug may hang what it breaks."""
PATIENCE_WITHOUT_BUGS = 3600
"""Seconds all selections together may take without a bug, on a busy machine."""
CATCHES = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """What came of one bug."""

    caught: bool
    says: str
    seconds: float


def copy_project(into: Path) -> None:
    """The project without what is made anew: environments, caches, databases."""
    leave = shutil.ignore_patterns(".*", "__pycache__", "_build", "build", "dist")
    shutil.copytree(PROJECT, into, ignore=leave, dirs_exist_ok=True)


def apply(mutant: Mutant, project: Path) -> None:
    """Change the copy. Raises ValueError when a place is not there exactly once."""
    for change in mutant.changes:
        file = project / change.file
        text = file.read_text()
        if text.count(change.old) != 1:
            raise ValueError(
                f"{mutant.name}: {change.file} has the text to be changed {text.count(change.old)} times, expected "
                f"once:\n{change.old}\nMend the mutant in tools/mutations.py."
            )
        file.write_text(text.replace(change.old, change.new))


def run_tests(
    project: Path, tests: Sequence[str], url: str, run: str, patience: float = PATIENCE
) -> tuple[int | None, str]:
    """Pytest's exit code, None when it had to be stopped; and what it printed."""
    # "migrate" brings the functions and triggers of sql/ into the database as they stand in the copy.
    environment = {**os.environ, "DATABASE_URL": url, "QUEUE_TASKS_TEST_RUN": run, "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    try:
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"no end after {patience} s"
    return done.returncode, done.stdout + done.stderr


def judge(mutant: Mutant, url: str, number: int) -> Verdict:
    """Whether its tests turn red."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="queue_tasks-mutant-") as folder:
        project = Path(folder)
        copy_project(project)
        apply(mutant, project)
        code, output = run_tests(project, mutant.tests, url, f"mutant{number}")
    seconds = time.monotonic() - begun
    if code == 0:
        return Verdict(caught=False, says="SURVIVED", seconds=seconds)
    if code is None:
        return Verdict(caught=True, says=output, seconds=seconds)
    found = CATCHES.search(output)
    if code != 1 or found is None:
        return Verdict(
            caught=False, says=f"cannot be judged (pytest ended with {code}):\n{output[-2000:]}", seconds=seconds
        )
    return Verdict(caught=True, says=found[1], seconds=seconds)


def red_without_bugs(mutants: Sequence[Mutant], url: str) -> str:
    """What fails as the code stands; empty when nothing does."""
    filtered = {mutant.tests for mutant in mutants if "-k" in mutant.tests}
    plain = {test for mutant in mutants if "-k" not in mutant.tests for test in mutant.tests}
    for tests in [*sorted(filtered), *([tuple(sorted(plain))] if plain else [])]:
        code, output = run_tests(PROJECT, tests, url, "mutant0", PATIENCE_WITHOUT_BUGS)
        if code != 0:
            return f"{' '.join(tests)} fails without a bug:\n{output[-3000:]}"
    return ""


def chosen(words: Sequence[str]) -> list[Mutant]:
    """The mutants whose name has one of the words; all without words."""
    return [m for m in MUTANTS if not words or any(word.lower() in m.name.lower() for word in words)]


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="parts of names; none: all")
    parser.add_argument("--list", action="store_true", help="show the names only")
    options = parser.parse_args(arguments)
    mutants = chosen(options.words)
    if not mutants:
        print(f"no mutant's name has {' or '.join(options.words)}; --list shows them")
        return 2
    if options.list:
        print("\n".join(mutant.name for mutant in mutants))
        return 0
    with tempfile.TemporaryDirectory(prefix="queue_tasks-mutants-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", settings=FORGETFUL, temporary=True)
        with server:
            return report(mutants, server.url)


def report(mutants: Sequence[Mutant], url: str) -> int:
    """Judge them, telling each as it is known; the exit code."""
    red = red_without_bugs(mutants, url)
    if red:
        print(red)
        return 2
    verdicts = []
    width = max(len(mutant.name) for mutant in mutants)
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        coming = threads.map(judge, mutants, repeat(url), range(1, len(mutants) + 1))
        for mutant, verdict in zip(mutants, coming, strict=True):
            verdicts.append(verdict)
            mark = "caught" if verdict.caught else "------"
            print(f"{mark}  {mutant.name:{width}}  {verdict.seconds:3.0f} s  {verdict.says}", flush=True)
    survivors = sum(not verdict.caught for verdict in verdicts)
    print(f"{len(mutants) - survivors} of {len(mutants)} seeded bugs were caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
