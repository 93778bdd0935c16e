"""The page of what people did."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard.access import Permission, guarded, visible_queues
from queue_tasks.dashboard.filters import FilterInvalid
from queue_tasks.dashboard.pages import page, problem
from queue_tasks.dashboard.preferences import database_alias
from queue_tasks.dashboard.views.asked import number


@guarded(get=Permission.VIEW_JOB)
def changes(request: HttpRequest) -> HttpResponse:
    """What people did here."""
    try:
        before = number(request.GET.get("before"))
    except FilterInvalid as exc:
        return problem(request, 400, "No such page", str(exc))
    # Who sees a part of the queues only sees of the changes his own.
    user_id = None if visible_queues(request) is None else str(request.user.pk)
    found = change_log.listed(before=before, user_id=user_id, database=database_alias())
    full = len(found) == change_log.PAGE
    return page(request, "changes.html", {"changes": found, "older": found[-1].id if full else None})
