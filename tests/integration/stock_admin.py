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
        "INSTALLED_APPS": ["django.contrib.sessions", *base.INSTALLED_APPS],
    }
    settings.configure(**values)
    django.setup()
    from django.core.management import call_command

    # queue_tasks has closed it; a project that wants it puts it back, as docs/how-to/admin.md says.
    from procrastinate.contrib.django.admin import ProcrastinateJobAdmin
    from procrastinate.contrib.django.models import ProcrastinateJob

    admin.site.unregister(ProcrastinateJob)
    admin.site.register(ProcrastinateJob, ProcrastinateJobAdmin)
    call_command("migrate", verbosity=0)
    json.dump(visit(), sys.stdout)
else:
    urlpatterns = [path("admin/", admin.site.urls)]
