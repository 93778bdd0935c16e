"""The page of one job."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse

from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard import queries, redaction
from queue_tasks.dashboard.access import Permission, guarded, may
from queue_tasks.dashboard.deeds import DEEDS, DELAYS, allowed_deeds
from queue_tasks.dashboard.pages import page, problem
from queue_tasks.dashboard.preferences import backend, database_alias, hides_of
from queue_tasks.dashboard.views.asked import bigint
from queue_tasks.exceptions import JobNotFound
from queue_tasks.explain import explain_job
from queue_tasks.jobs import FINISHED


@guarded(get=Permission.VIEW_JOB)
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    """All about one job."""
    database = database_alias()
    try:
        line, inside = queries.inspect(bigint(job_id), database=database)
    except JobNotFound as exc:
        return problem(request, 404, f"There is no job {job_id}", str(exc))
    with_args = may(request, Permission.VIEW_ARGS)
    hides = hides_of(line.task_name)
    return page(
        request,
        "job.html",
        {
            "job": line,
            "inside": inside,
            "now": line.now,
            "seen": f"{line.state} {inside.lease}",
            "with_args": with_args,
            "arguments": redaction.named(
                inside.args, inside.args_bytes, partial(queries.names_of, line.task_name), hides
            )
            if with_args
            else "",
            "result": redaction.shown(inside.result, inside.result_bytes, hides) if with_args else "",
            "errors": _errors(inside.errors, with_args=with_args),
            "progress": _progress(inside.meta),
            "reasons": explain_job(job_id, database=database, dead_after=backend().settings.dead_after).reasons
            if line.state not in FINISHED
            else [],
            "events": queries.events(job_id, database=database),
            "deeds": [deed for deed in allowed_deeds(request) if line.state in deed.states],
            "editable": line.state in DEEDS["retry"].states
            and inside.args is not None
            and with_args
            and may(request, Permission.RETRY),
            "delays": DELAYS if line.state in DEEDS["retry"].states else {},
            "changes": change_log.listed(job_id=job_id, limit=10, database=database),
            "ticket": uuid.uuid4(),
            "told": request.GET.get("told", "")[:20],
        },
    )


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
