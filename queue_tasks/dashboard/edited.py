"""A job's arguments as an operator edits them: JSON that names each, and back to what the task is given.

In: the row's JSON text; later, the text of a form. Out: what the form shows, and what `control.retry_job` takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from queue_tasks import tasks
from queue_tasks.dashboard.redaction import HIDDEN, Hides, redacted
from queue_tasks.signatures import signature

MAX_LENGTH = 1_000_000
"""Characters of a form's arguments that are read."""

ENVELOPE = {"args", "kwargs"}


class EditInvalid(ValueError):  # noqa: N818 - read as a sentence, as the library's other errors
    """What stands in the form cannot be a job's arguments; its text says what was found, where, and what to write."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The arguments of one job, on their way to a form and back."""

    value: dict[str, Any]
    """What the form shows, unredacted: names and values; or, where some have no name, the lists `args` and `kwargs`."""
    positional: bool
    """Whether it is those two."""

    def text(self, hides: Hides) -> str:
        """What the form shows."""
        return json.dumps(redacted(self.value, hides), indent=2, ensure_ascii=False)

    def read(self, text: str, hides: Hides) -> dict[str, Any]:
        """What the form says, with what it does not show put back. Raises EditInvalid."""
        given = _parsed(text)
        if self.positional and (
            set(given) != ENVELOPE or not isinstance(given["args"], list) or not isinstance(given["kwargs"], dict)
        ):
            raise EditInvalid('Expected {"args": [...], "kwargs": {...}}: a list, and an object of names.')
        restored: dict[str, Any] = _restored(given, self.value, hides, "")
        return restored

    def call(self, given: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Positional and named arguments, as control.retry_job takes them."""
        return (given["args"], given["kwargs"]) if self.positional else ((), given)

    def changed(self, given: Mapping[str, Any]) -> list[str]:
        """The names of the arguments that are others now, or new, or gone."""
        before, after = (_flat(self, value) for value in (self.value, given))
        return sorted(name for name in {*before, *after} if before.get(name, _NONE) != after.get(name, _NONE))


_NONE = object()


def edited(task_name: str, text: str | None) -> Edited | None:
    """The arguments of a row; None where they cannot be edited: too long to be shown, or nothing that a task takes."""
    try:
        stored = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict):
        return None
    if set(stored) != ENVELOPE:
        return Edited(stored, positional=False)  # a task of procrastinate's
    args, kwargs = stored["args"], stored["kwargs"]
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return None
    names = _names(task_name)
    if names is not None and len(args) <= len(names) and not set(names[: len(args)]) & set(kwargs):
        return Edited({**dict(zip(names, args, strict=False)), **kwargs}, positional=False)
    return Edited(stored, positional=True) if args else Edited(kwargs, positional=False)


def _names(task_name: str) -> list[str] | None:
    """Of the parameters that can be given by place and by name; None where some can only be given by place."""
    task = tasks.declared.get(task_name)
    if task is None:
        return None
    parameters = signature(task.func, takes_context=task.takes_context).parameters.values()
    if any(one.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL) for one in parameters):
        return None
    return [one.name for one in parameters if one.kind is Parameter.POSITIONAL_OR_KEYWORD]


def _flat(edited: Edited, value: Mapping[str, Any]) -> dict[str, Any]:
    if not edited.positional:
        return dict(value)
    return {**{str(place): one for place, one in enumerate(value["args"])}, **value["kwargs"]}


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MAX_LENGTH:
        raise EditInvalid(f"The arguments have {len(text):,} characters; at most {MAX_LENGTH:,} are read.")
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as exc:
        raise EditInvalid(f"Line {exc.lineno}, column {exc.colno} is not JSON: {exc.msg}.") from None
    except RecursionError:
        raise EditInvalid("Lists and objects stand too deep within each other.") from None
    except EditInvalid:
        raise
    except ValueError:
        raise EditInvalid("A number has more digits than can be read.") from None
    if not isinstance(found, dict):
        raise EditInvalid('Expected an object, of names and values: {"photo_id": 7}')
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise EditInvalid(f'"{twice[:60]}" stands twice in one object; once is enough.')
    return found


def _no_number(word: str) -> Any:
    raise EditInvalid(f"{word} is not JSON: no number of a job may be that.")


def _restored(given: Any, stored: Any, hides: Hides, path: str) -> Any:
    """What was given, with the values that were not shown in the places where they stood."""
    if isinstance(given, dict):
        known = stored if isinstance(stored, dict) else {}
        return {
            name: known[name]
            if value == HIDDEN and hides(name) and name in known
            else _restored(value, known.get(name), hides, f"{path}.{name}" if path else name)
            for name, value in given.items()
        }
    if isinstance(given, list):
        known_list = stored if isinstance(stored, list) else []
        return [
            _restored(value, known_list[place] if place < len(known_list) else None, hides, f"{path}[{place}]")
            for place, value in enumerate(given)
        ]
    if given == HIDDEN:
        raise EditInvalid(f"{path[:60]}: there is no value that was not shown. Write one.")
    return given
