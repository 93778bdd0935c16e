"""The pages of schedules, and what their forms do."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse

from queue_tasks import schedules as schedule_service
from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard.access import Permission, guarded, may
from queue_tasks.dashboard.arguments import arguments_for
from queue_tasks.dashboard.filters import FilterInvalid
from queue_tasks.dashboard.pages import go, page, problem
from queue_tasks.dashboard.preferences import database_alias
from queue_tasks.dashboard.serving import visible_schedules
from queue_tasks.dashboard.views.asked import ticket_of
from queue_tasks.exceptions import ScheduleInvalid, ScheduleNotFound
from queue_tasks.schedules import ScheduleLine


@guarded(get=Permission.VIEW_JOB)
def schedules(request: HttpRequest) -> HttpResponse:
    """What ticks when."""
    return page(request, "schedules.html", {"schedules": visible_schedules(request)})


@guarded(get=Permission.VIEW_JOB)
def schedule(request: HttpRequest) -> HttpResponse:
    """All about one schedule."""
    return _schedule_page(request, request.GET.get("name", ""))


@guarded(post=Permission.PAUSE)
def pause_schedule(request: HttpRequest) -> HttpResponse:
    """Keep a schedule from ticking."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "pause", lambda: schedule_service.pause(name, database=database_alias()))


@guarded(post=Permission.PAUSE)
def resume_schedule(request: HttpRequest) -> HttpResponse:
    """Let it tick again."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "resume", lambda: schedule_service.resume(name, database=database_alias()))


@guarded(post=Permission.RUN)
def run_schedule(request: HttpRequest) -> HttpResponse:
    """Enqueue its job now."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "run", lambda: schedule_service.run_now(name, database=database_alias()))


@guarded(post=Permission.RUN)
def change_schedule(request: HttpRequest) -> HttpResponse:
    """Change when it ticks."""
    name, given = request.POST.get("name", ""), request.POST

    def change() -> None:
        every = given.get("every", "").strip()
        schedule_service.override(
            name,
            cron=given.get("cron", "").strip() or None,
            every=_seconds(every) if every else None,
            timezone=given.get("timezone", "").strip() or None,
            database=database_alias(),
        )

    return _to_schedule(request, "change", change)


@guarded(post=Permission.RUN)
def reset_schedule(request: HttpRequest) -> HttpResponse:
    """Take a change back."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "reset", lambda: schedule_service.reset(name, database=database_alias()))


def _to_schedule(request: HttpRequest, action: str, do: Any) -> HttpResponse:
    name = request.POST.get("name", "")
    try:
        # Before anything is written down: what no schedule is called may be what no row can have.
        _seen(request, name)
        new, _ = change_log.to_named(
            request,
            f"schedule {action}",
            name,
            do,
            lambda: _settings_of(_seen(request, name)),
            ticket=ticket_of(request),
            database=database_alias(),
        )
    except FilterInvalid as exc:
        return problem(request, 400, "That cannot be done", str(exc))
    except ScheduleNotFound as exc:
        return problem(request, 404, "There is no such schedule", str(exc))
    except ScheduleInvalid as exc:
        return _schedule_page(request, name, error=str(exc), status=400)
    return go(request, "schedule", {"name": name, "told": action if new else "repeated"})


def _seen(request: HttpRequest, name: str) -> ScheduleLine:
    """The schedule, if the visitor may see it. Raises ScheduleNotFound, which tells of no other."""
    lines = visible_schedules(request)
    for line in lines:
        if line.name == name:
            return line
    raise ScheduleNotFound(name, [line.name for line in lines])


def _settings_of(line: ScheduleLine) -> dict[str, Any]:
    return {
        "ticks": line.in_words,
        "paused_at": line.paused_at,
        "cron": line.override_cron,
        "every": line.override_every,
        "timezone": line.override_timezone,
        "last_job": line.job_id,
    }


def _schedule_page(request: HttpRequest, name: str, *, error: str = "", status: int = 200) -> HttpResponse:
    database = database_alias()
    try:
        line = _seen(request, name)
    except ScheduleNotFound as exc:
        return problem(request, 404, "There is no such schedule", str(exc))
    return page(
        request,
        "schedule.html",
        {
            "schedule": line,
            "now": line.now,
            "with_args": may(request, Permission.VIEW_ARGS),
            "arguments": arguments_for(request, line.task_name, line.args, len(line.args)),
            "preview": line.preview(5),
            "ticks": schedule_service.list_ticks(line.name, 20, database=database),
            "ticket": uuid.uuid4(),
            "error": error,
            "told": request.GET.get("told", "")[:20],
            "given": request.POST,
        },
        status=status,
    )


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ScheduleInvalid(f'every: "{text[:60]}" is not a number of seconds') from None
