"""Every address of the site."""

from django.urls import include, path

from site_app.health import health

urlpatterns = [
    path("", include("site_app.photos.urls")),
    path("reports/", include("site_app.reports.urls")),
    path("health/", health, name="health"),
]
