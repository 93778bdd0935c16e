"""The page of workers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.serving import is_alive, tellable_workers, visible_workers


@guarded(get=Permission.VIEW_JOB)
def workers(request: HttpRequest) -> HttpResponse:
    """Who works."""
    tellable = tellable_workers(request)
    lines = [(line, is_alive(line), line.id in tellable) for line in visible_workers(request)]
    return page(request, "workers.html", {"workers": lines, "told": request.GET.get("told", "")[:20]})
