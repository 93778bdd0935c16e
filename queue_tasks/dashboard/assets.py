"""The dashboard's stylesheet and script, served by itself: they work whatever the project does with static files."""

from __future__ import annotations

import hashlib
from functools import cache

from django import template
from django.http import HttpRequest
from django.urls import reverse

from queue_tasks.dashboard.pages import FOLDER

register = template.Library()

TYPES = {
    "complete.js": "text/javascript; charset=utf-8",
    "dashboard.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "select.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files there are, and nothing else is served."""


@cache
def content(name: str) -> bytes:
    """A file of TYPES."""
    plain = next(known for known in TYPES if known == name)  # a template's text is a str of another kind
    return (FOLDER / "static" / plain).read_bytes()


@cache
def version(name: str) -> str:
    """A word that changes when the file does; it is in the address, so that browsers may keep the file."""
    return hashlib.sha256(content(name)).hexdigest()[:12]


@register.simple_tag(takes_context=True)
def asset(context: template.Context, name: str) -> str:
    """The address of a file."""
    request: HttpRequest = context["request"]
    match = request.resolver_match
    return reverse(
        "queue_tasks_dashboard:asset",
        kwargs={"version": version(name), "name": name},
        current_app=match.namespace if match else None,
    )
