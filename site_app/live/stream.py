"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html, as far as the pages use them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from site_app.live.hub import MOST_ROWS, hub
from site_app.live.topic import Topic

COME_BACK = "retry: 1000\n\n"  # milliseconds the browser waits before it opens a lost stream again
STILL_HERE = ": still here\n\n"


def live_response(request: HttpRequest, topic: Topic) -> HttpResponseBase:
    """The stream one page follows; nothing under WSGI, where it would hold a thread as long as the page is open.

    ?shown=12,11,10   the rows on the page, sent first as they are now
    ?new=1            rows that are new to the page are sent as well
    """
    if not isinstance(request, ASGIRequest):
        return HttpResponse(status=204)
    shown = ids(request.GET.get("shown", ""))
    response = StreamingHttpResponse(
        events(topic, shown, takes_new=request.GET.get("new") == "1"), content_type="text/event-stream"
    )
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"  # nginx must not gather what shall be seen at once
    return response


async def events(topic: Topic, shown: list[int], *, takes_new: bool) -> AsyncGenerator[str]:
    """The stream's text."""
    yield COME_BACK
    async with aclosing(hub().follow(topic, shown, takes_new=takes_new)) as letters:
        async for letter in letters:
            yield STILL_HERE if letter is None else event(topic.name, letter)


def event(name: str, text: str) -> str:
    """One event; every line of its data needs a field of its own."""
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


def ids(text: str) -> list[int]:
    """The ids in `12,11,10`; what is not one is left out, and so is what goes beyond the limit."""
    return [int(part) for part in text.split(",")[:MOST_ROWS] if part.isdecimal() and len(part) < len(str(2**63))]
