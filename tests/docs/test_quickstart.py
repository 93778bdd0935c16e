"""The quickstart does what it says: its files are written, its commands typed, in an empty folder."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import DOCS, PROJECT, blocks

PAGE = DOCS / "quickstart.md"
BIN = Path(sys.executable).parent
DONE_ALREADY = ("pip install", "createdb")
"""Commands whose effect the test's environment has."""

OWN_DATABASE = """
import dj_database_url, os
DATABASES["default"] = dj_database_url.parse(os.environ["DATABASE_URL"])
"""


class Reader:
    """Somebody who follows the page."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[str]] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))},
            "DATABASE_URL": url,
            "PYTHONPATH": str(PROJECT),
            "PYTHONWARNINGS": "ignore",  # of a new project's own settings
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }

    def write(self, text: str) -> None:
        """Put a block into the file it names; into settings, after what is there."""
        first, _, rest = text.partition("\n")
        file = self.folder / first.removeprefix("# ")
        if file.name == "settings.py":
            file.write_text(file.read_text() + rest + OWN_DATABASE)
        else:
            file.write_text(rest)

    def type(self, text: str) -> None:
        """Type a block's commands one by one; each says what the page says it does."""
        for part in ("\n" + text).split("\n$ ")[1:]:
            command, _, expected = part.partition("\n")
            if command.startswith(DONE_ALREADY):
                continue
            said = self.start(command) if command.endswith("queue_worker") else self.run(command)
            for line in expected.splitlines():
                assert line in said, f"$ {command}\nsaid:\n{said}\nexpected:\n{line}"

    def run(self, command: str) -> str:
        """Run a command to its end; what it said."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, command: str) -> str:
        """Start a worker that goes on; its first line."""
        worker = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        self.workers.append(worker)
        assert worker.stdout is not None
        return worker.stdout.readline()

    def stop(self) -> None:
        """Stop the workers, as Ctrl-C does."""
        for worker in self.workers:
            worker.send_signal(signal.SIGINT)
        for worker in self.workers:
            said = worker.communicate(timeout=90)[0]
            assert worker.returncode == 0, said
            assert "stopped: worker" in said


def test_the_quickstart_does_what_it_says(tmp_path: Path, fresh_database: str):
    reader = Reader(tmp_path, fresh_database)
    try:
        for block in blocks(PAGE):
            if block.language == "python":
                reader.write(block.text)
            elif block.language == "console":
                reader.type(block.text)
    finally:
        reader.stop()
