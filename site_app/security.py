"""Headers every page carries. Django 6 has a setting for this policy; these lines serve 5.2 as well."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

# Everything comes from this site; nothing inline, nothing framed. `blob:` is the preview of a photo being uploaded.
POLICY = (
    "default-src 'none'; "
    "img-src 'self' blob:; "
    "style-src 'self'; "
    "script-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'"
)

Answer = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def content_security_policy(get_response: Answer) -> Answer:
    """Middleware that adds the policy; takes part in sync and async requests without a thread between."""

    def with_policy(response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    if not iscoroutinefunction(get_response):
        return lambda request: with_policy(get_response(request))  # type: ignore[arg-type]  # sync, as just asked

    async def answer(request: HttpRequest) -> HttpResponseBase:
        return with_policy(await get_response(request))

    markcoroutinefunction(answer)
    return answer
