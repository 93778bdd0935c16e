"""What may be stored as JSON, and how it is written so that it comes back equal.

In: a task's positional and named arguments, or its return value. Out: JSON text, or an error that names the
argument. The rules are those of Django's `normalize_json` (tuples become lists, UTF-8 bytes become text), less what
JSON or Postgres would silently change or refuse. No database, no Django.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from json.encoder import encode_basestring as encode_text
from typing import Any

from queue_tasks.exceptions import ArgumentsNotStorable, ArgumentsOutOfRange

MAX_DEPTH = 64
"""Lists and objects within each other, at most."""

MAX_DIGITS = 4300
"""Of a whole number: Python's own limit for reading one back from text."""

NOT_TEXT = (bytearray, memoryview)
"""Sequences of numbers that are meant as bytes."""

NOTHING = '{"args":[],"kwargs":{}}'
"""The arguments of a job that has none."""

_BEYOND = 10**MAX_DIGITS

_SCALARS = frozenset({str, int, float, bool, type(None)})
"""The types, not those derived of them, that are written as they are."""

_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


def encode_arguments(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, names: Sequence[str] = (), max_bytes: int
) -> str:
    """JSON text of `{"args": [...], "kwargs": {...}}`.

    names: of the positional parameters, in order, for messages.
    max_bytes: of the text in UTF-8.
    Raises ArgumentsNotStorable (a TypeError) or ArgumentsOutOfRange (a ValueError), naming task and argument.
    """
    encoder = _Encoder(task, max_bytes)
    positional, named = [], []
    for index, value in enumerate(args):
        where = _quoted(names[index]) if index < len(names) else str(index)
        positional.append(encoder.value(value, f"argument {where}", 1))
    for name, value in kwargs.items():
        where = f"argument {_quoted(name)}"
        named.append(f"{encoder.text(name, where)}:{encoder.value(value, where, 1)}")
    text = f'{{"args":[{",".join(positional)}],"kwargs":{{{",".join(named)}}}}}'
    encoder.require_size(_bytes(text), [*zip(names, positional, strict=False), *zip(kwargs, named, strict=True)])
    return text


def encode_plainly(args: Sequence[Any], kwargs: Mapping[str, Any], *, max_bytes: int) -> str | None:
    """What `encode_arguments` gives, when the arguments are plainly of Python's own JSON types; None: it has to judge.

    It follows every value with the path to it, for its messages. Here the C encoder writes, and what it does not see is
    looked for in the text: a tenth of the work for what most jobs are given.
    """
    if not args and not kwargs:
        return NOTHING if len(NOTHING) <= max_bytes else None
    most = max_bytes // 2
    try:
        positional = [_written(value, most) for value in args]
        named = [f"{encode_text(name)}:{_written(value, most)}" for name, value in kwargs.items()]
    except (TypeError, ValueError):
        return None
    text = f'{{"args":[{",".join(positional)}],"kwargs":{{{",".join(named)}}}}}'
    return text if _as_written(text) and _bytes(text) <= max_bytes else None


def encode_value(owner: str, what: str, value: Any) -> str:
    """JSON text of one value, such as a return value; the same rules and errors. what: names it in them."""
    with contextlib.suppress(TypeError, ValueError):
        text = _written(value, sys.maxsize)
        if _as_written(text):
            return text
    return _Encoder(owner, None).value(value, what, 1)


def decode(text: str) -> Any:
    """The value of JSON text that `encode_arguments` or `encode_value` wrote, or SQL did."""
    return json.loads(text)


def _written(value: Any, most: int) -> str:
    """One value as the C encoder writes it. Raises TypeError or ValueError where that may not do."""
    kind = type(value)
    if kind is str:
        return encode_text(value)
    if kind is int:
        return int.__repr__(value)
    if value is None:
        return "null"
    if kind not in _SCALARS:
        _require_plain((value,), 0, most)
    return _write(value)


def _require_plain(values: Collection[Any], depth: int, most: int) -> int:
    """Raise TypeError unless all that is in there is of Python's own JSON types; how many items are still allowed."""
    most -= len(values)
    if most < 0 or depth > MAX_DEPTH:
        raise TypeError
    if _SCALARS.issuperset(map(type, values)):
        return most
    for value in values:
        kind = type(value)
        if kind is list or kind is tuple:
            most = _require_plain(value, depth + 1, most)
        elif kind is dict:
            if not {str}.issuperset(map(type, value)):
                raise TypeError
            most = _require_plain(value.values(), depth + 1, most)
        elif kind not in _SCALARS:
            raise TypeError
    return most


def _as_written(text: str) -> bool:
    """Whether the C encoder's text is good as it is: none of what Postgres refuses or changes may be in it."""
    if "\\u0000" in text or "e+" in text:
        return False
    if len(text) > MAX_DIGITS and not 0 < sys.get_int_max_str_digits() <= MAX_DIGITS:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(name: str) -> str:
    return f'"{name}"' if name.isprintable() and len(name) <= 80 else _short(name)  # noqa: PLR2004 - for a message


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class _Encoder:
    """Writes JSON and knows whose argument it is at."""

    def __init__(self, task: str, max_bytes: int | None) -> None:
        self.task = task
        self.max_bytes = max_bytes
        self.items = 0
        """Items of lists and objects so far: a small value can hold the same list a million times."""

    def value(self, value: Any, where: str, depth: int) -> str:  # noqa: PLR0911 - one return for each JSON type
        if value is None:
            return "null"
        if isinstance(value, str):
            return self.text(value, where)
        if value is True:
            return "true"
        if value is False:
            return "false"
        if isinstance(value, int):
            return self.integer(value, where)
        if isinstance(value, float):
            return self.number(value, where)
        if isinstance(value, bytes):
            return self.bytes(value, where)
        if isinstance(value, (Mapping, Sequence)) and not isinstance(value, NOT_TEXT) and not hasattr(value, "getlist"):
            return self.container(value, where, depth)
        raise ArgumentsNotStorable(self.task, where, str(type(value)), _remedy(value))

    def text(self, value: str, where: str) -> str:
        if "\x00" in value:
            raise ArgumentsOutOfRange(
                self.task,
                where,
                r"has a NUL character (\x00), which Postgres cannot store",
                "Remove it, or encode the data.",
            )
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as exc:
                found = f"has a lone surrogate ({value[exc.start]!a}), which is not valid Unicode"
                raise ArgumentsOutOfRange(self.task, where, found, "Decode the text with its right encoding.") from exc
        return encode_text(value)

    def bytes(self, value: bytes, where: str) -> str:
        try:
            return self.text(value.decode(), where)
        except UnicodeDecodeError as exc:
            # A ValueError, as Django's normalize_json has it.
            raise ArgumentsOutOfRange(
                self.task,
                where,
                "is bytes that are not UTF-8 text",
                "Encode them (base64), or store a file and pass its name.",
            ) from exc

    def integer(self, value: int, where: str) -> str:
        if not -_BEYOND < value < _BEYOND:
            raise ArgumentsOutOfRange(
                self.task,
                where,
                f"is an integer of more than {MAX_DIGITS:,} digits, which cannot be read back",
                "Pass it in hexadecimal, as text.",
            )
        return int.__repr__(value)

    def number(self, value: float, where: str) -> str:
        if not math.isfinite(value):
            raise ArgumentsOutOfRange(
                self.task,
                where,
                f"is {float(value)!r}, which JSON does not have",
                "Pass None, or text, and handle it in the task.",
            )
        text = float.__repr__(value)
        if "e+" in text:
            # Postgres writes 1e+23 out as a whole number, which would come back as another value: an int.
            return f"{Decimal(text):f}.0"
        return text

    def container(self, value: Mapping[Any, Any] | Sequence[Any], where: str, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise ArgumentsOutOfRange(
                self.task, where, f"is nested more than {MAX_DEPTH} deep", "Pass flat data, or the id of a row."
            )
        self.items += len(value)
        # Each item is at least one character and a comma.
        self.require_size(2 * self.items)
        if isinstance(value, Mapping):
            return f"{{{','.join(self.members(value, where, depth))}}}"
        return f"[{','.join([self.value(item, f'{where}[{i}]', depth + 1) for i, item in enumerate(value)])}]"

    def members(self, value: Mapping[Any, Any], where: str, depth: int) -> Iterable[str]:
        for key, item in value.items():
            if not isinstance(key, str):
                found = f"{type(key)} as a key ({_short(key)})"
                raise ArgumentsNotStorable(
                    self.task, where, found, "JSON would turn the key into text: pass text keys."
                )
            yield f"{self.text(key, where)}:{self.value(item, f'{where}[{_short(key)}]', depth + 1)}"

    def require_size(self, size: int, parts: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse arguments of so many bytes, or at least so many. parts: name and JSON of each, to name the largest."""
        if self.max_bytes is None or size <= self.max_bytes:
            return
        largest = max(parts, key=lambda part: len(part[1]), default=None)
        raise ArgumentsOutOfRange(
            self.task,
            "the arguments" if largest is None else f"argument {_quoted(largest[0])}",
            f"makes {size:,} bytes of JSON or more, but max_argument_bytes is {self.max_bytes:,}",
            "Store the data in a row or a file and pass its id.",
        )


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."  # noqa: PLR2004 - for a message


def _remedy(value: Any) -> str:  # noqa: PLR0911 - one return for each type there is advice for
    if hasattr(value, "pk") and hasattr(value, "_meta"):
        return f"Pass its id ({value.pk!r}) and read the row in the task."
    if isinstance(value, Enum):
        return "Pass its value."
    if hasattr(value, "isoformat"):
        return "Pass value.isoformat() and parse it in the task."
    if isinstance(value, (set, frozenset)):
        return "Pass a sorted list."
    if isinstance(value, NOT_TEXT):
        return "Pass bytes(value) if it is UTF-8 text; else encode it (base64)."
    if hasattr(value, "getlist"):
        return "It has several values for a key: pass dict(value.lists()), or value.dict() for the last ones."
    return "Pass text, numbers, booleans, None, lists and objects of these; str(value) makes text."
