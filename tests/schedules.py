"""Schedules in tests: declared for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from queue_tasks import Task
from queue_tasks.periodic import declared, periodic


@contextmanager
def nothing_declared() -> Iterator[None]:
    """Take what is declared away, and bring it back at the end."""
    before = list(declared)
    declared.clear()
    try:
        yield
    finally:
        declared[:] = before


def declare(task: Task[..., Any], **options: Any) -> None:
    """As @periodic over the task."""
    periodic(**options)(task)
