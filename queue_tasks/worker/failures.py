"""How an exception is written down: as JSON that Postgres will take, whatever is in its message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from queue_tasks.arguments import decode
from queue_tasks.exceptions import RaisedInProcess
from queue_tasks.frames import MAX_PLACE, OURS, fingerprint, path_of, place_of
from queue_tasks.jobs import FetchedJob
from queue_tasks.signatures import signature
from queue_tasks.tasks import declared
from queue_tasks.worker import tracebacks

MAX_MESSAGE = 1_000
"""Characters of a message that are kept."""

MAX_TRACEBACK = 20_000
"""Characters of a traceback that are kept: half from its start, half from its end."""

REDACTED = "[not shown]"
"""Stands in messages and tracebacks for what a task's `redact` names."""

SHORTEST_SECRET = 3
"""Characters; what is shorter is part of many words and no secret."""

_ESCAPE = re.compile(r"\\(.)")


def describe(error: BaseException, job: FetchedJob, worker_id: int) -> str:
    """One entry of qt_errors as JSON text.

    exception (dotted path), message, traceback, place (the user's function it comes from), fingerprint (what failures
    of one exception and place have in common), attempt, worker_id.
    """
    if isinstance(error, RaisedInProcess):
        path, message, trace, place = error.path, error.message, error.trace, error.place
    else:
        path, message, trace = path_of(type(error)), message_of(error), traceback_of(error)
        place = _place_of(error, job.task_name)
    for secret in secrets_of(job):
        message, trace = message.replace(secret, REDACTED), trace.replace(secret, REDACTED)
    path, place = storable(path, MAX_MESSAGE), storable(place, MAX_PLACE)
    return json.dumps(
        {
            "exception": path,
            "message": storable(message, MAX_MESSAGE),
            "traceback": storable(trace, MAX_TRACEBACK),
            "place": place,
            "fingerprint": fingerprint(path, place),
            "attempt": job.attempt,
            "worker_id": worker_id,
        }
    )


def in_ascii(described: str) -> str:
    r"""An entry of qt_errors for a database whose encoding lacks a letter of it: as text stands `\u0142`."""
    return _ESCAPE.sub(lambda found: r"\\u" if found[1] == "u" else found[0], described)


def secrets_of(job: FetchedJob) -> list[str]:
    """The texts that a job's task wants to be shown nowhere, the longest first: what its `redact` names was given."""
    task = declared.get(job.task_name)
    if task is None or not task.redact:
        return []
    try:
        stored = decode(job.args)
        bound = signature(task.func, takes_context=task.takes_context).bind_partial(*stored["args"], **stored["kwargs"])
        given = {**stored["kwargs"], **bound.arguments}
        found = {text for name in task.redact for text in _texts(given.get(name))}
    except Exception:  # noqa: BLE001 - a row may hold anything, and the error must be written
        return []
    return sorted(found, key=len, reverse=True)


def _texts(value: Any) -> Iterator[str]:
    """The texts and numbers within a value, but those so short that they stand everywhere."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and len(str(value)) >= SHORTEST_SECRET:
        yield str(value)


def message_of(error: BaseException) -> str:
    """The exception's text, or a word in its place when it has none that can be had."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a task's exception may do anything
        return f"<{type(error).__name__} whose text cannot be had>"


def traceback_of(error: BaseException) -> str:
    """The traceback as Python prints it, from the task's first frame on: the worker's own say nothing to its reader."""
    try:
        return tracebacks.traceback_of(error, _without_ours(error.__traceback__))
    except BaseException:  # noqa: BLE001 - a task's exception may do anything
        return f"{path_of(type(error))}: {message_of(error)}\n"


def told_path_of(error: BaseException) -> str:
    """The dotted path of an exception's class, also of one that was raised in a process."""
    return error.path if isinstance(error, RaisedInProcess) else path_of(type(error))


def frames_of(error: BaseException) -> str:
    """Where an exception was raised, from the task's first frame on, without a word of what it says.

    Empty for one that was raised in a process: of its text nobody can tell what is message.
    """
    if isinstance(error, RaisedInProcess):
        return ""
    try:
        return storable(tracebacks.frames_of(_without_ours(error.__traceback__)), MAX_TRACEBACK)
    except BaseException:  # noqa: BLE001 - a task's exception may do anything
        return ""


def _place_of(error: BaseException, task_name: str) -> str:
    """The user's function that it comes from; where none has a part in it, as in a timeout, the task."""
    try:
        return place_of(error.__traceback__, task_name.partition(".")[0]) or task_name
    except BaseException:  # noqa: BLE001 - a task's exception may do anything
        return task_name


def storable(text: str, limit: int) -> str:
    """The text without what Postgres refuses (NUL, lone surrogates), and not longer than `limit`."""
    # As str has it: a subclass may have made something else of it.
    clean = str.encode(text, "utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    if len(clean) <= limit:
        return clean
    half = limit // 2
    return f"{clean[:half]}\n... {len(clean) - 2 * half:,} characters left out ...\n{clean[-half:]}"


def is_ours(error: BaseException) -> bool:
    """Whether an exception was raised by our own code, or by Python's call of what it was given: no body ran."""
    inner = error.__traceback__
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(OURS):
        inner = inner.tb_next
    return inner is None


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(OURS):
        inner = inner.tb_next
    return inner or trace
