"""The pages, and what their forms do. A view reads the request, asks a service, and fills a template."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from queue_tasks import overview as figures
from queue_tasks import schedules as schedule_service
from queue_tasks.dashboard import assets, queries, redaction
from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard.access import GuardedView, Permission, guarded, may
from queue_tasks.dashboard.attention import attention
from queue_tasks.dashboard.changes import DEEDS, MAX_JOBS, MAX_SELECTED, ConflictError, Deed
from queue_tasks.dashboard.filters import BIGINT, FilterInvalid, JobFilter, parse
from queue_tasks.dashboard.pages import page, problem
from queue_tasks.dashboard.preferences import backend, preferences
from queue_tasks.exceptions import JobNotFound, ScheduleInvalid, ScheduleNotFound
from queue_tasks.explain import explain_job
from queue_tasks.jobs import FINISHED, JobState
from queue_tasks.overview import WorkerLine

DELAYS = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
"""How much later a retry may be."""

COMMON = ("ready", "running", "retrying", "scheduled", "parked", "failed", "succeeded", "cancelled", "aborted")
"""The states, in the order in which an operator wants them."""


# --------------------------------------------------------------------------------------------------------------- looks


@guarded(get=Permission.VIEW_JOB)
def overview(request: HttpRequest) -> HttpResponse:
    """What needs attention first, then how the whole does."""
    database = _database()
    depths = figures.measure_backlog(declared=sorted(backend().queues), most=queries.CAP, database=database)
    workers = figures.list_workers(database=database)
    lines = schedule_service.list_schedules(database=database)
    minutes = queries.recent_work(database=database)
    return page(
        request,
        "overview.html",
        {
            "attention": attention(depths, workers, lines, backend().settings),
            "depths": _served(depths, workers),
            "totals": {state: sum(getattr(depth, state) for depth in depths) for state in COMMON[:6]},
            "alive": sum(_is_alive(worker) for worker in workers),
            "minutes": _bars(minutes),
            "succeeded": sum(good for good, _ in minutes),
            "failed": sum(bad for _, bad in minutes),
            "recent": queries.recent_figures(database=database),
            "look": f"{queries.RECENT:,}",
            "refresh": preferences().refresh,
        },
    )


@guarded(get=Permission.VIEW_JOB)
def jobs(request: HttpRequest) -> HttpResponse:
    """The jobs a filter finds, a page at a time."""
    text = request.GET.get("q", "").strip()
    values: dict[str, Any] = {"text": text, "states": COMMON, "deeds": _deeds_of(request), "most": MAX_JOBS}
    try:
        wanted = _wanted(request, text)
        before = _number(request.GET.get("before"))
    except FilterInvalid as exc:
        return page(request, "jobs.html", values | {"error": str(exc)}, status=400)
    found = queries.search(
        wanted,
        before=before,
        with_args=may(request, Permission.VIEW_ARGS),
        limit=preferences().page_size,
        database=_database(),
    )
    older = urlencode({"q": text, "before": found.next}) if found.next is not None else ""
    tabs = [(word, str(wanted.with_states(JobState(word))), (JobState(word),) == wanted.states) for word in COMMON]
    return page(
        request,
        "jobs.html",
        values
        | {
            "jobs": found.jobs,
            "looked": found.looked,
            "look": f"{queries.LOOK:,}",
            "older": older,
            "before": before,
            "tabs": tabs,
            "every": str(wanted.with_states()),
            "now": found.jobs[0].now if found.jobs else None,
        },
    )


@guarded(get=Permission.VIEW_JOB)
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    """All about one job."""
    database = _database()
    try:
        line, inside = queries.inspect(_bigint(job_id), database=database)
    except JobNotFound as exc:
        return problem(request, 404, f"There is no job {job_id}", str(exc))
    with_args = may(request, Permission.VIEW_ARGS)
    hides = preferences().hides
    return page(
        request,
        "job.html",
        {
            "job": line,
            "inside": inside,
            "now": line.now,
            "seen": f"{line.state} {inside.lease}",
            "with_args": with_args,
            "arguments": _arguments(line.task_name, inside) if with_args else "",
            "result": redaction.shown(inside.result, inside.result_bytes, hides) if with_args else "",
            "errors": _errors(inside.errors, with_args=with_args),
            "progress": _progress(inside.meta),
            "reasons": explain_job(job_id, database=database, dead_after=backend().settings.dead_after).reasons
            if line.state not in FINISHED
            else [],
            "events": queries.events(job_id, database=database),
            "deeds": [deed for deed in _deeds_of(request) if line.state in deed.states],
            "delays": DELAYS if line.state in DEEDS["retry"].states else {},
            "changes": change_log.listed(job_id=job_id, limit=10, database=database),
            "ticket": uuid.uuid4(),
            "refresh": preferences().refresh,
            "told": request.GET.get("told", "")[:20],
        },
    )


@guarded(get=Permission.VIEW_JOB)
def queues(request: HttpRequest) -> HttpResponse:
    """How deep each queue is and who serves it."""
    database = _database()
    depths = figures.measure_backlog(declared=sorted(backend().queues), most=queries.CAP, database=database)
    workers = figures.list_workers(database=database)
    return page(request, "queues.html", {"depths": _served(depths, workers), "refresh": preferences().refresh})


@guarded(get=Permission.VIEW_JOB)
def workers(request: HttpRequest) -> HttpResponse:
    """Who works."""
    lines = figures.list_workers(database=_database())
    return page(
        request,
        "workers.html",
        {"workers": [(line, _is_alive(line)) for line in lines], "refresh": preferences().refresh},
    )


@guarded(get=Permission.VIEW_JOB)
def schedules(request: HttpRequest) -> HttpResponse:
    """What ticks when."""
    return page(request, "schedules.html", {"schedules": schedule_service.list_schedules(database=_database())})


@guarded(get=Permission.VIEW_JOB)
def schedule(request: HttpRequest) -> HttpResponse:
    """All about one schedule."""
    return _schedule_page(request, request.GET.get("name", ""))


@guarded(get=Permission.VIEW_JOB)
def changes(request: HttpRequest) -> HttpResponse:
    """What people did here."""
    try:
        before = _number(request.GET.get("before"))
    except FilterInvalid as exc:
        return problem(request, 400, "No such page", str(exc))
    found = change_log.listed(before=before, database=_database())
    full = len(found) == change_log.PAGE
    return page(request, "changes.html", {"changes": found, "older": found[-1].id if full else None})


@guarded(get=Permission.VIEW_JOB)
def asset(request: HttpRequest, version: str, name: str) -> HttpResponse:
    """The stylesheet, the script."""
    if name not in assets.TYPES or version != assets.version(name):
        return problem(request, 404, "There is no such file", "It is of another version: load the page anew.")
    return HttpResponse(
        assets.content(name),
        content_type=assets.TYPES[name],
        headers={"Cache-Control": "private, max-age=31536000, immutable"},
    )


# -------------------------------------------------------------------------------------------------------- jobs, changed


def deeds(every: Iterable[Deed]) -> dict[str, GuardedView]:
    """A view for each thing that can be done to jobs: GET shows what it would do, POST does it."""
    return {deed.name: _deed(deed) for deed in every}


def _deed(deed: Deed) -> GuardedView:
    @guarded(get=deed.permission, post=deed.permission)
    def answer(request: HttpRequest) -> HttpResponse:
        try:
            if request.method == "POST":
                return _do(request, deed)
            return _preview(request, deed)
        except FilterInvalid as exc:
            return problem(request, 400, "That cannot be done", str(exc))
        except ConflictError as exc:
            return problem(request, 409, "Somebody was quicker", str(exc))

    return answer


def _preview(request: HttpRequest, deed: Deed) -> HttpResponse:
    """How many jobs a deed is for, and a form to confirm it."""
    wanted, text = _chosen(request, request.GET)
    found = _matching(request, wanted, deed, None)
    right = [line for line in found if line.state in deed.states]
    return page(
        request,
        "confirm.html",
        {
            "deed": deed,
            "text": text,
            "ids": () if request.GET.get("all") else wanted.ids,
            "tally": change_log.tally([line.state for line in found]),
            "count": len(right),
            "skipped": len(found) - len(right),
            "full": len(found) == MAX_JOBS,
            "most": MAX_JOBS,
            "upto": found[0].id if found else 0,
            "sample": right[:10],
            "delays": DELAYS if deed.name == "retry" else {},
            "ticket": uuid.uuid4(),
        },
    )


def _do(request: HttpRequest, deed: Deed) -> HttpResponse:
    """Do it, once, and say what was done."""
    ticket = _ticket(request)
    wanted, text = _chosen(request, request.POST)
    seen = request.POST.get("seen")
    if seen is not None and len(wanted.ids) != 1:
        raise FilterInvalid("The form is about one job, and names several.")
    if seen is None and not request.POST.get("all"):
        ids = list(wanted.ids)
        target = f"{len(ids)} selected jobs"
    elif seen is None:
        upto = _number(request.POST.get("upto"))
        if upto is None:
            raise FilterInvalid("The form does not say which jobs were there when it was shown.")
        ids = [line.id for line in _matching(request, wanted, deed, upto + 1)]
        target = f"all that match: {text or 'everything'}"
    else:
        ids = list(wanted.ids)
        target = f"job {ids[0]}"
    outcome = change_log.to_jobs(
        request,
        deed,
        ids,
        ticket=ticket,
        target=target,
        seen=seen,
        wait=DELAYS.get(request.POST.get("delay", "")),
        keep=backend().settings.keep,
        database=_database(),
    )
    if seen is not None and deed.name != "delete":
        told = "repeated" if outcome.repeated else deed.name
        return _go(request, "job", {"told": told}, job_id=wanted.ids[0])
    return page(request, "done.html", {"deed": deed, "outcome": outcome, "text": text, "sample": outcome.changed[:20]})


def _chosen(request: HttpRequest, given: Any) -> tuple[JobFilter, str]:
    """Which jobs a form is about: those that were ticked, or all that match. Raises FilterInvalid."""
    text = given.get("q", "").strip()
    if given.get("all"):
        return _wanted(request, text), text
    ids = [_number(one) for one in given.getlist("id")]
    if not ids:
        raise FilterInvalid("No job is selected. Tick some, or choose all that match.")
    if len(ids) > MAX_SELECTED:
        raise FilterInvalid(f"{len(ids):,} jobs are selected; at most {MAX_SELECTED:,} can be changed at once.")
    return JobFilter(ids=tuple(dict.fromkeys(one for one in ids if one is not None))), text


def _matching(request: HttpRequest, wanted: JobFilter, deed: Deed, before: int | None) -> list[figures.JobLine]:
    """The newest jobs that match and, unless they were named one by one, are in a state that the deed is for."""
    if not wanted.states and not wanted.ids:
        wanted = wanted.with_states(*(state for state in JobState if state in deed.states))
    return queries.search(
        wanted, before=before, with_args=may(request, Permission.VIEW_ARGS), limit=MAX_JOBS, database=_database()
    ).jobs


# --------------------------------------------------------------------------------------------------- schedules, changed


@guarded(post=Permission.PAUSE)
def pause_schedule(request: HttpRequest) -> HttpResponse:
    """Keep a schedule from ticking."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "pause", lambda: schedule_service.pause(name, database=_database()))


@guarded(post=Permission.PAUSE)
def resume_schedule(request: HttpRequest) -> HttpResponse:
    """Let it tick again."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "resume", lambda: schedule_service.resume(name, database=_database()))


@guarded(post=Permission.RUN)
def run_schedule(request: HttpRequest) -> HttpResponse:
    """Enqueue its job now."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "run", lambda: schedule_service.run_now(name, database=_database()))


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
            database=_database(),
        )

    return _to_schedule(request, "change", change)


@guarded(post=Permission.RUN)
def reset_schedule(request: HttpRequest) -> HttpResponse:
    """Take a change back."""
    name = request.POST.get("name", "")
    return _to_schedule(request, "reset", lambda: schedule_service.reset(name, database=_database()))


def _to_schedule(request: HttpRequest, action: str, do: Any) -> HttpResponse:
    name = request.POST.get("name", "")
    try:
        new, _ = change_log.to_schedule(
            request, action, name, do, lambda: _settings_of(name), ticket=_ticket(request), database=_database()
        )
    except FilterInvalid as exc:
        return problem(request, 400, "That cannot be done", str(exc))
    except ScheduleNotFound as exc:
        return problem(request, 404, "There is no such schedule", str(exc))
    except ScheduleInvalid as exc:
        return _schedule_page(request, name, error=str(exc), status=400)
    return _go(request, "schedule", {"name": name, "told": action if new else "repeated"})


def _settings_of(name: str) -> dict[str, Any]:
    line = schedule_service.list_schedules(name, database=_database())[0]
    return {
        "ticks": line.in_words,
        "paused_at": line.paused_at,
        "cron": line.override_cron,
        "every": line.override_every,
        "timezone": line.override_timezone,
        "last_job": line.job_id,
    }


def _schedule_page(request: HttpRequest, name: str, *, error: str = "", status: int = 200) -> HttpResponse:
    database = _database()
    try:
        line = schedule_service.list_schedules(name.replace("\x00", ""), database=database)[0]
    except ScheduleNotFound as exc:
        return problem(request, 404, "There is no such schedule", str(exc))
    with_args = may(request, Permission.VIEW_ARGS)
    return page(
        request,
        "schedule.html",
        {
            "schedule": line,
            "now": line.now,
            "with_args": with_args,
            "arguments": redaction.shown(line.args, len(line.args), preferences().hides) if with_args else "",
            "preview": line.preview(5),
            "ticks": schedule_service.list_ticks(line.name, 20, database=database),
            "ticket": uuid.uuid4(),
            "error": error,
            "told": request.GET.get("told", "")[:20],
            "given": request.POST,
        },
        status=status,
    )


# --------------------------------------------------------------------------------------------------------------- pieces


def _database() -> str:
    return backend().settings.database


def _is_alive(worker: WorkerLine) -> bool:
    return worker.heartbeat_age <= backend().settings.dead_after


def _served(depths: Iterable[figures.Backlog], workers: list[WorkerLine]) -> list[dict[str, Any]]:
    dead_after = backend().settings.dead_after
    return [{"depth": depth, "workers": queries.serving(workers, depth.name, dead_after)} for depth in depths]


def _bars(minutes: list[tuple[int, int]]) -> list[dict[str, int]]:
    """The bars of a chart 60 wide and 100 high."""
    highest = max((good + bad for good, bad in minutes), default=0) or 1
    bars = []
    for place, (good, bad) in enumerate(minutes):
        high, low = round(100 * (good + bad) / highest), round(100 * bad / highest)
        low = max(low, 4 if bad else 0)  # a single failure among thousands is seen
        high = max(high, low)
        bars.append({"x": place * 10, "good_y": 100 - high, "good": high - low, "bad_y": 100 - low, "bad": low})
    return bars


def _deeds_of(request: HttpRequest) -> list[Deed]:
    return [deed for deed in DEEDS.values() if may(request, deed.permission)]


def _wanted(request: HttpRequest, text: str) -> JobFilter:
    """A filter that the visitor may use. Raises FilterInvalid."""
    wanted = parse(text)
    if wanted.looks_into_arguments and not may(request, Permission.VIEW_ARGS):
        raise FilterInvalid(f"args.NAME: needs the permission {Permission.VIEW_ARGS}.")
    hidden = [name for name, _ in wanted.args if preferences().hides(name)]
    if hidden:
        raise FilterInvalid(f"args.{hidden[0]}: is not shown, and cannot be looked for either.")
    return wanted


def _arguments(task_name: str, inside: queries.Inside) -> str:
    """A job's arguments by name where the task is known, redacted."""
    hides = preferences().hides
    if inside.args is None:
        return redaction.shown(None, inside.args_bytes, hides)
    try:
        stored = json.loads(inside.args)
    except (ValueError, RecursionError):
        return redaction.shown(inside.args, inside.args_bytes, hides)
    if not isinstance(stored, dict) or set(stored) != {"args", "kwargs"}:
        return redaction.shown(inside.args, inside.args_bytes, hides)
    given, named = stored["args"], stored["kwargs"]
    if not isinstance(given, list) or not isinstance(named, dict):
        return redaction.shown(inside.args, inside.args_bytes, hides)
    names = queries.parameters(task_name)
    values = {names[place] if place < len(names) else str(place): value for place, value in enumerate(given)}
    try:
        return redaction.laid_out(redaction.redacted({**values, **named}, hides))
    except RecursionError:
        return redaction.shown(None, inside.args_bytes, hides)


def _errors(text: str | None, *, with_args: bool) -> list[dict[str, str]]:
    """Each failed attempt, newest first, as text."""
    try:
        found = json.loads(text) if text else []
    except (ValueError, RecursionError):
        found = []
    keys = ("exception", "message", "traceback", "worker_id", "started_at", "finished_at")
    secret = () if with_args else ("message", "traceback")
    return [
        {key: "" if key in secret else redaction.cut(str(error.get(key) or "")) for key in keys}
        for error in reversed(found if isinstance(found, list) else [])
        if isinstance(error, Mapping)
    ]


def _progress(meta: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(meta) if meta else {}
    except (ValueError, RecursionError):
        return None
    progress = found.get("progress") if isinstance(found, dict) else None
    if not isinstance(progress, dict):
        return None
    done, total = progress.get("done"), progress.get("total")
    known = isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0
    return {
        "done": done,
        "total": total,
        "message": redaction.cut(str(progress.get("message") or ""), 500),
        "bar": known,
    }


def _number(text: str | None) -> int | None:
    """A whole number that an id may be. Raises FilterInvalid."""
    if text is None or text == "":
        return None
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < BIGINT - 1:  # noqa: PLR2004 - digits of BIGINT
        return int(text)
    raise FilterInvalid(f'"{text[:60]}" is not the number of a job.')


def _bigint(number: int) -> int:
    if number >= BIGINT:
        raise JobNotFound(number)
    return number


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ScheduleInvalid(f'every: "{text[:60]}" is not a number of seconds') from None


def _ticket(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("ticket", ""))
    except ValueError:
        raise FilterInvalid("The form has no ticket: load its page anew.") from None


def _go(request: HttpRequest, name: str, query: Mapping[str, str], **kwargs: Any) -> HttpResponse:
    """To a page of the dashboard, and nowhere else."""
    match = request.resolver_match
    address = reverse(f"queue_tasks_dashboard:{name}", kwargs=kwargs, current_app=match.namespace if match else None)
    return HttpResponseRedirect(f"{address}?{urlencode(query)}", status=303)
