"""What all pages of the admin have in common: who may see them, what they may cost, and that they change nothing.

Only two addresses are there, the list and the sheet about one thing, and only for GET and HEAD. Neither goes through
Django's ORM: what is shown is read by the dashboard's own functions, within its limits, so that no address can ask for
a count, an order or a filter that no index serves, and none shows more than the dashboard does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import mark_safe

from queue_tasks.admin import links
from queue_tasks.admin.refusals import UnchangingAdmin
from queue_tasks.admin.sheets import Listing, Problem, Sheet, Shown
from queue_tasks.dashboard.access import READS, Permission, in_words, limited, may
from queue_tasks.dashboard.pages import engine


class NothingThere(Exception):  # noqa: N818 - read as a sentence, as the library's other errors
    """There is no such thing, or not for this visitor."""


class ReadOnlyAdmin(UnchangingAdmin):
    """Pages of one kind of things."""

    def listed(self, request: HttpRequest) -> Listing:
        """The things there are."""
        raise NotImplementedError

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """All about one of them. Raises NothingThere."""
        raise NotImplementedError

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - Django's protocol
        """Who may see the dashboard may see it here."""
        return may(request, Permission.VIEW_JOB)

    def get_urls(self) -> list[URLPattern]:
        """The two addresses, by the names that Django's admin has for them."""
        name = f"queue_tasks_{self.opts.model_name}"
        return [
            path("", self._guarded(self.listed), name=f"{name}_changelist"),
            path("<path:object_id>/change/", self._guarded(self.shown), name=f"{name}_change"),
        ]

    def _guarded(self, view: Callable[..., Shown]) -> Callable[..., HttpResponse]:
        """The view behind the admin's login, for those who may see it, within the dashboard's limits."""

        @wraps(view)
        def answer(request: HttpRequest, **kwargs: str) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            if request.method not in READS:
                return HttpResponseNotAllowed(READS)
            try:
                with limited(reads=True):
                    shown = view(request, *(unquote(value) for value in kwargs.values()))
            except NothingThere as exc:
                raise Http404 from exc
            except DatabaseError as exc:
                shown = Problem(*in_words(exc))
            return self._page(request, shown)

        return self.admin_site.admin_view(answer)

    def _page(self, request: HttpRequest, shown: Shown) -> TemplateResponse:
        """The admin's page around ours, which escapes whatever the project's TEMPLATES say."""
        site, kind = self.admin_site.name, str(self.opts.verbose_name_plural)
        around = {"shown": shown, "kind": kind, "listing": links.listing(site, str(self.opts.model_name))}
        body = engine().get_template(f"queue_tasks/{shown.template}").render(around, request)
        values: dict[str, Any] = {
            **self.admin_site.each_context(request),
            # A word of ours: names out of the database stand in the body.
            "title": kind.capitalize(),
            "opts": self.opts,
            "body": mark_safe(body),  # noqa: S308 - escaped
        }
        request.current_app = site  # as Django's own pages do
        return TemplateResponse(request, "queue_tasks/admin.html", values, status=shown.status)
