"""The arrays of a batch as Postgres writes them; a column in which nobody has anything is null, and so in each row.

psycopg would make the same text, looking at each element three times: that was a quarter of all that a worker did.
"""

from __future__ import annotations

from collections.abc import Sequence


def numbers(values: Sequence[float | None]) -> str | None:
    """An array of numbers. Raises what `float` does for something else: it must not become two elements."""
    if all(value is None for value in values):
        return None
    written = ["NULL" if v is None else repr(v if type(v) is int else float(v)) for v in values]
    return f"{{{','.join(written)}}}"


def texts(values: Sequence[str | None]) -> str | None:
    """An array of texts."""
    if all(value is None for value in values):
        return None
    written = ["NULL" if v is None else '"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values]
    return f"{{{','.join(written)}}}"
