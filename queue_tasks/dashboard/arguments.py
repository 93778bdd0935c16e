"""A row's arguments, as the visitor may see them."""

from __future__ import annotations

from functools import partial

from django.http import HttpRequest

from queue_tasks.dashboard import queries, redaction
from queue_tasks.dashboard.access import Permission, may
from queue_tasks.dashboard.preferences import hides_of


def arguments_for(request: HttpRequest, task_name: str, text: str | None, size: int) -> str:
    """A task's arguments by name, redacted; "" for who may see none. text, size: as in `redaction.shown`."""
    if not may(request, Permission.VIEW_ARGS):
        return ""
    return redaction.named(text, size, partial(queries.names_of, task_name), hides_of(task_name))
