"""The stream of an open page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from queue_tasks.dashboard import live
from queue_tasks.dashboard.access import Permission, guarded


@guarded(get=Permission.VIEW_JOB)
def stream(request: HttpRequest) -> HttpResponseBase:
    """Tell the page when to look again."""
    return live.stream(request)
