"""What all pages of the admin refuse: nobody adds, changes or deletes anything there."""

from __future__ import annotations

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest


class UnchangingAdmin(ModelAdmin):  # type: ignore[type-arg]  # Django's class takes no argument when it runs
    """Who may look is for each kind of page to say."""

    actions = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the admin's front page tells of it."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's protocol
        """Nobody adds here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - the same
        """Nobody changes here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002 - the same
        """Nobody deletes here."""
        return False
