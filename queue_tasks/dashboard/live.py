"""The stream that tells an open page to look again: server-sent events, without content, gathered.

Under ASGI only. Under WSGI an open stream would hold a thread as long as the page is open: pages then look every few
seconds by themselves, as they do without a stream for any other reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from queue_tasks.dashboard.preferences import backend, preferences
from queue_tasks.news import News, news

GATHER = 0.5
"""Seconds in which changes are gathered into one. What follows a change at once, as a job's start its enqueue, is told
by nobody: so one more look comes after it."""

SIGN_EVERY = 15.0
"""Seconds after which a silent page is sent a sign of life, so that one that is gone is noticed."""

LIFE = 60.0
"""Seconds after which a stream ends. The page opens another, if its visitor may still see it; and a server that is to
stop need not wait longer."""

COME_BACK = "retry: 1000\n\n"
"""Milliseconds until the browser opens the next."""

CHANGED = "event: changed\ndata:\n\n"
SIGN = ": still here\n\n"


def stream(request: HttpRequest) -> HttpResponseBase:
    """The stream; 204, which tells a browser not to come again, where there can be none."""
    settings = backend().settings
    heard = news(settings.listen_database or settings.database)
    most = preferences().live_pages
    if not isinstance(request, ASGIRequest) or request.method != "GET" or heard.deaf or len(heard) >= most:
        return HttpResponse(status=204)
    response = StreamingHttpResponse(Events(heard, most), content_type="text/event-stream")
    # nginx must not gather what shall be seen at once.
    response.headers["X-Accel-Buffering"] = "no"
    return response


class Events:
    """The stream's text. Django calls `close` when the page is gone, also while a part of it was being sent."""

    def __init__(self, heard: News, most: int) -> None:
        self._heard = heard
        self._most = most
        self._leave: Callable[[], None] | None = None

    def close(self) -> None:
        """Hear no more. May be called twice, from any thread."""
        if self._leave is not None:
            self._leave()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Give it as it comes."""
        yield COME_BACK
        loop, heard, changed = asyncio.get_running_loop(), self._heard, asyncio.Event()
        self._leave = heard.follow(_from_any_thread(loop, changed.set), most=self._most)
        if self._leave is None:
            return
        try:
            if heard.hears:
                # Since the page was made something may have changed. Otherwise that is told as listening begins.
                yield CHANGED
            ends = loop.time() + LIFE * random.uniform(0.75, 1)  # noqa: S311 - pages need not come back together
            while not (heard.deaf or heard.ended) and (left := ends - loop.time()) > 0:
                if not await _comes(changed, min(SIGN_EVERY, left)):
                    yield SIGN
                    continue
                while changed.is_set():
                    changed.clear()
                    yield CHANGED
                    await asyncio.sleep(GATHER)
                yield CHANGED
        finally:
            self.close()


def _from_any_thread(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        # Closed: the server has stopped.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(function)

    return call


async def _comes(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
