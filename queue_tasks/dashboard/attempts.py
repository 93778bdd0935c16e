"""What failed attempts left in a job's row, for a reader. In: JSON text of anything. Out: text to show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from queue_tasks.dashboard import redaction
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.dashboard.tracebacks import parts
from queue_tasks.jobs import JobState

MAX_KIND = 200
"""Characters of what a filter looks for."""


def read(text: str | None) -> list[Mapping[str, Any]]:
    """The errors of failed attempts as the row has them, oldest first."""
    try:
        found = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return []
    return [error for error in found if isinstance(error, Mapping)] if isinstance(found, list) else []


def shown(error: Mapping[str, Any], *, with_args: bool) -> dict[str, Any]:
    """One of them as text. with_args: whether the visitor may see messages and tracebacks."""
    keys = ("attempt", "exception", "place", "fingerprint", "message", "traceback", "worker_id")
    secret = () if with_args else ("message", "traceback")
    words: dict[str, Any] = {
        key: "" if key in secret or error.get(key) is None else redaction.cut(str(error[key])) for key in keys
    }
    kind = words["fingerprint"] or words["exception"]
    alike = str(JobFilter(states=(JobState.FAILED,), fingerprint=kind)) if 0 < len(kind) <= MAX_KIND else ""
    return words | {"parts": parts(words["traceback"]), "alike": alike}
