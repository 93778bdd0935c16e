"""The Django app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules, import_string

from queue_tasks.checks import check_database, check_schedules


class QueueTasksConfig(AppConfig):
    """INSTALLED_APPS = [..., "procrastinate.contrib.django", "queue_tasks"]."""

    name = "queue_tasks"
    verbose_name = "Queue Tasks"

    def ready(self) -> None:
        """Import every app's `tasks` module, tell procrastinate of the tasks there, and watch over the schema."""
        from queue_tasks import bridge  # noqa: PLC0415 - procrastinate's app is ready only now

        autodiscover_modules("tasks")
        bridge.show_tasks_to_stock_workers()
        checks.register(check_schema, checks.Tags.database)
        checks.register(check_periodic)
        checks.register(check_preferences)
        checks.register(check_pages, checks.Tags.security, deploy=True)
        checks.register(check_servers, checks.Tags.database, deploy=True)
        if apps.is_installed("procrastinate.contrib.django"):
            # Sent after all migrations, once for each app that has models: ours need not have any.
            upstream = apps.get_app_config("procrastinate")
            post_migrate.connect(repair_schema, sender=upstream, dispatch_uid="queue_tasks.repair_schema")


def job_databases() -> list[str]:
    """The aliases our backends keep their jobs in; "default" when TASKS names none of ours."""
    from queue_tasks.backend import PostgresBackend  # noqa: PLC0415 - Django imports this module before its apps are ready

    databases = []
    for entry in getattr(settings, "TASKS", {}).values():
        try:
            backend = import_string(entry["BACKEND"])
        except (ImportError, KeyError):
            continue  # Django says so itself when the backend is used
        if isinstance(backend, type) and issubclass(backend, PostgresBackend):
            databases.append(entry.get("OPTIONS", {}).get("database", "default"))
    return [alias for alias in dict.fromkeys(databases or ["default"]) if alias in connections]


def check_schema(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's protocol
    databases: Sequence[str] | None = None,
    **kwargs: Any,  # noqa: ARG001 - the same
) -> list[checks.CheckMessage]:
    """The database check that Django runs for `migrate`, `test` and `check --database`."""
    ours = [alias for alias in job_databases() if alias in (databases or ())]
    return [message for alias in ours for message in check_database(alias)]


def check_periodic(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's protocol
    **kwargs: Any,  # noqa: ARG001 - the same
) -> list[checks.CheckMessage]:
    """The check that Django runs before nearly every command."""
    return check_schedules()


def check_preferences(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's protocol
    **kwargs: Any,  # noqa: ARG001 - the same
) -> list[checks.CheckMessage]:
    """The check of the dashboard's setting, in a project that has it."""
    if not hasattr(settings, "QUEUE_TASKS_DASHBOARD"):
        return []
    from queue_tasks.dashboard.preferences import backend  # noqa: PLC0415 - others need not hold it

    try:
        backend()
    except ImproperlyConfigured as exc:
        return [checks.Error(str(exc), hint="See docs: the dashboard, settings.", id="queue_tasks.E005")]
    return []


def check_pages(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's protocol
    **kwargs: Any,  # noqa: ARG001 - the same
) -> list[checks.CheckMessage]:
    """The check of what is mounted, of `check --deploy`."""
    from queue_tasks.deploy_checks import check_dashboard  # noqa: PLC0415 - no worker has to hold it

    return check_dashboard() if getattr(settings, "ROOT_URLCONF", None) else []


def check_servers(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's protocol
    databases: Sequence[str] | None = None,
    **kwargs: Any,  # noqa: ARG001 - the same
) -> list[checks.CheckMessage]:
    """The check of the jobs' servers, of `check --deploy --database`."""
    from queue_tasks.deploy_checks import check_server  # noqa: PLC0415 - no worker has to hold it

    ours = [alias for alias in job_databases() if alias in (databases or ())]
    found = []
    for alias in ours:
        if connections[alias].vendor == "postgresql":
            found += check_server(alias, _listen_database(alias))
    return found


def _listen_database(alias: str) -> str | None:
    """The alias that workers of a database listen through, if it is another one that there is."""
    for entry in getattr(settings, "TASKS", {}).values():
        options = entry.get("OPTIONS", {})
        listen = options.get("listen_database")
        if options.get("database", "default") == alias and listen in connections:
            return str(listen)
    return None


def repair_schema(using: str, verbosity: int = 1, **kwargs: Any) -> None:  # noqa: ARG001 - a signal's arguments
    """After `migrate`: mend what an upgrade of procrastinate, or a hand, has changed. Quiet when nothing was.

    A database whose migrations of ours are not all applied is left as it is: it is on its way there, or back.
    """
    from queue_tasks import schema  # noqa: PLC0415 - only after a migration, and no worker has to hold it

    connection = connections[using]
    if using not in job_databases() or connection.vendor != "postgresql" or not schema.is_migrated(connection):
        return
    for item in schema.repair(connection):
        if verbosity >= 1:
            print(f"  Repaired {item}")  # noqa: T201 - as migrate itself does
