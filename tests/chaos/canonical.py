"""A value as text: equal for equal values of equal types only, where it is given and where it arrives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def canonical(value: Any) -> str:  # noqa: PLR0911 - one return for each type JSON has
    """What JSON is to give back for a value: sequences are lists, bytes are text; an int is no float, 1 is not True."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        return f"i{int(value):x}"
    if isinstance(value, float):
        return f"f{float(value) + 0.0!r}"  # -0.0 equals 0.0, and is the same number to Postgres
    if isinstance(value, bytes):
        return canonical(value.decode())
    if isinstance(value, str):
        return ascii(str(value))
    if isinstance(value, Mapping):
        members = sorted(f"{canonical(key)}:{canonical(item)}" for key, item in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, Sequence):
        return f"[{','.join(canonical(item) for item in value)}]"
    raise TypeError(f"{type(value)} has no JSON")
