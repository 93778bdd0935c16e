"""The stylesheet, the script, the icon."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import assets
from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.pages import problem


@guarded(get=Permission.VIEW_JOB)
def asset(request: HttpRequest, version: str, name: str) -> HttpResponse:
    """The stylesheet, the script."""
    if name not in assets.TYPES or version != assets.version(name):
        return problem(request, 404, "There is no such file", "It is of another version: load the page anew.")
    return HttpResponse(
        assets.content(name),
        content_type=assets.TYPES[name],
        headers={"Cache-Control": "private, max-age=31536000, immutable"},
    )
