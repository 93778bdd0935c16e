"""A length of time for people: in two units where there is room, in one where there is not."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3600, 86_400


def in_words(seconds: float) -> str:
    """In two units, no part of the smaller one: 0.4 ms, 3.2 s, 4 m 10 s, 2 h 5 m, 3 d 4 h."""
    if seconds < 0:
        return f"-{in_words(-seconds)}"
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < MINUTE:
        return f"{seconds:.3g} s"
    for unit, name, smaller, part in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "m"), (MINUTE, "m", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit:,.0f} {name} {seconds % unit // smaller:.0f} {part}"
    raise AssertionError("a minute or more")


def in_one_unit(seconds: float) -> str:
    """In the largest unit alone, for a column: 0 s, 0.3 s, 42 s, 12 min, 5 h, 3 d."""
    if seconds < 0.001:  # noqa: PLR2004 - shorter than anybody cares
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - one decimal is of use below
        return f"{seconds:.1f} s"
    for unit, length, limit in (("s", 1, MINUTE), ("min", MINUTE, HOUR), ("h", HOUR, 2 * DAY)):
        if seconds < limit:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // DAY:,.0f} d"
