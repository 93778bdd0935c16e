"""Programs that are measured: what they say, line by line, and what they use, by /proc (Linux).

A program says one thing a line: a word, then values. What it is asked comes the same way on its standard input.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.harness import TurnFailed

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 120.0
"""Seconds a program may be silent while something is expected of it."""

PROJECT = Path(__file__).resolve().parent.parent


class Program:
    """One process; usable as a context manager, at whose end it has ended."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command = list(command)
        # A file, not a pipe: nobody reads it until something went wrong.
        self._errors = tempfile.TemporaryFile(mode="w+b")  # noqa: SIM115 - closed by stop
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            self.command,
            env={**os.environ, **environment},
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.pid = self._process.pid
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._kept: list[tuple[str, list[str]]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def ask(self, *words: object) -> list[str]:
        """Send one line and wait for its answer: the values of the next line `done`. Raises TurnFailed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(" ".join(map(str, words)) + "\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise TurnFailed(self._epitaph()) from exc
        return self.wait_for("done")

    def wait_for(self, word: str, patience: float = PATIENCE) -> list[str]:
        """The values of the next line that begins with the word; others are kept for later. Raises TurnFailed."""
        for position, (first, values) in enumerate(self._kept):
            if first == word:
                # A worker may run its first job before it has said that it is ready.
                del self._kept[position]
                return values
        limit = time.monotonic() + patience
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                silence = f"{self._name()} did not say {word!r} within {patience:g} s"
                raise TurnFailed(f"{silence}: {self._last_words()}") from None
            if line is None:
                raise TurnFailed(self._epitaph())
            first, *values = line.split() or [""]
            if first.rstrip(":") == word:
                return values
            self._kept.append((first.rstrip(":"), values))

    def succeed(self, patience: float = PATIENCE) -> None:
        """Wait for its end. Raises TurnFailed when that does not come, or with another exit code than 0."""
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise TurnFailed(f"{self._name()} did not end within {patience:g} s") from None
        if code:
            raise TurnFailed(self._epitaph())

    def stop(self) -> None:
        """End it, kindly and then not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(5)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()

    def cpu(self) -> float:
        """Seconds of CPU it has used, in all its threads, user and system."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Megabytes resident now."""
        return self._status("VmRSS") / 1024

    def peak_memory(self) -> float:
        """Megabytes resident at most, so far."""
        return self._status("VmHWM") / 1024

    def threads(self) -> int:
        """Threads now."""
        return self._status("Threads")

    def descriptors(self) -> int:
        """Open files and sockets now."""
        try:
            return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())
        except OSError as exc:
            raise TurnFailed(self._epitaph()) from exc

    def _status(self, name: str) -> int:
        for line in self._proc("status").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise TurnFailed(self._epitaph())

    def _proc(self, file: str) -> str:
        try:
            return Path(f"/proc/{self.pid}/{file}").read_text(encoding="utf-8", errors="replace")
        except OSError as exc:
            raise TurnFailed(self._epitaph()) from exc

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _name(self) -> str:
        return " ".join(Path(part).name for part in self.command[:6])

    def _epitaph(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        return f"{self._name()} ended with {self._process.poll()}: {self._last_words()}"

    def _last_words(self) -> str:
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-3:]
        return " / ".join(last) or "it said nothing"
