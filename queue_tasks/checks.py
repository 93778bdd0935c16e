"""System checks: what is wrong with the settings or the schema, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections

from queue_tasks import compat
from queue_tasks.conf import Options
from queue_tasks.database_errors import migration
from queue_tasks.exceptions import OptionsInvalid
from queue_tasks.periodic import declared


def check_backend(alias: str, given: Mapping[str, Any]) -> list[checks.CheckMessage]:
    """Check one entry of TASKS that uses our backend."""
    found: list[checks.CheckMessage] = []
    try:
        options = Options.read(given)
    except OptionsInvalid as exc:
        return [
            checks.Error(f'TASKS["{alias}"]: {problem}', hint="See docs: reference, options.", id="queue_tasks.E001")
            for problem in exc.problems
        ]
    for name, database in (("database", options.database), ("listen_database", options.listen_database)):
        if database is None:
            continue
        if database not in connections:
            found.append(
                checks.Error(
                    f'TASKS["{alias}"]["OPTIONS"]["{name}"] is {database!r}, which DATABASES does not have.',
                    hint=f"Use one of: {', '.join(connections)}.",
                    id="queue_tasks.E002",
                )
            )
        elif connections[database].vendor != "postgresql":
            found.append(
                checks.Error(
                    f"Database {database!r} is {connections[database].vendor}; jobs need PostgreSQL.",
                    hint="Set its ENGINE to django.db.backends.postgresql.",
                    id="queue_tasks.E003",
                )
            )
    needed = ["procrastinate.contrib.django", "queue_tasks"]
    if compat.FRAMEWORK == "django_tasks":
        needed.append("django_tasks")
    found.extend(
        checks.Error(
            f'TASKS["{alias}"] uses queue_tasks, but INSTALLED_APPS lacks "{name}".',
            hint=f'Add "{name}" to INSTALLED_APPS and run: manage.py migrate',
            id="queue_tasks.E004",
        )
        for name in needed
        if not apps.is_installed(name)
    )
    upstream = getattr(settings, "PROCRASTINATE_DATABASE_ALIAS", "default")
    if options.database in connections and upstream != options.database:
        found.append(
            checks.Warning(
                f'TASKS["{alias}"] keeps jobs in database {options.database!r}, procrastinate in {upstream!r}.',
                hint=f"Set PROCRASTINATE_DATABASE_ALIAS = {options.database!r}, or tasks of the two never meet.",
                id="queue_tasks.W001",
            )
        )
    return found


def check_schedules() -> list[checks.CheckMessage]:
    """Check what `@periodic` declares: before anything runs, and without keeping a site from starting."""
    found: list[checks.CheckMessage] = []
    seen: set[tuple[str | None, str]] = set()
    for schedule in declared:
        try:
            problems, database = schedule.problems(), schedule.database
        except ImproperlyConfigured:
            continue  # of TASKS, which other checks and Django itself tell of
        except Error:
            continue  # of the database that a lock asks, and that this command may be about to migrate
        who = f'Schedule "{schedule.name}" of task {schedule.task.module_path}'
        found.extend(
            checks.Error(f"{who}: {problem.text}", hint=problem.hint, id=problem.check) for problem in problems
        )
        if database is None:
            found.append(
                checks.Warning(
                    f"{who} never ticks: the backend of its task is not PostgresBackend.",
                    hint="Give the task a backend= that is, or leave @periodic out.",
                    id="queue_tasks.W002",
                )
            )
        elif (database, schedule.name) in seen:
            found.append(
                checks.Error(
                    f"{who}: another schedule has this name.",
                    hint="Give each schedule a name= of its own.",
                    id="queue_tasks.E014",
                )
            )
        seen.add((database, schedule.name))
    return found


def check_database(alias: str) -> list[checks.CheckMessage]:
    """Check that a database has our objects as this release wants them.

    Warnings only, however bad: Django runs database checks before it migrates, and an error here would keep `migrate`
    from mending what it names. Silent while migrations of ours are not applied: Django says that itself.
    SQL: sql/queries/schema_*.sql
    """
    from queue_tasks import schema  # noqa: PLC0415 - only a migration asks, and no worker has to hold it

    connection = connections[alias]
    if connection.vendor != "postgresql" or not schema.is_migrated(connection):
        return []
    items = schema.status(connection)
    wrong = [str(item) for item in items if item.state in schema.WRONG]
    unknown = [str(item) for item in items if item.state is schema.State.UNKNOWN]
    found: list[checks.CheckMessage] = []
    if wrong:
        found.append(
            checks.Warning(
                f"Database {alias!r} has {len(wrong)} objects of queue_tasks that are not as they should be: "
                f"{'; '.join(wrong)}.",
                hint=f"Run: {migration(alias)} (it repairs them). To see them: manage.py queue schema",
                id="queue_tasks.W010",
            )
        )
    if unknown:
        found.append(
            checks.Warning(
                f"Database {alias!r} has objects named as those of queue_tasks that this release does not know: "
                f"{'; '.join(unknown)}.",
                hint="A newer release made them, or they were left behind; drop them by hand if nobody needs them.",
                id="queue_tasks.W011",
            )
        )
    return found
