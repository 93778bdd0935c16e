"""What the verbs of `manage.py queue` say, and how: lines, tables in colour, JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style
from django.utils import timezone

from queue_tasks.jobs import JobState
from queue_tasks.management.terminal import Column, clean, table, width_of_terminal


class Console:
    """A command's output. style: Django's, which colours nothing where there is no terminal."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, style: Style) -> None:
        self.stderr = stderr
        self._stdout = stdout
        self._style = style

    def say(self, line: str) -> None:
        """One line for people, which may have a name of any row in it."""
        self.write(clean(line))

    def write(self, text: str) -> None:
        """Text as it is."""
        # A terminal that is not of UTF-8 must not make an error of a name.
        encoding = getattr(self._stdout, "encoding", None) or "utf-8"
        self._stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def table(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str]],
        state_of: Callable[[int, int], JobState | None] | None = None,
    ) -> None:
        """A table as wide as the terminal. state_of: the state in whose colour a cell (row, column) is shown."""

        def paint(row: int, column: int, text: str) -> str:
            state = state_of(row, column) if state_of is not None else None
            return text if state is None else self._paint(state, text)

        for line in table(columns, rows, width=width_of_terminal(self._stdout, os.environ.get("COLUMNS")), paint=paint):
            self.write(line)

    def _paint(self, state: JobState, text: str) -> str:
        if state in (JobState.FAILED, JobState.ABORTED):
            return self._style.ERROR(text)
        if state is JobState.SUCCEEDED:
            return self._style.SUCCESS(text)
        if state in (JobState.RUNNING, JobState.RETRYING):
            return self._style.WARNING(text)
        return text

    def json(self, value: Mapping[str, Any]) -> None:
        """One JSON object."""
        self._stdout.write(_to_json(value, indent=2))

    def json_list(self, values: Iterable[Mapping[str, Any]]) -> None:
        """A JSON array with one object on each line, good for programs and for grep."""
        text = ",\n".join(_to_json(value) for value in values)
        self._stdout.write(f"[\n{text}\n]" if text else "[]")


def _to_json(value: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return (value if value.utcoffset() is not None else timezone.make_aware(value)).isoformat()
    return clean(str(value))
