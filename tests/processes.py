"""Processes that a test watches, told from later ones that get their numbers (Linux)."""

from __future__ import annotations

from pathlib import Path
from typing import Self


class Pid(int):
    """The number of a process, and since when it runs."""

    born: str | None

    def __new__(cls, number: int) -> Self:
        pid = super().__new__(cls, number)
        pid.born = _born(number)
        return pid

    @property
    def alive(self) -> bool:
        """Whether it runs: one that has ended and was not waited for does not, nor another with its number."""
        return self.born is not None and _born(self) == self.born


def _born(number: int) -> str | None:
    """When a running process began, in ticks since the machine did; None when there is none."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]
