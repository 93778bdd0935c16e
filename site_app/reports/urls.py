"""Addresses of reports."""

from django.urls import path

from site_app.reports import views

app_name = "reports"
urlpatterns = [
    path("", views.index, name="index"),
    path("events/", views.events, name="events"),
    path("<int:report_id>/download/", views.download, name="download"),
]
