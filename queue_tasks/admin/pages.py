"""What all pages of the admin have in common: what they may cost, and that they change nothing.

Only two addresses are there, the list and the sheet about one thing, and only for GET and HEAD. Neither goes through
Django's ORM: what is shown is read by the dashboard's own functions, within its limits, so that no address can ask for
a count, an order or a filter that no index serves, and none shows more than the dashboard does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.safestring import mark_safe

from queue_tasks.admin import links
from queue_tasks.admin.sheets import Listing, Problem, Sheet, Shown
from queue_tasks.dashboard.access import READS, in_words, limited
from queue_tasks.dashboard.pages import engine


class NothingThere(Exception):  # noqa: N818 - read as a sentence, as the library's other errors
    """There is no such thing, or not for this visitor."""


class Pages:
    """Pages of one kind of things. kind: how it is registered."""

    def __init__(self, kind: ModelAdmin) -> None:  # type: ignore[type-arg]  # as UnchangingAdmin
        self._kind = kind
        self.site = kind.admin_site.name

    def listed(self, request: HttpRequest) -> Listing:
        """The things there are."""
        raise NotImplementedError

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """All about one of them. Raises NothingThere."""
        raise NotImplementedError

    def answer_list(self, request: HttpRequest) -> HttpResponse:
        """Answer with the list."""
        return self._answer(request, lambda: self.listed(request))

    def answer_sheet(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the sheet about one, whose key is quoted as the admin does."""
        return self._answer(request, lambda: self.shown(request, unquote(object_id)))

    def _answer(self, request: HttpRequest, show: Callable[[], Shown]) -> HttpResponse:
        """What is shown, to those who may see it, within the dashboard's limits."""
        if not self._kind.has_view_permission(request):
            raise PermissionDenied
        if request.method not in READS:
            return HttpResponseNotAllowed(READS)
        try:
            with limited(reads=True):
                shown = show()
        except NothingThere as exc:
            raise Http404 from exc
        except DatabaseError as exc:
            shown = Problem(*in_words(exc))
        return self._page(request, shown)

    def _page(self, request: HttpRequest, shown: Shown) -> TemplateResponse:
        """The admin's page around ours, which escapes whatever the project's TEMPLATES say."""
        opts = self._kind.opts
        kind = str(opts.verbose_name_plural)
        around = {"shown": shown, "kind": kind, "listing": links.listing(self.site, str(opts.model_name))}
        body = engine().get_template(f"queue_tasks/{shown.template}").render(around, request)
        values: dict[str, Any] = {
            **self._kind.admin_site.each_context(request),
            # A word of ours: names out of the database stand in the body.
            "title": kind.capitalize(),
            "opts": opts,
            "body": mark_safe(body),  # noqa: S308 - escaped
        }
        request.current_app = self.site  # as Django's own pages do
        return TemplateResponse(request, "queue_tasks/admin.html", values, status=shown.status)
