"""Make the virtual environment that every `make` target runs in, or leave it alone when it is already right.

Called by   the Makefile, with the interpreter the environment shall be made from (standard library only)
Usage       python3 tools/install.py [--venv .venv] [--extras dev,site] [--also "Django<6.1"] [--oldest]
Exit codes  0 ready, 1 could not be made (one clear message), 2 usage

The stamp file is written last and holds what was installed, so an interrupted installation is made again from
scratch, and a second run costs a few milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
STAMP_NAME = "installed-by-queue-tasks"

# Settings of a user's shell that would send pip elsewhere or make it refuse to work in an environment of its own.
# Where packages come from (index, proxy, certificates) stays the user's choice.
HARMFUL_VARIABLES = (
    "PIP_NO_DEPS",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Install when needed; returns the exit code."""
    options = parse(arguments)
    if sys.version_info < OLDEST_PYTHON:
        found, wanted = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, OLDEST_PYTHON))
        return fail(
            f"{sys.executable} is Python {found}; queue_tasks needs {wanted} or newer.\n"
            f"Name another one: make PYTHON=/path/to/python{wanted}"
        )
    folder = (PROJECT / options.venv).resolve()
    with one_at_a_time(folder):
        wanted_stamp = describe(folder, options.extras, options.also)
        stamp = folder / STAMP_NAME
        if stamp.is_file() and stamp.read_text() == wanted_stamp and interpreter_of(folder).exists():
            return 0
        return install(folder, stamp, wanted_stamp, options.extras, options.also)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make the virtual environment of this checkout.")
    parser.add_argument("--venv", default=".venv", help="folder, relative to the project (default: .venv)")
    parser.add_argument("--extras", default="dev", help="extras of pyproject.toml, separated by commas (default: dev)")
    parser.add_argument("--also", action="append", default=[], help="one more requirement, for instance 'Django<6.1'")
    parser.add_argument("--oldest", action="store_true", help="dependencies at their oldest declared version")
    options = parser.parse_args(arguments)
    options.also = [requirement for requirement in options.also if requirement.strip()]
    if options.oldest:
        options.also += oldest_of(read_project()["project"]["dependencies"])
    return options


def oldest_of(dependencies: Sequence[str]) -> list[str]:
    """Requirements of exactly the least that is asked for: of `a[b]>=1.2,<2; when`, `a[b]==1.2; when`."""
    return [re.sub(r">=([^,;]+)[^;]*", r"==\1", requirement) for requirement in dependencies]


def read_project() -> dict[str, Any]:
    """What stands in pyproject.toml."""
    import tomllib  # noqa: PLC0415 - new in 3.11; an older Python must get as far as its clear message

    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def describe(folder: Path, extras: str, also: Sequence[str]) -> str:
    """What the stamp must say: the same text means that nothing has to be done.

    The folder is part of it, since the scripts in an environment name their own place and break when it is moved.
    """
    project = read_project()
    # Only the tables that installing reads: a change to a linter's settings needs no new environment.
    read_by_pip = json.dumps([project["build-system"], project["project"], project["tool"]["hatch"]], sort_keys=True)
    requirements = hashlib.sha256(read_by_pip.encode()).hexdigest()
    lines = [f"python {sys.version}", f"base {sys.base_prefix}", f"folder {folder}", f"extras {extras}", *also]
    return "\n".join([*lines, f"pyproject.toml {requirements}", ""])


def interpreter_of(folder: Path) -> Path:
    """The Python inside the environment."""
    return folder / "bin" / "python"


def install(folder: Path, stamp: Path, wanted_stamp: str, extras: str, also: Sequence[str]) -> int:
    """Build the environment and write the stamp; returns the exit code."""
    started = time.monotonic()
    print(f"Installing into {folder} (once; about half a minute) ...", flush=True)
    # A finished environment of the same interpreter and place is brought up to date; anything else starts afresh.
    same_ground = stamp.is_file() and stamp.read_text().splitlines()[:3] == wanted_stamp.splitlines()[:3]
    stamp.unlink(missing_ok=True)
    if not (same_ground and interpreter_of(folder).exists()):
        try:
            if folder.exists():
                shutil.rmtree(folder)
            venv.create(folder, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError, SystemExit) as problem:
            return fail(
                f"{sys.executable} could not make a virtual environment in {folder}: {problem}\n"
                "On Debian and Ubuntu install its missing half: apt-get install python3-venv"
            )
    environment = {name: value for name, value in os.environ.items() if name not in HARMFUL_VARIABLES}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    # Twice quiet: pip then speaks only of errors; a second run says everything, for whoever has to find the cause.
    pip = [str(interpreter_of(folder)), "-m", "pip", "install", "--no-input"]
    wanted = ["--editable", f"{PROJECT}[{extras}]", *also]
    quiet = subprocess.run([*pip, "-qq", *wanted], env=environment, check=False, capture_output=True, text=True)
    if quiet.returncode != 0:
        print(quiet.stdout + quiet.stderr, file=sys.stderr)
        return fail(
            "pip could not install the packages of pyproject.toml (its words are above).\n"
            "Check the network and pip's settings (`pip config list`), then run the same command again."
        )
    stamp.write_text(wanted_stamp)
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
    return 0


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let two `make` commands started together install one after the other."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the environment, not in it: the folder itself may be removed and made anew under the lock.
    lock = folder.with_name(f"{folder.name}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fail(message: str) -> int:
    """Print a message; returns 1."""
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
