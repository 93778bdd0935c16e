"""How things are shown to a person: tables, times in words, a progress bar. Pure but for the bar's stream.

Names and messages come from rows that anybody may have written: `clean` takes away what would move a terminal's cursor.
"""

from __future__ import annotations

import shutil
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from queue_tasks.durations import in_one_unit

GAP = "  "
SHORTEST = 8
"""Characters a column is never made narrower than."""


class Stream(Protocol):
    """What the bar writes to."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False
    """Aligned to the right, as numbers are."""
    shrinks: bool = False
    """May be cut from its left end, which says least, when the terminal is narrow."""


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    paint: Callable[[int, int, str], str] | None = None,
) -> list[str]:
    """Lines of a table: titles, then rows, aligned.

    width: characters a line may have; None: as many as it needs.
    paint: colours one cell after it was aligned; is told its row, column and text.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max([len(column.title), *(width_of(row[index]) for row in cells)]) for index, column in enumerate(columns)
    ]
    if width is not None:
        _shrink(widths, columns, width)
    lines = [GAP.join(_fit(column.title, widths[i], column) for i, column in enumerate(columns)).rstrip()]
    for number, row in enumerate(cells):
        fitted = [_fit(cell, widths[i], columns[i]) for i, cell in enumerate(row)]
        painted = fitted if paint is None else [paint(number, i, cell) for i, cell in enumerate(fitted)]
        lines.append(GAP.join(painted).rstrip())
    return lines


def _shrink(widths: list[int], columns: Sequence[Column], width: int) -> None:
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while excess > 0:
        candidates = [i for i, column in enumerate(columns) if column.shrinks and widths[i] > SHORTEST]
        if not candidates:
            return
        widest = max(candidates, key=lambda i: widths[i])
        widths[widest] -= 1
        excess -= 1


def _fit(text: str, width: int, column: Column) -> str:
    while width_of(text) > width:
        text = "..." + text[4:] if text.startswith("...") else "..." + text[3:]
    padding = " " * (width - width_of(text))
    return padding + text if column.right else text + padding


def width_of(text: str) -> int:
    """Columns of a terminal that the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def clean(text: str, *, lines: bool = False) -> str:
    """The text with its unprintable characters written as escapes. lines: keep line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or (lines and letter in "\n\t") else letter.encode("unicode_escape").decode()
        for letter in text
    )


def when(moment: datetime | None, now: datetime) -> str:
    """A time in words, seen from now: "12 min ago", "in 5 h"; "" for none."""
    if moment is None:
        return ""
    away = (moment - now) / timedelta(seconds=1)
    return f"in {in_one_unit(away)}" if away > 0 else f"{in_one_unit(-away)} ago"


def width_of_terminal(stream: Stream, columns: str | None) -> int | None:
    """Characters of a line; None where lines may be of any length. columns: the environment's COLUMNS."""
    if columns and columns.isascii() and columns.isdigit() and int(columns) > 0:
        return int(columns)
    return shutil.get_terminal_size().columns if stream.isatty() else None


class ProgressBar:
    """Tells how far long work has come: a bar on a terminal, a plain line now and then elsewhere."""

    LENGTH = 30
    EVERY = 5.0
    """Seconds between plain lines."""

    def __init__(self, stream: Stream, what: str, total: int) -> None:
        self._stream = stream
        self._what = what
        self._total = total
        self._bar = stream.isatty()
        self._told = time.monotonic()
        self._drawn = False

    def update(self, done: int) -> None:
        """Tell that so much is done."""
        total = max(self._total, done)
        text = f"{self._what}: {done:,} of {total:,}"
        if self._bar:
            filled = self.LENGTH * done // total if total else self.LENGTH
            self._stream.write(f"\r[{'#' * filled}{'.' * (self.LENGTH - filled)}] {text}")
            self._stream.flush()
            self._drawn = True
        elif time.monotonic() - self._told >= self.EVERY:
            self._told = time.monotonic()
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave the terminal on a new line."""
        if self._drawn:
            self._stream.write("\n")
            self._stream.flush()
            self._drawn = False
