"""A project that mounts the dashboard."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def login(_request: HttpRequest) -> HttpResponse:
    """The project's login page."""
    return HttpResponse("log in")


urlpatterns = [path("login/", login), path("queue/", include("queue_tasks.dashboard.urls"))]
