"""Static files under ASGI. WhiteNoise's own response is a file that Django would read in a thread, with a warning."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # it has no types
    """WhiteNoise, whose responses are whole: the site's files are small."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """The file, or what its headers say instead (not modified, a range)."""
        found = static_file.get_response(request.method, request.META)
        response = HttpResponse(status=int(found.status))
        del response.headers["Content-Type"]
        if found.file is not None:
            with found.file as file:
                response.content = file.read()
        for name, value in found.headers:
            response.headers[name] = value
        return response
