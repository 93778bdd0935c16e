"""What a page can follow: rows of one kind."""

from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """Rows of one kind, and how to read them. The functions run in the hub's reading thread and may use the ORM."""

    name: str
    """The event's name in the browser."""
    channel: str
    """Where the database tells that a row changed; the payload is the row's id. Listed in sql/listen.sql."""
    render: Callable[[Collection[int]], dict[int, str]]
    """The text to send for each of these rows; a row that is gone has a text that says so."""
    newer: Callable[[int], list[int]]
    """The ids of the rows that came after this one, oldest first."""
    rows_of_jobs: Callable[[Collection[str] | None], list[int]]
    """Told which jobs went on or finished (None: any may have): settles rows whose job ended without a word from its
    task, and gives the rows to be rendered again although they did not change."""
