"""Who comes to the dashboard, and what they find there."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

SEES = ("view_job",)
SEES_ALL = ("view_job", "view_job_args")
OPERATES = (
    *SEES_ALL,
    "retry_job",
    "cancel_job",
    "delete_job",
    "pause_schedule",
    "run_schedule",
    "control_queue",
    "control_worker",
)
ROLES: dict[str, tuple[str, ...]] = {"plain": (), "viewer": SEES, "operator": OPERATES, "superuser": ()}


def mount(settings: Any) -> None:
    """Make the tests' project one that has logins and mounts the dashboard."""
    settings.ROOT_URLCONF = "tests.dashboard.urls"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.LOGIN_URL = "/login/"


def visitor(name: str, *permissions: str, **options: Any) -> Client:
    """A browser of somebody with these permissions, logged in."""
    user = User.objects.create_user(name, is_superuser=name == "superuser")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client(**options)
    client.force_login(user)
    return client


def address(page: str, /, **kwargs: Any) -> str:
    return reverse(f"queue_tasks_dashboard:{page}", kwargs=kwargs or None)


def text_of(response: Any) -> str:
    text: str = response.content.decode()
    return text


def form_of(client: Client, page: str, action: str) -> dict[str, str]:
    """The hidden fields of the page's form that posts to `action`."""
    text = text_of(client.get(page))
    found = re.search(rf'<form method="post"(?: action="{re.escape(action)}"[^>]*)?>(.*?)</form>', text, re.DOTALL)
    assert found, f"{page} has no form for {action}"
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', found[1]))


def ticket() -> str:
    return str(uuid.uuid4())
