"""The arrays of a batch as Postgres writes them; a column in which nobody has anything is null, and so in each row.

psycopg would make the same text, looking at each element three times: that was a quarter of all that a worker did. Of a
column in which all have the same, as most columns are, the one value is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def integers(values: Sequence[int]) -> str:
    """An array of whole numbers, as Python writes a list of them."""
    return f"{{{repr(list(values))[1:-1]}}}"


def numbers(values: Sequence[float | None]) -> str | None:
    """An array of numbers. Raises what `float` does for something else: it must not become two elements."""
    return _array(values, lambda number: repr(number if type(number) is int else float(number)))


def seconds(values: Sequence[float | None]) -> str | None:
    """An array of seconds, to the microsecond: that is what Postgres keeps, and a third of the work of all digits."""
    return _array(values, "%.6f".__mod__)


def texts(values: Sequence[str | None]) -> str | None:
    """An array of texts."""
    return _array(values, lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')


def are_all(values: Sequence[T], value: T) -> bool:
    """Whether each of the values is this one; without any they are."""
    return values.count(value) == len(values)


def _array(values: Sequence[T | None], write: Callable[[T], str]) -> str | None:
    first = values[0] if values else None
    if are_all(values, first):
        return None if first is None else f"{{{','.join([write(first)] * len(values))}}}"
    return f"{{{','.join(['NULL' if value is None else write(value) for value in values])}}}"
