"""What may be stored as JSON, and how it is written so that it comes back equal.

In: a task's positional and named arguments, or its return value. Out: JSON text, or an error that names the
argument. The rules are those of Django's `normalize_json` (tuples become lists, UTF-8 bytes become text), less what
JSON or Postgres would silently change or refuse. No database, no Django.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring_ascii as encode_text
from typing import Any

from queue_tasks.exceptions import ArgumentsNotStorable, ArgumentsOutOfRange

MAX_DEPTH = 64
"""Lists and objects within each other, at most."""

MAX_INTEGER_BITS = 14_284
"""About 4,300 digits: Python's own limit for reading an integer back from text."""


def encode_arguments(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, names: Sequence[str] = (), max_bytes: int
) -> str:
    """JSON text of `{"args": [...], "kwargs": {...}}`.

    names: of the positional parameters, in order, for messages.
    max_bytes: of the text as stored.
    Raises ArgumentsNotStorable (a TypeError) or ArgumentsOutOfRange (a ValueError), naming task and argument.
    """
    encoder = _Encoder(task)
    positional = [
        encoder.value(value, _quoted(names[i]) if i < len(names) else str(i), 1) for i, value in enumerate(args)
    ]
    named = [f"{encode_text(name)}:{encoder.value(value, _quoted(name), 1)}" for name, value in kwargs.items()]
    text = f'{{"args":[{",".join(positional)}],"kwargs":{{{",".join(named)}}}}}'
    if len(text) > max_bytes:
        raise ArgumentsOutOfRange(
            task,
            "list",
            f"is {len(text):,} bytes of JSON, more than the {max_bytes:,} of max_argument_bytes",
            "Store the data in a row or a file and pass its id.",
        )
    return text


def encode_value(owner: str, what: str, value: Any) -> str:
    """JSON text of one value, such as a return value; the same rules and errors."""
    return _Encoder(owner).value(value, what, 1)


def decode(text: str) -> Any:
    """The value of JSON text that `encode_arguments` or `encode_value` wrote, or SQL did."""
    return json.loads(text)


def _quoted(name: str) -> str:
    return f'"{name}"'


class _Encoder:
    """Writes JSON and knows whose argument it is at."""

    def __init__(self, task: str) -> None:
        self.task = task

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
        if depth > MAX_DEPTH and isinstance(value, (Mapping, Sequence)):
            raise ArgumentsOutOfRange(
                self.task, where, f"is nested more than {MAX_DEPTH} deep", "Pass flat data, or the id of a row."
            )
        if isinstance(value, Mapping):
            return self.object(value, where, depth)
        if isinstance(value, Sequence):
            items = [self.value(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
            return f"[{','.join(items)}]"
        raise ArgumentsNotStorable(self.task, where, str(type(value)), _remedy(value))

    def text(self, value: str, where: str) -> str:
        if "\x00" in value:
            raise ArgumentsOutOfRange(
                self.task, where, r"has a NUL character (\x00), which Postgres cannot store", "Remove it, or encode the data."
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
                self.task, where, "is bytes that are not UTF-8 text", "Encode them (base64), or store a file and pass its name."
            ) from exc

    def integer(self, value: int, where: str) -> str:
        if value.bit_length() > MAX_INTEGER_BITS:
            raise ArgumentsOutOfRange(
                self.task, where, "is an integer of more than 4,300 digits, which cannot be read back", "Pass it as text."
            )
        return int.__repr__(value)

    def number(self, value: float, where: str) -> str:
        if not math.isfinite(value):
            raise ArgumentsOutOfRange(
                self.task, where, f"is {value!r}, which JSON does not have", "Pass None, or text, and handle it in the task."
            )
        text = float.__repr__(value)
        if "e+" in text:
            # Postgres writes 1e+23 out as a whole number, which would come back as another value: an int.
            return f"{Decimal(text):f}.0"
        return text

    def object(self, value: Mapping[Any, Any], where: str, depth: int) -> str:
        members = []
        for key, item in value.items():
            if not isinstance(key, str):
                found = f"{type(key)} as a key ({key!r})"
                raise ArgumentsNotStorable(self.task, where, found, "JSON would turn the key into text: pass text keys.")
            members.append(f"{self.text(key, where)}:{self.value(item, f'{where}[{key!r}]', depth + 1)}")
        return f"{{{','.join(members)}}}"


def _remedy(value: Any) -> str:
    if hasattr(value, "pk") and hasattr(value, "_meta"):
        return f"Pass its id ({value.pk!r}) and read the row in the task."
    if hasattr(value, "isoformat"):
        return "Pass value.isoformat() and parse it in the task."
    if isinstance(value, (set, frozenset)):
        return "Pass a sorted list."
    return "Pass text, numbers, booleans, None, lists and objects of these."
