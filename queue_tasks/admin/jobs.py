"""The admin's pages of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

from queue_tasks.admin import links
from queue_tasks.admin.pages import NothingThere, Pages
from queue_tasks.admin.sheets import Cell, Listing, Search, Sheet, Table, known
from queue_tasks.dashboard import attempts, queries, redaction
from queue_tasks.dashboard.access import Permission, may, visible_queues
from queue_tasks.dashboard.arguments import arguments_for
from queue_tasks.dashboard.display import last_name
from queue_tasks.dashboard.filters import STATES, FilterInvalid, JobFilter
from queue_tasks.dashboard.preferences import database_alias, hides_of
from queue_tasks.dashboard.timeline import timeline
from queue_tasks.dashboard.views.asked import asked_filter, jobs_asked_for, number
from queue_tasks.exceptions import JobNotFound
from queue_tasks.jobs import JobState
from queue_tasks.overview import JobLine

HELP = (
    "For example: 7, or task:resize status:failed since:1h. "
    "Keys: id: task: queue: status: worker: lock: since: error: fingerprint: args.name:"
)
COLUMNS = ("Id", "State", "Task", "Queue", "Attempts", "Enqueued", "Ended", "Error", "Dashboard")


class JobPages(Pages):
    """Jobs, newest first, found by the dashboard's filter, in pages by key."""

    def listed(self, request: HttpRequest) -> Listing:
        """The jobs that a filter finds. Of 20,000 jobs at a time, as on the dashboard."""
        text = request.GET.get("q", "").strip()
        try:
            wanted = asked_filter(request, text)
            before = number(request.GET.get("before"))
        except FilterInvalid as exc:
            search = Search(text=text, help=HELP, error=str(exc))
            return Listing(table=Table(COLUMNS, ()), empty="", search=search)
        found = jobs_asked_for(request, wanted, before)
        older = "" if found.next is None else urlencode({"q": text, "before": found.next})
        return Listing(
            table=Table(COLUMNS, [self._row(job) for job in found.jobs]),
            empty=f"None among the {queries.LOOK:,} jobs looked at." if older else "No such jobs.",
            search=Search(text=text, help=HELP, choices=list(_choices(wanted))),
            newest=urlencode({"q": text}) if before is not None else "",
            older=older,
        )

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """All about one job; arguments, result and messages for those who may see them, redacted."""
        database = database_alias()
        try:
            line, inside = queries.inspect(number(key) or 0, queues=visible_queues(request), database=database)
        except (JobNotFound, FilterInvalid) as exc:
            raise NothingThere from exc
        with_args = may(request, Permission.VIEW_ARGS)
        errors = attempts.read(inside.errors)
        result = redaction.shown(inside.result, inside.result_bytes, hides_of(line.task_name)) if with_args else ""
        return Sheet(
            name=f"Job {line.id}, {line.state}",
            facts=self._facts(line, inside),
            texts=[
                ("Arguments", arguments_for(request, line.task_name, inside.args, inside.args_bytes)),
                ("Return value", result),
                *(_told(attempts.shown(error, with_args=with_args)) for error in reversed(errors)),
            ],
            tables=[
                Table(
                    ("What", "When", ""),
                    [(Cell(step.word), Cell(step.at), Cell(step.note)) for step in timeline(line, errors)],
                    "Timeline",
                )
            ],
            dashboard=links.dashboard_page("job", job_id=line.id),
        )

    def _row(self, job: JobLine) -> list[Cell]:
        error = "" if job.error is None else ": ".join(part for part in (last_name(job.error), job.message) if part)
        return [
            Cell(job.id, links.sheet(self.site, "job", job.id)),
            Cell(job.state),
            Cell(job.task_name),
            Cell(job.queue_name),
            Cell(job.attempts),
            Cell(job.enqueued_at),
            Cell(job.finished_at),
            Cell(error),
            Cell(f"job {job.id}", links.dashboard_page("job", job_id=job.id)),
        ]

    def _facts(self, line: JobLine, inside: queries.Inside) -> list[tuple[str, Cell]]:
        site = self.site
        stopping = line.abort_requested and line.state == JobState.RUNNING
        worker: Any = line.worker_id
        if worker is not None:
            worker = Cell(inside.worker_name or line.worker_id, links.sheet(site, "worker", line.worker_id))
        return known(
            ("Task", line.task_name),
            ("Queue", Cell(line.queue_name, links.sheet(site, "queue", line.queue_name))),
            ("Priority", line.priority),
            ("Lock", line.lock),
            ("Queueing lock", inside.queueing_lock),
            ("Attempts spent", line.attempts),
            ("Workers that died with it", inside.crashes or None),
            ("Worker", worker),
            ("Told to stop", "yes, and has not yet" if stopping else None),
            ("Kept until", inside.expires_at),
        )


def _choices(wanted: JobFilter) -> Iterator[tuple[str, str, bool]]:
    """The states one may choose, beside what else was asked for."""
    yield "any", urlencode({"q": str(wanted.with_states())}), not wanted.states
    for word in STATES:
        states = (JobState(word),)
        yield word, urlencode({"q": str(wanted.with_states(*states))}), wanted.states == states


def _told(error: dict[str, Any]) -> tuple[str, str]:
    """Title and text of one failed attempt."""
    title = f"Attempt {error['attempt']}: {error['exception']}" if error["attempt"] else error["exception"]
    place = f"in {error['place']}" if error["place"] else ""
    text = "\n".join(part for part in (error["message"], place, error["traceback"]) if part)
    return title or "Error", text or "Nothing else that you may see."
