"""Wire: what a worker and its child processes say to each other: JSON objects, each after its length in four bytes.

Only JSON: a child runs code that nobody vouches for, and whatever it sends is text of a limited length, checked here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from queue_tasks.conf import LONGEST, Options
from queue_tasks.exceptions import RaisedInProcess
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.worker.failures import MAX_MESSAGE, MAX_TRACEBACK, describe, storable

MAX_FRAME = 64 * 2**20
"""Bytes of one message, either way."""

_LENGTH = struct.Struct("!I")

Message = dict[str, Any]


def pack(message: Message) -> bytes:
    """One message as bytes. Raises ValueError when it is too long."""
    text = json.dumps(message).encode()
    if len(text) > MAX_FRAME:
        raise ValueError(f"{len(text):,} bytes; a process tells its worker at most {MAX_FRAME:,} at once")
    return _LENGTH.pack(len(text)) + text


class Unpacker:
    """Messages from a stream of bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now. Raises ValueError or TypeError when they are none."""
        self._bytes += data
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > MAX_FRAME:
                raise ValueError(f"a message of {length:,} bytes is announced")
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                return
            message = json.loads(self._bytes[_LENGTH.size : end])
            del self._bytes[:end]
            if not isinstance(message, dict):
                raise TypeError(f"a message is a {type(message).__name__}")
            yield message


def options_to_wire(options: Options) -> Message:
    """The backend's options, for a child."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value.total_seconds() if isinstance(value, timedelta) else value for name, value in values.items()}


def options_from_wire(message: Message) -> Options:
    """The backend's options, in the child."""
    keep = message["keep"]
    return Options(**{**message, "keep": None if keep is None else timedelta(seconds=keep)})


def job_to_wire(job: FetchedJob) -> Message:
    """A job, for a child."""
    return job._asdict()


def job_from_wire(message: Message) -> FetchedJob:
    """A job, in the child."""
    return FetchedJob(**message)


def outcome_to_wire(outcome: Outcome, job: FetchedJob, worker_id: int) -> Message:
    """An outcome, for the worker; its error as text."""
    message: Message = outcome._asdict()
    for name, value in list(message.items()):
        if isinstance(value, BaseException):
            message[name] = json.loads(describe(value, job, worker_id))
        elif isinstance(value, Outcome):
            message[name] = outcome_to_wire(value, job, worker_id)
        elif isinstance(value, datetime):
            message[name] = value.isoformat()
    return message


def outcome_from_wire(message: Message) -> Outcome:
    """An outcome, in the worker. Raises ValueError, TypeError or KeyError when it is none."""
    values: dict[str, Any] = {}
    for name in Outcome._fields:
        value = message[name]
        if value is not None:
            value = _READERS.get(name, _as_text)(value)
        values[name] = value
    return Outcome(**values)


def _error(entry: Message) -> RaisedInProcess:
    path, message, trace, place = (_as_text(entry[name]) for name in ("exception", "message", "traceback", "place"))
    return RaisedInProcess(
        storable(path, MAX_MESSAGE), storable(message, MAX_MESSAGE), storable(trace, MAX_TRACEBACK), place
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} where text is expected")
    return value


def _as_whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r:.80} where a whole number is expected")
    return value


def _as_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.80} where true or false is expected")
    return value


def _as_seconds(value: Any) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= LONGEST:
        raise TypeError(f"{value!r:.80} where seconds are expected")
    return float(value)


_READERS: dict[str, Any] = {
    "kind": OutcomeKind,
    "ended": float,
    "started": float,
    "wait": _as_seconds,
    "until": _time,
    "keep": _as_seconds,
    "priority": _as_whole,
    "error": _error,
    "written": _as_bool,
    "perhaps": outcome_from_wire,
}
