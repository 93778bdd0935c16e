"""What a run was measured on: versions, the machine, the commit."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def facts(command: str, server: str, peers: str) -> list[str]:
    """One sentence each: when and by which command, machine, versions, peers."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("Django", "psycopg", "procrastinate")
    )
    today = dt.datetime.now(dt.UTC).date()
    return [
        f"{today}, commit {commit()}, `{command}`",
        f"{os.cpu_count()} CPUs ({processor()}), {memory_gb():.0f} GB, {platform.system()}: all programs share them",
        f"Python {platform.python_version()}, {versions}",
        server,
        peers,
    ]


def commit() -> str:
    """The commit that is checked out, and whether the files differ from it."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def processor() -> str:
    """The processor's name, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return " ".join(value.split())
    return platform.machine()


def memory_gb() -> float:
    """Gigabytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
