"""Settings, URLs and program for a test of Django's admin: visits procrastinate's pages, and prints what it got."""

from __future__ import annotations

import json
import sys

import django
from django.conf import settings
from django.contrib import admin
from django.urls import path

from tests import settings as base

ROOT_URLCONF = __name__


def visit() -> dict[str, int]:
    """Every admin page of procrastinate, and its actions; page -> HTTP status."""
    from django.contrib.auth.models import User
    from django.test import Client
    from procrastinate.contrib.django.models import ProcrastinateJob

    User.objects.create_superuser("ada", password="ada")
    client = Client()
    assert client.login(username="ada", password="ada")
    found = {}
    jobs = "/admin/procrastinate/procrastinatejob/"
    first = ProcrastinateJob.objects.earliest("pk")
    for page in (jobs, f"{jobs}?status__exact=todo", f"{jobs}?q=", f"{jobs}{first.pk}/change/"):
        found[page] = client.get(page).status_code
    for action in ("retry", "cancel", "abort"):
        answer = client.post(jobs, {"action": action, "_selected_action": [first.pk]}, follow=True)
        found[action] = answer.status_code
        first.refresh_from_db()
        found[f"{action} -> {first.status}"] = 0
    return found


if __name__ == "__main__":
    values = {name: getattr(base, name) for name in dir(base) if name.isupper()}
    values |= {
        "ROOT_URLCONF": "tests.integration.stock_admin",
        "ALLOWED_HOSTS": ["testserver"],
        "STATIC_URL": "/static/",
        "INSTALLED_APPS": [
            "django.contrib.admin",
            "django.contrib.sessions",
            "django.contrib.messages",
            *base.INSTALLED_APPS,
        ],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
    }
    settings.configure(**values)
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    json.dump(visit(), sys.stdout)
else:
    urlpatterns = [path("admin/", admin.site.urls)]
