"""procrastinate's own page of jobs in the admin, which goes past every rule of ours.

It shows the arguments of every job to whoever may view its model, secret or not, of any queue; lets them retry, cancel
and abort, and nothing is written down; counts all rows, and looks through all of them for its filters.
"""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.contrib.admin import AdminSite
from django.http import HttpRequest

from queue_tasks.admin.refusals import UnchangingAdmin

APP = "procrastinate"


def close_stock_pages(site: AdminSite) -> None:
    """Close it to everybody. A project's own page of that model stays as it is."""
    if not apps.is_installed("procrastinate.contrib.django"):
        return
    app = apps.get_app_config(APP)
    # It may come later than we do in INSTALLED_APPS.
    stock = import_module(f"{app.name}.admin")
    for model in app.get_models():
        if site.is_registered(model) and type(site.get_model_admin(model)).__module__ == stock.__name__:
            site.unregister(model)
            # Not gone: a project that puts a page of its own in its place takes the registered one away first.
            site.register(model, ClosedAdmin)


class ClosedAdmin(UnchangingAdmin):
    """Nobody may do anything, or sees that it is there."""

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - Django's protocol
        """Nobody may look."""
        return False
