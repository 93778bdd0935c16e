"""The admin's pages of schedules."""

from __future__ import annotations

from django.http import HttpRequest

from queue_tasks.admin import links
from queue_tasks.admin.pages import NothingThere, Pages
from queue_tasks.admin.sheets import Cell, Listing, Sheet, Table, known
from queue_tasks.dashboard.arguments import arguments_for
from queue_tasks.dashboard.display import duration, in_own_zone
from queue_tasks.dashboard.preferences import database_alias
from queue_tasks.dashboard.serving import visible_schedules
from queue_tasks.schedules import ScheduleLine, list_ticks

COLUMNS = ("Name", "State", "Ticks", "Task", "Queue", "Next", "Last job", "Dashboard")
TICKS = 20
"""Past ticks that are shown, the newest."""

NEXT = 5
"""Ticks to come that are shown."""


class SchedulePages(Pages):
    """Schedules, by name."""

    def listed(self, request: HttpRequest) -> Listing:
        """Those whose jobs go to a queue that the visitor may see."""
        return Listing(
            table=Table(COLUMNS, [self._row(line) for line in visible_schedules(request)]),
            empty="No schedule is declared, or no worker has started since.",
        )

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """All about one schedule; its arguments for those who may see them, redacted."""
        line = next((line for line in visible_schedules(request) if line.name == key), None)
        if line is None:
            raise NothingThere
        ticks = [
            (Cell(one.tick), Cell(one.outcome), self._job(one.job_id), Cell(one.job_status))
            for one in list_ticks(line.name, TICKS, database=database_alias())
        ]
        return Sheet(
            name=f"Schedule {line.name}, {line.state}",
            facts=known(
                ("Ticks", line.in_words),
                ("The code says", line.declared_in_words if line.overridden else None),
                ("Next ticks", ", ".join(in_own_zone(tick) for tick in line.preview(NEXT))),
                ("Task", line.task_name),
                ("Queue", Cell(line.queue_name, links.sheet(self.site, "queue", line.queue_name))),
                ("Declared", "in the code" if line.declared else "by an operator"),
                ("Missed ticks", f"{line.missed}, at most {line.max_missed}" if line.missed == "all" else line.missed),
                ("Overlap", line.overlap),
                ("Jitter", duration(line.jitter) if line.jitter else None),
                ("Paused", line.paused_at),
                ("Gone", line.gone_at),
            ),
            texts=[("Arguments", arguments_for(request, line.task_name, line.args, len(line.args)))],
            tables=[Table(("Tick", "Outcome", "Job", "State"), ticks, "Past ticks")],
            dashboard=_on_dashboard(line),
        )

    def _row(self, line: ScheduleLine) -> list[Cell]:
        return [
            Cell(line.name, links.sheet(self.site, "schedule", line.name)),
            Cell(line.state),
            Cell(line.in_words),
            Cell(line.task_name),
            Cell(line.queue_name),
            Cell(line.next_tick if line.state == "active" else None),
            self._job(line.job_id),
            Cell(line.name, _on_dashboard(line)),
        ]

    def _job(self, job_id: int | None) -> Cell:
        return Cell(job_id, None if job_id is None else links.sheet(self.site, "job", job_id))


def _on_dashboard(line: ScheduleLine) -> str | None:
    return links.dashboard_page("schedule", {"name": line.name})
