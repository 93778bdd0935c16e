"""A project that mounts the dashboard, and Django's admin."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def login(_request: HttpRequest) -> HttpResponse:
    """The project's login page."""
    return HttpResponse("log in")


urlpatterns = [
    path("login/", login),
    path("queue/", include("queue_tasks.dashboard.urls")),
    path("admin/", admin.site.urls),
]
