"""The page of queues."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks import overview as figures
from queue_tasks.dashboard import queries
from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.preferences import backend, database_alias
from queue_tasks.dashboard.serving import served


@guarded(get=Permission.VIEW_JOB)
def queues(request: HttpRequest) -> HttpResponse:
    """How deep each queue is and who serves it."""
    database = database_alias()
    depths = figures.measure_backlog(declared=sorted(backend().queues), most=queries.CAP, database=database)
    workers = figures.list_workers(database=database)
    return page(request, "queues.html", {"depths": served(depths, workers)})
