"""Where the admin's pages lead: to each other, and to the dashboard, where either is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse


def dashboard_page(page: str, query: Mapping[str, Any] | None = None, **kwargs: Any) -> str | None:
    """The address of a page of the dashboard; None where it is not mounted."""
    return _address(f"queue_tasks_dashboard:{page}", query, kwargs=kwargs)


def sheet(site: str, model: str, key: object) -> str | None:
    """The address of the admin's sheet about one thing; None where this admin has none."""
    return _address(f"admin:queue_tasks_{model}_change", None, args=[quote(str(key))], current_app=site)


def listing(site: str, model: str, query: Mapping[str, Any] | None = None) -> str | None:
    """The address of one of the admin's lists; None where this admin does not have it."""
    return _address(f"admin:queue_tasks_{model}_changelist", query, current_app=site)


def _address(name: str, query: Mapping[str, Any] | None, **where: Any) -> str | None:
    try:
        address = reverse(name, **where)
    except NoReverseMatch:
        return None
    return f"{address}?{urlencode(query)}" if query else address
