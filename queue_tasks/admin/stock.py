"""procrastinate's own page of jobs in the admin, which goes past every rule of ours.

It shows the arguments of every job to whoever may view its model, secret or not, of any queue; lets them retry, cancel
and abort, and nothing is written down; counts all rows, and looks through all of them for its filters.
"""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.contrib.admin import AdminSite, ModelAdmin
from django.http import HttpRequest

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


class ClosedAdmin(ModelAdmin):  # type: ignore[type-arg]  # Django's class takes no argument when it runs
    """Nobody may do anything."""

    actions = None

    def has_module_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's protocol
        """Nobody sees that it is there."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - the same
        """Nobody may look."""
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - the same
        """Nobody may add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - the same
        """Nobody may change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - the same
        """Nobody may delete."""
        return False
