"""The page of failures, by their kinds."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import failures as kinds
from queue_tasks.dashboard.access import Permission, guarded, may, visible_queues
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.preferences import database_alias, preferences


@guarded(get=Permission.VIEW_JOB)
def failures(request: HttpRequest) -> HttpResponse:
    """What failed, one entry for each kind."""
    groups = kinds.grouped(
        queues=visible_queues(request), with_args=may(request, Permission.VIEW_ARGS), database=database_alias()
    )
    return page(
        request,
        "failures.html",
        {
            "groups": groups,
            "now": groups[0].now if groups else None,
            "total": sum(group.jobs for group in groups),
            "most_jobs": f"{kinds.LOOK:,}" if groups and groups[0].looked == kinds.LOOK else "",
            "most_groups": kinds.MAX_GROUPS if len(groups) == kinds.MAX_GROUPS else None,
            "refresh": preferences().refresh,
        },
    )
