"""What the admin's pages are made of: a list of things, a sheet about one, or a problem; and how they become HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from queue_tasks.dashboard.display import exact


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place, as text; None: nothing."""

    value: object
    link: str | None = None
    """An address; None: it leads nowhere."""

    def __str__(self) -> str:
        if isinstance(self.value, datetime):
            return exact(self.value)
        return "" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with a name for each column."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was asked for."""

    text: str
    help: str
    choices: Sequence[tuple[str, str, bool]] = ()
    """Word, the query that asks for it, and whether it is what was asked for."""
    error: str = ""
    """Why it was not looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of things; the first cell of a row leads to the sheet about it, the last one to the dashboard."""

    template = "admin_list.html"

    table: Table
    empty: str
    """What is said when there is none."""
    search: Search | None = None
    newest: str = ""
    """The query of the first page; "": it is this one."""
    older: str = ""
    """The query of the next page; "": there is none."""

    @property
    def shown(self) -> Table:
        """The table; without its last column where the dashboard is not mounted."""
        if any(row[-1].link for row in self.table.rows):
            return self.table
        return Table(self.table.columns[:-1], [row[:-1] for row in self.table.rows])

    @property
    def status(self) -> int:
        """Of the answer."""
        return 400 if self.search is not None and self.search.error else 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All about one thing."""

    template = "admin_sheet.html"
    status = 200

    name: str
    facts: Sequence[tuple[str, Cell]]
    texts: Sequence[tuple[str, str]] = ()
    """Title and text, which may have many lines."""
    tables: Sequence[Table] = ()
    dashboard: str | None = None
    """Its page on the dashboard; None: the dashboard is not mounted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is nothing to show."""

    template = "admin_problem.html"

    status: int
    title: str
    text: str


Shown = Listing | Sheet | Problem


def known(*facts: tuple[str, Any]) -> list[tuple[str, Cell]]:
    """The facts that are not None, "" or empty, each with its name."""
    cells = [(name, value if isinstance(value, Cell) else Cell(value)) for name, value in facts]
    return [(name, cell) for name, cell in cells if str(cell)]
