"""The page of one job."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse

from queue_tasks import overview
from queue_tasks.dashboard import attempts, queries, redaction
from queue_tasks.dashboard import changes as change_log
from queue_tasks.dashboard.access import Permission, guarded, may, visible_queues
from queue_tasks.dashboard.arguments import arguments_for
from queue_tasks.dashboard.deeds import DEEDS, DELAYS, allowed_deeds
from queue_tasks.dashboard.pages import page, problem
from queue_tasks.dashboard.preferences import backend, database_alias, hides_of
from queue_tasks.dashboard.timeline import timeline
from queue_tasks.dashboard.views.asked import bigint
from queue_tasks.exceptions import JobNotFound
from queue_tasks.explain import Reason, Why, explain_job
from queue_tasks.jobs import FINISHED


@guarded(get=Permission.VIEW_JOB)
def job(request: HttpRequest, job_id: int) -> HttpResponse:
    """All about one job."""
    database = database_alias()
    try:
        line, inside = queries.inspect(bigint(job_id), queues=visible_queues(request), database=database)
    except JobNotFound as exc:
        return problem(request, 404, f"There is no job {job_id}", str(exc))
    with_args = may(request, Permission.VIEW_ARGS)
    hides = hides_of(line.task_name)
    errors = attempts.read(inside.errors)
    return page(
        request,
        "job.html",
        {
            "job": line,
            "inside": inside,
            "now": line.now,
            "seen": f"{line.state} {inside.lease}",
            "with_args": with_args,
            "arguments": arguments_for(request, line.task_name, inside.args, inside.args_bytes),
            "result": redaction.shown(inside.result, inside.result_bytes, hides) if with_args else "",
            "errors": [attempts.shown(error, with_args=with_args) for error in reversed(errors)],
            "steps": timeline(line, errors),
            "progress": _progress(inside.meta),
            "reasons": _reasons(request, job_id) if line.state not in FINISHED else [],
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


def _reasons(request: HttpRequest, job_id: int) -> list[Reason]:
    """Why it is not running, without what is of queues that the visitor may not see."""
    database = database_alias()
    reasons = explain_job(job_id, database=database, dead_after=backend().settings.dead_after).reasons
    visible = visible_queues(request)
    if visible is None:
        return reasons
    others = [reason.job_id for reason in reasons if reason.job_id is not None]
    hidden = {line.id for line in overview.list_jobs(ids=others, database=database) if line.queue_name not in visible}
    told = []
    for reason in reasons:
        if reason.why is Why.NOT_SERVED:
            told.append(Reason(reason.why, "No live worker serves its queue."))
        elif reason.job_id in hidden:
            told.append(Reason(reason.why, "A job that you may not see has its lock, or stands before it."))
        else:
            told.append(reason)
    return told


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
