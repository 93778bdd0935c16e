"""The reports app."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    """Page visits, and reports over them."""

    name = "site_app.reports"
    label = "reports"
