"""What the reader of the demo sees: one line per fact, a bar where something takes long, a table at the end."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

LABEL = 20  # characters of the left column


class Bar(Protocol):
    """Something that shows how far a count is."""

    def reach(self, count: int) -> None:
        """Show this count."""


class Screen:
    """Everything that is printed. Lines only, in black and white, when the output is no terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.began = time.monotonic()

    def title(self, heading: str, line: str) -> None:
        """The first lines."""
        self.console.print(f"\n  [bold]{heading}[/]\n  [dim]{line}[/]\n")

    def fact(self, label: str, text: str, *, seconds: float | None = None) -> None:
        """Something that is true now."""
        took = "" if seconds is None else f"  [dim]{seconds:.1f} s[/]"
        self.console.print(f"  [green]✓[/] [bold]{label:<{LABEL}}[/] {text}{took}")

    def note(self, text: str) -> None:
        """Something to know beside a fact."""
        self.console.print(f"    {'':<{LABEL}} [dim]{text}[/]")

    def failure(self, text: str) -> None:
        """What was not true, and the end."""
        self.console.print(f"\n  [red]✕[/] {text}\n", markup=True)

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Bar]:
        """A count that grows to `total`: a bar on a terminal, a line for each fifth elsewhere."""
        if not self.console.is_terminal:
            yield Lines(self.console, label, total)
            return
        columns = (
            TextColumn(f"  … [bold]{label:<{LABEL}}[/]"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield Moving(progress, total)

    def table(self, heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Figures; the first column is words."""
        self.console.print(f"\n    [bold]{heading}[/]")
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self.console.print(Padding(table, (0, 0, 0, 4), expand=False))

    def end(self, text: str) -> None:
        """The last line."""
        self.console.print(f"\n  [green]✓[/] [bold]{text}[/]  [dim]{time.monotonic() - self.began:.0f} s in all[/]\n")


class Moving:
    """A bar that moves."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self.task = progress.add_task("", total=total)

    def reach(self, count: int) -> None:
        """Show this count."""
        self.progress.update(self.task, completed=count)


class Lines:
    """A line for each fifth."""

    def __init__(self, console: Console, label: str, total: int) -> None:
        self.console, self.label, self.total = console, label, total
        self.fifths = 0

    def reach(self, count: int) -> None:
        """Show this count, when it is a fifth further."""
        fifths = count * 5 // max(1, self.total)
        if fifths > self.fifths:
            self.fifths = fifths
            self.console.print(f"  . {self.label:<{LABEL}} {count} of {self.total}")
