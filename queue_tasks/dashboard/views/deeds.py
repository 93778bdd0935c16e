"""What is done to jobs: a page that shows what it would do, and the form on it that does it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard import queries
from queue_tasks.dashboard.access import GuardedView, Permission, guarded, may, visible_queues
from queue_tasks.dashboard.changes import ConflictError
from queue_tasks.dashboard.deeds import DELAYS, MAX_JOBS, MAX_SELECTED, Deed
from queue_tasks.dashboard.filters import FilterInvalid, JobFilter
from queue_tasks.dashboard.pages import go, page, problem
from queue_tasks.dashboard.preferences import backend, database_alias
from queue_tasks.dashboard.views.asked import asked_filter, number, ticket_of
from queue_tasks.jobs import JobState


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
    matching = _matching(request, wanted, deed, None)
    found = matching.jobs
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
            # The search has ended because it had looked at enough: further back there may be more.
            "look": f"{queries.LOOK:,}" if matching.looked and matching.next is not None else "",
            "most": MAX_JOBS,
            "upto": found[0].id if found else 0,
            "sample": right[:10],
            "delays": DELAYS if deed.name == "retry" else {},
            "ticket": uuid.uuid4(),
        },
    )


def _do(request: HttpRequest, deed: Deed) -> HttpResponse:
    """Do it, once, and say what was done."""
    ticket = ticket_of(request)
    wanted, text = _chosen(request, request.POST)
    seen = request.POST.get("seen")
    if seen is not None and len(wanted.ids) != 1:
        raise FilterInvalid("The form is about one job, and names several.")
    if seen is None and not request.POST.get("all"):
        ids = list(wanted.ids)
        target = f"{len(ids)} selected jobs"
    elif seen is None:
        upto = number(request.POST.get("upto"))
        if upto is None:
            raise FilterInvalid("The form does not say which jobs were there when it was shown.")
        ids = [line.id for line in _matching(request, wanted, deed, upto + 1).jobs]
        target = f"all that match: {text or 'everything'}"
    else:
        ids = list(wanted.ids)
        target = f"job {ids[0]}"
    outcome = change_log.to_jobs(
        request,
        deed,
        ids,
        partial(
            deed.run,
            wait=DELAYS.get(request.POST.get("delay", "")),
            keep=backend().settings.keep,
            database=database_alias(),
        ),
        ticket=ticket,
        target=target,
        seen=seen,
        queues=visible_queues(request),
        database=database_alias(),
    )
    if seen is not None and deed.name != "delete":
        told = "repeated" if outcome.repeated else deed.name
        return go(request, "job", {"told": told}, job_id=wanted.ids[0])
    return page(request, "done.html", {"deed": deed, "outcome": outcome, "text": text, "sample": outcome.changed[:20]})


def _chosen(request: HttpRequest, given: Any) -> tuple[JobFilter, str]:
    """Which jobs a form is about: those that were ticked, or all that match. Raises FilterInvalid."""
    text = given.get("q", "").strip()
    if given.get("all"):
        return asked_filter(request, text), text
    ids = [number(one) for one in given.getlist("id")]
    if not ids:
        raise FilterInvalid("No job is selected. Tick some, or choose all that match.")
    if len(ids) > MAX_SELECTED:
        raise FilterInvalid(f"{len(ids):,} jobs are selected; at most {MAX_SELECTED:,} can be changed at once.")
    return JobFilter(ids=tuple(dict.fromkeys(one for one in ids if one is not None))), text


def _matching(request: HttpRequest, wanted: JobFilter, deed: Deed, before: int | None) -> queries.Page:
    """The newest jobs that match and, unless they were named one by one, are in a state that the deed is for."""
    if not wanted.states and not wanted.ids:
        wanted = wanted.with_states(*(state for state in JobState if state in deed.states))
    return queries.search(
        wanted,
        before=before,
        with_args=may(request, Permission.VIEW_ARGS),
        limit=MAX_JOBS,
        queues=visible_queues(request),
        database=database_alias(),
    )
