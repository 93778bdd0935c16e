"""System checks of a deployment: what runs well here and loses jobs, or shuts people out, in production.

Run by `check --deploy`; those of the server only with `--database`, as Django has it for checks that connect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.conf import settings
from django.core import checks
from django.db import connections
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, URLResolver, get_resolver, resolve

from queue_tasks.caller import rows
from queue_tasks.statements import INSPECT_SERVER

DASHBOARD = "queue_tasks_dashboard"
"""The app_name of the dashboard's addresses."""


class Server(NamedTuple):
    """The columns of sql/queries/inspect_server.sql."""

    role: str
    superuser: bool
    forgets: bool
    hasty: bool
    unvacuumed: bool
    direct: bool


def check_dashboard() -> list[checks.CheckMessage]:
    """Whether who comes to the dashboard, if it is mounted, can log in."""
    if not _mounts_dashboard(get_resolver()):
        return []
    found: list[checks.CheckMessage] = []
    if not any("AuthenticationMiddleware" in name for name in settings.MIDDLEWARE):
        found.append(
            checks.Warning(
                "The dashboard is mounted, and no MIDDLEWARE says who asks: each of its pages is an error.",
                hint="Add SessionMiddleware and AuthenticationMiddleware of django.contrib to MIDDLEWARE.",
                id="queue_tasks.W020",
            )
        )
    if not _leads_somewhere(str(settings.LOGIN_URL)):
        found.append(
            checks.Warning(
                f"The dashboard is mounted, and sends those who are not logged in to {settings.LOGIN_URL!r}, "
                "where this project has no page.",
                hint="Set LOGIN_URL to the project's login page, such as 'admin:login'.",
                id="queue_tasks.W021",
            )
        )
    return found


def check_server(alias: str, listen_alias: str | None) -> list[checks.CheckMessage]:
    """What is wrong with the server, the role and the way to it. alias: of the jobs' database.

    SQL: sql/queries/inspect_server.sql
    """
    server = _inspect(alias)
    found: list[checks.CheckMessage] = []
    if server.superuser:
        found.append(
            checks.Warning(
                f"Database {alias!r} is used by {server.role!r}, a superuser: a task or a hole in the site may do "
                "anything to the server.",
                hint="Give web processes and workers roles of their own: manage.py queue roles",
                id="queue_tasks.W030",
            )
        )
    if server.forgets:
        found.append(
            checks.Warning(
                f"The server of database {alias!r} has fsync or full_page_writes off: a crash of the machine loses "
                "jobs, or the whole database.",
                hint="Turn both on in postgresql.conf, and restart the server.",
                id="queue_tasks.W031",
            )
        )
    if server.hasty:
        found.append(
            checks.Warning(
                f"In database {alias!r} synchronous_commit and queue_tasks.durable_enqueue are off: a crash of the "
                "server loses jobs whose transaction was said to be committed.",
                hint="Leave queue_tasks.durable_enqueue out, or set it for transactions whose jobs may be lost.",
                id="queue_tasks.W032",
            )
        )
    if server.unvacuumed:
        found.append(
            checks.Warning(
                f"The server of database {alias!r} has autovacuum off: a queue's tables grow without end, and fetching "
                "slows down.",
                hint="Turn autovacuum on in postgresql.conf.",
                id="queue_tasks.W033",
            )
        )
    found += _deaf(alias, listen_alias, direct=server.direct)
    return found


def _deaf(alias: str, listen_alias: str | None, *, direct: bool) -> Iterator[checks.CheckMessage]:
    """Whether notifications reach no worker: LISTEN needs a session of its own."""
    place = alias if listen_alias is None else listen_alias
    if direct if listen_alias is None else _inspect(place).direct:
        return
    yield checks.Warning(
        f"Workers listen through database {place!r}, which goes through a pooler of transactions: they hear nothing, "
        "and look for jobs every poll_interval only.",
        hint='Set OPTIONS["listen_database"] to an alias of DATABASES that leads to Postgres directly.',
        id="queue_tasks.W034",
    )


def _inspect(alias: str) -> Server:
    connection = connections[alias]
    connection.ensure_connection()
    [row] = rows(alias, INSPECT_SERVER, {"backend_pid": connection.connection.info.backend_pid})
    return Server(*row)


def _mounts_dashboard(resolver: URLResolver) -> bool:
    parts = [part for part in resolver.url_patterns if isinstance(part, URLResolver)]
    return any(part.app_name == DASHBOARD or _mounts_dashboard(part) for part in parts)


def _leads_somewhere(login_url: str) -> bool:
    try:
        place = resolve_url(login_url)
        if "//" in place:
            # Another site's.
            return True
        resolve(place.partition("?")[0])
    except (NoReverseMatch, Resolver404):
        return False
    return True
