"""What of a job's values may be shown: arguments, results, metadata, without what their names say is secret.

In: JSON text of anything, hostile or huge. Out: text to show, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

HIDDEN = "•••••• (not shown)"
MAX_SHOWN = 20_000
"""Characters of one value on a page."""

MAX_BYTES = 262_144
"""A value of more bytes of JSON is not read at all."""

Hides = Callable[[str], bool]
"""Whether values of a name are hidden."""


def redacted(value: Any, hides: Hides) -> Any:
    """The value with every hidden name's value replaced, at any depth."""
    if isinstance(value, Mapping):
        return {name: HIDDEN if hides(str(name)) else redacted(part, hides) for name, part in value.items()}
    if isinstance(value, list):
        return [redacted(part, hides) for part in value]
    return value


def redacted_call(stored: Any, names: Callable[[int], list[str]], hides: Hides) -> Any:
    """A row's arguments as they are stored, redacted; names: of so many positional ones."""
    if not isinstance(stored, Mapping) or set(stored) != {"args", "kwargs"} or not isinstance(stored["args"], list):
        return redacted(stored, hides)
    args = stored["args"]
    named = zip(names(len(args)), args, strict=True)
    return {
        "args": [HIDDEN if hides(name) else redacted(value, hides) for name, value in named],
        "kwargs": redacted(stored["kwargs"], hides),
    }


def named(text: str | None, size: int, names: Callable[[int], list[str]], hides: Hides) -> str:
    """A row's arguments by name, redacted, for a reader. names: of so many positional ones; the rest as in `shown`."""
    try:
        stored = json.loads(text or "")
        args, kwargs = stored["args"], stored["kwargs"]
        if set(stored) == {"args", "kwargs"} and isinstance(args, list) and isinstance(kwargs, dict):
            return laid_out(redacted({**dict(zip(names(len(args)), args, strict=True)), **kwargs}, hides))
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    return shown(text, size, hides)


def shown(text: str | None, size: int | None, hides: Hides) -> str:
    """JSON text, redacted and laid out for a reader. size: its bytes; text None: too many, or nothing."""
    if size is None:
        return ""
    if text is None:
        return f"Too long to show: {size:,} bytes."
    try:
        return laid_out(redacted(json.loads(text), hides))
    except (ValueError, RecursionError):
        return f"It cannot be shown: {size:,} bytes that cannot be read as JSON here."


def laid_out(value: Any) -> str:
    """A value as indented JSON, cut when it is long."""
    return cut(json.dumps(value, indent=2, ensure_ascii=False))


def cut(text: str, limit: int = MAX_SHOWN) -> str:
    """The beginning of a long text, and how much is missing."""
    return text if len(text) <= limit else f"{text[:limit]}\n… ({len(text) - limit:,} characters more)"
