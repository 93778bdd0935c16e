"""What a run found: figures by queue, what was asked beside what was found, as text and as the page in docs/."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import number


@dataclass(frozen=True)
class Cell:
    """One figure of the table that has a row for each queue and a column for each measure."""

    row: str
    column: str
    value: float


@dataclass(frozen=True)
class Finding:
    """What was asked of a figure, and what was found."""

    what: str
    asked: str
    found: str
    reached: bool | None
    """None: nothing was asked, or it could not be compared."""

    @classmethod
    def at_least(cls, what: str, limit: float, found: float, unit: str = "", extra: str = "") -> Finding:
        """More is better."""
        return cls(what, f"at least {amount(limit, unit)}", amount(found, unit) + extra, found >= limit)

    @classmethod
    def at_most(cls, what: str, limit: float, found: float, unit: str = "", extra: str = "") -> Finding:
        """Less is better."""
        return cls(what, f"at most {amount(limit, unit)}", amount(found, unit) + extra, found <= limit)

    @classmethod
    def seen(cls, what: str, found: float, unit: str = "", extra: str = "") -> Finding:
        """Nothing is asked."""
        return cls(what, "", amount(found, unit) + extra, None)

    @classmethod
    def missing(cls, what: str, asked: str, why: str) -> Finding:
        """It could not be measured."""
        return cls(what, asked, why, None)

    @property
    def verdict(self) -> str:
        """yes, no, or nothing."""
        return "" if self.reached is None else "yes" if self.reached else "no"


@dataclass
class Found:
    """What one part found."""

    cells: list[Cell] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take another part's in."""
        self.cells += other.cells
        self.findings += other.findings
        self.notes += other.notes


def amount(value: float, unit: str) -> str:
    """A figure with its unit; `x` stands right behind it."""
    return f"{number(value)}{unit}" if unit in {"", "x", "%"} else f"{number(value)} {unit}"


def figure_rows(cells: Sequence[Cell]) -> list[list[str]]:
    """The table of figures, its head first; rows and columns in the order they came, a gap where nothing was found."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = list(dict.fromkeys(cell.row for cell in cells))
    at = {(cell.row, cell.column): number(cell.value) for cell in cells}
    return [["", *columns], *([row, *(at.get((row, column), "") for column in columns)] for row in rows)]


def finding_rows(findings: Sequence[Finding]) -> list[list[str]]:
    """The table of what was asked and found, its head first."""
    return [["", "asked", "found", "reached"], *([f.what, f.asked, f.found, f.verdict] for f in findings)]


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The same table for the docs."""
    lines = [f"| {' | '.join(text.replace('|', '/') for text in row)} |" for row in rows]
    lines.insert(1, f"|{'---|' * len(rows[0])}")
    return "\n".join(lines)


def text_report(found: Found, facts: Iterable[str]) -> str:
    """All of it for a terminal."""
    parts = ["\n".join(facts)]
    if found.cells:
        parts.append(as_text(figure_rows(found.cells)))
    if found.findings:
        parts.append(as_text(finding_rows(found.findings)))
    if found.notes:
        parts.append("\n".join(found.notes))
    return "\n\n".join(parts)


def page_section(found: Found, facts: Iterable[str]) -> str:
    """All of it for the docs."""
    parts = ["\n".join(f"* {fact}" for fact in facts)]
    if found.cells:
        parts.append(as_markdown(figure_rows(found.cells)))
    if found.findings:
        parts.append(as_markdown(finding_rows(found.findings)))
    if found.notes:
        parts.append("\n".join(f"* {note}" for note in found.notes))
    return "\n\n".join(parts)


def put_into_page(page: str, name: str, section: str) -> str:
    """The page with what stands between the marks of this name replaced.

    Raises ValueError when the page has no such marks, `<!-- measured: name -->` and `<!-- end of name -->`.
    """
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no place for {name!r}: lines {begin} and {end}")
    return pattern.sub(lambda match: f"{match[1]}\n{section}\n\n{match[2]}", page)


def write_page(path: Path, name: str, section: str) -> None:
    """See put_into_page."""
    path.write_text(put_into_page(path.read_text(encoding="utf-8"), name, section), encoding="utf-8")
