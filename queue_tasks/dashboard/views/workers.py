"""The page of workers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.serving import is_alive, visible_workers


@guarded(get=Permission.VIEW_JOB)
def workers(request: HttpRequest) -> HttpResponse:
    """Who works."""
    return page(
        request,
        "workers.html",
        {"workers": [(line, is_alive(line)) for line in visible_workers(request)]},
    )
