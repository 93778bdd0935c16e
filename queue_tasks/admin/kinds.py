"""The kinds of things that have pages in the admin, as the admin finds them.

Django loads this in every process of a project that has the admin, in workers and their children too. What makes the
pages, and the dashboard below it, is loaded with the first page that somebody asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.module_loading import import_string

from queue_tasks.admin.refusals import UnchangingAdmin

if TYPE_CHECKING:
    from queue_tasks.admin.pages import Pages


class ReadOnlyAdmin(UnchangingAdmin):
    """One kind of things."""

    pages: str
    """The path of the class that makes its pages."""

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - Django's protocol
        """Who may see the dashboard may see it here."""
        from queue_tasks.dashboard.access import Permission, may  # noqa: PLC0415 - only those who serve pages are asked

        return may(request, Permission.VIEW_JOB)

    def get_urls(self) -> list[URLPattern]:
        """The two addresses, by the names that Django's admin has for them, behind its login."""
        name = f"queue_tasks_{self.opts.model_name}"
        guarded = self.admin_site.admin_view
        return [
            path("", guarded(self._list), name=f"{name}_changelist"),
            path("<path:object_id>/change/", guarded(self._sheet), name=f"{name}_change"),
        ]

    def _list(self, request: HttpRequest) -> HttpResponse:
        return self._pages().answer_list(request)

    def _sheet(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._pages().answer_sheet(request, object_id)

    def _pages(self) -> Pages:
        made: Pages = import_string(self.pages)(self)
        return made


class ChangeAdmin(ReadOnlyAdmin):
    """What people did, newest first; who sees some queues only sees what he did himself."""

    pages = "queue_tasks.admin.changes.ChangePages"


class JobAdmin(ReadOnlyAdmin):
    """Jobs, newest first, found by the dashboard's filter, in pages by key."""

    pages = "queue_tasks.admin.jobs.JobPages"


class QueueAdmin(ReadOnlyAdmin):
    """Queues, by name: how deep each is, and whether an operator holds it."""

    pages = "queue_tasks.admin.queues.QueuePages"


class ScheduleAdmin(ReadOnlyAdmin):
    """Schedules, by name."""

    pages = "queue_tasks.admin.schedules.SchedulePages"


class WorkerAdmin(ReadOnlyAdmin):
    """Registered workers, ours and stock ones, oldest first."""

    pages = "queue_tasks.admin.workers.WorkerPages"
