"""The list of jobs that a filter finds."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import queries
from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.completion import words
from queue_tasks.dashboard.deeds import MAX_JOBS, allowed_deeds
from queue_tasks.dashboard.filters import STATES, FilterInvalid
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.views.asked import asked_filter, jobs_asked_for, number
from queue_tasks.jobs import JobState


@guarded(get=Permission.VIEW_JOB)
def jobs(request: HttpRequest) -> HttpResponse:
    """The jobs a filter finds, a page at a time.

    ?q=FILTER; ?before=ID: the next page; ?upto=ID: none newer, of an open page on which jobs are ticked.
    """
    text = request.GET.get("q", "").strip()
    values: dict[str, Any] = {
        "text": text,
        "states": STATES,
        "deeds": allowed_deeds(request),
        "most": MAX_JOBS,
    }
    try:
        wanted = asked_filter(request, text)
        before, upto = number(request.GET.get("before")), number(request.GET.get("upto"))
    except FilterInvalid as exc:
        return page(request, "jobs.html", values | {"error": str(exc), "words": words(request, ())}, status=400)
    found = jobs_asked_for(request, wanted, before if upto is None else upto + 1)
    looks_again = "HX-Request" in request.headers
    older = urlencode({"q": text, "before": found.next}) if found.next is not None else ""
    tabs = [(word, str(wanted.with_states(JobState(word))), (JobState(word),) == wanted.states) for word in STATES]
    return page(
        request,
        "jobs.html",
        values
        | {
            # Not for a page that has them.
            "words": [] if looks_again else words(request, [line.queue_name for line in found.jobs]),
            "jobs": found.jobs,
            "looked": found.looked,
            "look": f"{queries.LOOK:,}",
            "older": older,
            "here": urlencode({"q": text} if before is None else {"q": text, "before": before}),
            "upto": upto or (found.jobs[0].id if found.jobs else ""),
            "before": before,
            "tabs": tabs,
            "every": str(wanted.with_states()),
            "now": found.jobs[0].now if found.jobs else None,
        },
    )
