"""Run every check that needs no database, all of them even when one fails, and say which failed.

Called by   `make check`, with the environment's interpreter
Exit codes  0 all passed, 1 some failed
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

# name -> command; the quick ones first
STEPS: dict[str, list[str]] = {
    "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
    "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
    "sql": [sys.executable, "tools/lint_sql.py"],
    "imports": [str(BIN / "lint-imports"), "--no-cache"],
    "types": [sys.executable, "-m", "mypy"],
    "docs": [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-b", "html", "docs", "docs/_build"],
}


def main() -> int:
    """Run the steps; returns the exit code."""
    failed = []
    for name, command in STEPS.items():
        started = time.monotonic()
        done = subprocess.run(command, cwd=PROJECT, check=False, capture_output=True, text=True)
        outcome = "ok" if done.returncode == 0 else "FAILED"
        print(f"{name:8} {outcome} ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print((done.stdout + done.stderr).strip(), flush=True)
            print(f"  repeat with: {' '.join(command)}", flush=True)
    if failed:
        print(f"check: {', '.join(failed)} failed. `make fix` repairs what a tool can repair.")
        return 1
    print("check: all passed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
