"""How pages are made: a template engine of our own, so that no setting of the project can switch escaping off."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.backends.django import DjangoTemplates
from django.urls import reverse

FOLDER = Path(__file__).parent


@cache
def engine() -> DjangoTemplates:
    """The engine: our templates and nobody's else, always escaping."""
    return DjangoTemplates(
        {
            "NAME": "queue_tasks_dashboard",
            "DIRS": [FOLDER / "templates"],
            "APP_DIRS": False,
            "OPTIONS": {
                "autoescape": True,
                "context_processors": ["django.template.context_processors.request"],
                "builtins": ["queue_tasks.dashboard.assets", "queue_tasks.dashboard.display"],
            },
        }
    )


def page(request: HttpRequest, template: str, values: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """A page made of a template."""
    context = {**values, "nonce": request.queue_tasks_nonce}  # type: ignore[attr-defined]  # set by access.guarded
    text = engine().get_template(f"queue_tasks/{template}").render(context, request)
    return HttpResponse(text, status=status)


def problem(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    """A page that says why not, in words; to who may not see anything (403) with nothing else on it."""
    template = "refused.html" if status == HTTPStatus.FORBIDDEN else "problem.html"
    return page(request, template, {"title": title, "text": text}, status=status)


def go(request: HttpRequest, name: str, query: Mapping[str, str], **kwargs: Any) -> HttpResponse:
    """To a page of the dashboard, and nowhere else."""
    match = request.resolver_match
    address = reverse(f"queue_tasks_dashboard:{name}", kwargs=kwargs, current_app=match.namespace if match else None)
    return HttpResponseRedirect(f"{address}?{urlencode(query)}", status=303)
