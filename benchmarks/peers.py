"""Other queues, installed into benchmarks/.peers by `make bench-peers`; a run says which are absent."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".peers"
PYTHON = FOLDER / "python" / "bin" / "python"
NODE_MODULES = FOLDER / "node" / "node_modules"

# Pinned: a figure in the docs is of a version. The newest graphile-worker that runs on Node 20 is 0.17.
PYTHON_PACKAGES = ("pgqueuer==1.6.0", "asyncpg==0.32.0", "uvloop==0.23.0")
NODE_PACKAGES = ("graphile-worker@0.17.3", "pg@8.23.1")


def node() -> str:
    """The command of Node."""
    return shutil.which("node") or "node"


def graphile_version() -> str | None:
    """Installed version; None without it, or without Node."""
    package = NODE_MODULES / "graphile-worker" / "package.json"
    if not package.exists() or shutil.which("node") is None:
        return None
    version: str = json.loads(package.read_text(encoding="utf-8"))["version"]
    return version


def pgqueuer_version() -> str | None:
    """Installed version; None without it."""
    found = [path.name for path in (FOLDER / "python").glob("lib/python*/site-packages/pgqueuer-*.dist-info")]
    return found[0].removeprefix("pgqueuer-").removesuffix(".dist-info") if found and PYTHON.exists() else None


def procrastinate_version() -> str | None:
    """Installed version: it is what queue_tasks stands on."""
    return importlib.metadata.version("procrastinate")


def install() -> None:
    """Install what can be; says what cannot."""
    FOLDER.mkdir(exist_ok=True)
    if not PYTHON.exists():
        venv.create(FOLDER / "python", with_pip=True)
    _run([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_PACKAGES])
    npm = shutil.which("npm")
    if npm is None:
        print("graphile-worker: left out, there is no npm; it needs Node 20 or newer")
        return
    folder = FOLDER / "node"
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    _run([npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), *NODE_PACKAGES])


def _run(command: list[str]) -> None:
    print(" ".join(command))
    if subprocess.run(command, check=False).returncode:
        print("  failed: that queue will be left out", file=sys.stderr)


if __name__ == "__main__":
    install()
