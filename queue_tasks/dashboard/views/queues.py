"""The page of queues."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.serving import served, visible_depths, visible_workers


@guarded(get=Permission.VIEW_JOB)
def queues(request: HttpRequest) -> HttpResponse:
    """How deep each queue is and who serves it."""
    depths = served(visible_depths(request), visible_workers(request))
    return page(request, "queues.html", {"depths": depths, "told": request.GET.get("told", "")[:20]})
