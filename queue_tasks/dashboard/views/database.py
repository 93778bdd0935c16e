"""The page of the database: whether it is well, as far as the queue needs it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.preferences import database_alias
from queue_tasks.diagnosis import diagnose


@guarded(get=Permission.VIEW_JOB)
def database(request: HttpRequest) -> HttpResponse:
    """What is not well first, with advice; then what was measured."""
    return page(request, "database.html", {"found": diagnose(database=database_alias())})
