"""A number of bytes for people."""

from __future__ import annotations

STEP = 1024
"""Of one unit in the next larger one."""

UNITS = ("kB", "MB", "GB")


def in_words(count: int) -> str:
    """In the unit that reads well, three digits that count: 512 bytes, 8 kB, 3.5 MB, 12 GB, 1,500 TB."""
    if count < STEP:
        return f"{count} bytes"
    value = float(count)
    for unit in UNITS:
        value /= STEP
        if value < STEP:
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004 - three digits
    return f"{value / STEP:,.3g} TB" if value < 1000 * STEP else f"{value / STEP:,.0f} TB"
