"""The page on which a job is retried with other arguments."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from queue_tasks import control
from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard import queries
from queue_tasks.dashboard.access import Permission, guarded, visible_queues
from queue_tasks.dashboard.changes import ConflictError
from queue_tasks.dashboard.deeds import DEEDS, DELAYS
from queue_tasks.dashboard.edited import Edited, EditInvalid, edited
from queue_tasks.dashboard.pages import go, page, problem
from queue_tasks.dashboard.preferences import database_alias, hides_of
from queue_tasks.dashboard.views.asked import bigint, ticket_of
from queue_tasks.exceptions import JobNotFound, TaskNotFound
from queue_tasks.overview import JobLine

NEEDED = (Permission.RETRY, Permission.VIEW_ARGS)


@guarded(get=NEEDED, post=NEEDED)
def edit(request: HttpRequest, job_id: int) -> HttpResponse:
    """A form of the job's arguments, and the retry with what it says."""
    try:
        line, inside = queries.inspect(bigint(job_id), queues=visible_queues(request), database=database_alias())
    except JobNotFound as exc:
        return problem(request, 404, f"There is no job {job_id}", str(exc))
    arguments = edited(line.task_name, inside.args)
    if arguments is None or line.state not in DEEDS["retry"].states:
        return _not_now(request, line)
    seen, was = f"{line.state} {inside.lease}", hashlib.sha256((inside.args or "").encode()).hexdigest()
    if request.method != "POST":
        return _form(request, line, seen, was, arguments.text(hides_of(line.task_name)))
    written = request.POST.get("arguments", "")
    try:
        return _retried(request, line, arguments, written, was)
    except ConflictError as exc:
        return _form(request, line, seen, was, written, conflict=str(exc), status=409)
    except (TypeError, ValueError, TaskNotFound) as exc:  # FilterInvalid too: a form without its ticket
        return _form(request, line, seen, was, written, error=str(exc), status=400)


def _not_now(request: HttpRequest, line: JobLine) -> HttpResponse:
    text = "They are too long to be shown, or nothing that a task is given."
    if line.state not in DEEDS["retry"].states:
        text = f"It is {line.state}. They can be changed when it has ended, or waits for a time."
    return problem(request, 409, f"The arguments of job {line.id} cannot be edited", text)


def _retried(request: HttpRequest, line: JobLine, arguments: Edited, written: str, was: str) -> HttpResponse:
    """Raises ConflictError, FilterInvalid; for what was written, EditInvalid and what control.retry_job does."""
    if request.POST.get("was") != was:
        raise ConflictError(f"Job {line.id} has other arguments now: load its page anew to see them.")
    database, ticket = database_alias(), ticket_of(request)
    given = arguments.read(written, hides_of(line.task_name))
    wait = DELAYS.get(request.POST.get("delay", ""))
    args, kwargs = arguments.call(given)
    # Before anything is locked or noted.
    try:
        control.check_arguments(line.task_name, args, kwargs)
    except (TypeError, ValueError, TaskNotFound, DatabaseError):
        raise
    except Exception as exc:
        # A lock may be any code, such as one that looks for what these arguments name.
        raise EditInvalid(f"The task's lock raised {type(exc).__name__}: {exc}") from exc
    outcome = change_log.to_jobs(
        request,
        DEEDS["retry"],
        [line.id],
        lambda ids: [one for one in ids if control.retry_job(one, args, kwargs, wait=wait, database=database)],
        ticket=ticket,
        target=f"job {line.id}, with other arguments",
        seen=request.POST.get("seen", ""),
        queues=visible_queues(request),
        noted={"arguments changed": arguments.changed(given)},
        database=database,
    )
    return go(request, "job", {"told": "repeated" if outcome.repeated else "retry"}, job_id=line.id)


def _form(
    request: HttpRequest,
    line: JobLine,
    seen: str,
    was: str,
    text: str,
    *,
    error: str = "",
    conflict: str = "",
    status: int = 200,
) -> HttpResponse:
    values: dict[str, Any] = {
        "job": line,
        "seen": seen,
        "was": was,
        "text": text,
        "rows": min(max(text.count("\n") + 2, 6), 30),
        "error": error,
        "conflict": conflict,
        "delays": DELAYS,
        "delay": request.POST.get("delay", ""),
        "ticket": uuid.uuid4(),
    }
    return page(request, "edit.html", values, status=status)
