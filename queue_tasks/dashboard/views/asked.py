"""What a visitor asks for, checked before anything is done with it."""

from __future__ import annotations

import uuid

from django.http import HttpRequest

from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard import queries
from queue_tasks.dashboard.access import Permission, may, visible_queues
from queue_tasks.dashboard.filters import BIGINT, FilterInvalid, JobFilter, parse
from queue_tasks.dashboard.preferences import database_alias, is_hidden_somewhere, preferences
from queue_tasks.exceptions import JobNotFound


def number(text: str | None) -> int | None:
    """A whole number that an id may be. Raises FilterInvalid."""
    if text is None or text == "":
        return None
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < BIGINT - 1:  # noqa: PLR2004 - digits of BIGINT
        return int(text)
    raise FilterInvalid(f'"{text[:60]}" is not the number of a job.')


def bigint(number: int) -> int:
    """A number from an address, that an id may be. Raises JobNotFound."""
    if number >= BIGINT:
        raise JobNotFound(number)
    return number


def ticket_of(request: HttpRequest) -> uuid.UUID:
    """What makes a form count once. Raises FilterInvalid."""
    try:
        return uuid.UUID(request.POST.get("ticket", ""))
    except ValueError:
        raise FilterInvalid("The form has no ticket: load its page anew.") from None


def asked_filter(request: HttpRequest, text: str) -> JobFilter:
    """A filter that the visitor may use. Raises FilterInvalid."""
    wanted = parse(text)
    if wanted.looks_into_arguments and not may(request, Permission.VIEW_ARGS):
        raise FilterInvalid(f"args.NAME: needs the permission {Permission.VIEW_ARGS}.")
    for name, sought in wanted.args:
        if is_hidden_somewhere(name):
            raise FilterInvalid(f"args.{name}: is not shown, and cannot be looked for either.")
        if sought[:1] in ("{", "["):
            # It would tell of what is within, which may be hidden.
            raise FilterInvalid(f"args.{name}: a list or an object cannot be looked for, only a text or a number.")
    return wanted


def jobs_asked_for(request: HttpRequest, wanted: JobFilter, before: int | None) -> queries.Page:
    """A page of the jobs that a filter finds, of those that the visitor may see. before: their ids are smaller."""
    return queries.search(
        wanted,
        before=before,
        with_args=may(request, Permission.VIEW_ARGS),
        limit=preferences().page_size,
        queues=visible_queues(request),
        database=database_alias(),
    )


def changes_asked_for(
    request: HttpRequest, before: int | None, limit: int = change_log.PAGE
) -> list[change_log.ChangeLine]:
    """What people did, newest first, of what the visitor may see: all, or his own if he sees some queues only."""
    user_id = None if visible_queues(request) is None else str(request.user.pk)
    return change_log.listed(before=before, user_id=user_id, limit=limit, database=database_alias())
