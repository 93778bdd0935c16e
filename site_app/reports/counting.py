"""Middleware that notes who looked at which page, for the reports."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.db import DatabaseError
from django.db.models.functions import Now
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from site_app.reports.models import Visit

logger = logging.getLogger(__name__)

Answer = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
VISITOR = "visitor"
"""The session's key for the number by which a visitor is told apart; it says nothing else of him."""


@sync_and_async_middleware
def note_visits(get_response: Answer) -> Answer:
    """Write a row for each page that was shown; streams, files and programs' requests are not pages."""
    if not iscoroutinefunction(get_response):

        def answer(request: HttpRequest) -> HttpResponseBase:
            begun = time.monotonic()
            response = get_response(request)
            assert isinstance(response, HttpResponseBase)
            if is_page(request, response):
                note(request, time.monotonic() - begun)
            return response

        return answer

    async def aanswer(request: HttpRequest) -> HttpResponseBase:
        begun = time.monotonic()
        response: HttpResponseBase = await get_response(request)
        if is_page(request, response):
            await sync_to_async(note)(request, time.monotonic() - begun)
        return response

    markcoroutinefunction(aanswer)
    return aanswer


def is_page(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether somebody was shown a page."""
    if request.resolver_match is not None and request.resolver_match.app_name == "queue_tasks_dashboard":
        return False  # those who look after the site are no visitors, and their pages look again by themselves
    shown = response.headers.get("Content-Type", "").startswith("text/html")
    return request.method == "GET" and response.status_code == 200 and shown and not response.streaming  # noqa: PLR2004


def note(request: HttpRequest, seconds: float) -> None:
    """Write the visit; a page is not lost for a visit that cannot be written."""
    visitor = request.session.setdefault(VISITOR, secrets.randbelow(2**31))
    try:
        Visit.objects.create(
            visited_at=Now(), path=request.path[:200], visitor=visitor, duration_ms=round(seconds * 1000)
        )
    except DatabaseError:
        logger.warning("a visit of %s was not counted", request.path, exc_info=True)
