"""The page of what people did."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.filters import FilterInvalid
from queue_tasks.dashboard.pages import page, problem
from queue_tasks.dashboard.views.asked import changes_asked_for, number


@guarded(get=Permission.VIEW_JOB)
def changes(request: HttpRequest) -> HttpResponse:
    """What people did here."""
    try:
        before = number(request.GET.get("before"))
    except FilterInvalid as exc:
        return problem(request, 400, "No such page", str(exc))
    found = changes_asked_for(request, before)
    full = len(found) == change_log.PAGE
    return page(request, "changes.html", {"changes": found, "older": found[-1].id if full else None})
