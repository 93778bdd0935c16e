"""The admin's pages of what people did on the dashboard."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest

from queue_tasks.admin import links
from queue_tasks.admin.pages import NothingThere, Pages
from queue_tasks.admin.sheets import Cell, Listing, Sheet, Table, known
from queue_tasks.dashboard.changes import PAGE, ChangeLine
from queue_tasks.dashboard.filters import FilterInvalid
from queue_tasks.dashboard.views.asked import changes_asked_for, number

COLUMNS = ("Id", "When", "Who", "From", "What", "To", "Jobs", "Dashboard")


class ChangePages(Pages):
    """What people did, newest first; who sees some queues only sees what he did himself."""

    def listed(self, request: HttpRequest) -> Listing:
        """A page of it, by key."""
        try:
            before = number(request.GET.get("before"))
        except FilterInvalid as exc:
            raise NothingThere from exc
        found = changes_asked_for(request, before)
        return Listing(
            table=Table(COLUMNS, [self._row(change) for change in found]),
            empty="Nobody has changed anything.",
            newest="?" if before is not None else "",
            older=urlencode({"before": found[-1].id}) if len(found) == PAGE else "",
        )

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """One of them, with what was before and after."""
        try:
            wanted = number(key)
        except FilterInvalid as exc:
            raise NothingThere from exc
        found = [] if wanted is None else changes_asked_for(request, wanted + 1, limit=1)
        if not found or found[0].id != wanted:
            raise NothingThere
        [change] = found
        jobs = [(Cell(job, links.sheet(self.site, "job", job)),) for job in change.job_ids or ()]
        return Sheet(
            name=f"Change {change.id}",
            facts=known(
                ("When", change.made_at),
                ("Who", change.user_name),
                ("From", change.address),
                ("What", change.action),
                ("To", change.target),
                ("Jobs", change.jobs if change.job_ids is not None else None),
            ),
            texts=[("Before", change.before or ""), ("After", change.after or "")],
            tables=[Table(("Job",), jobs, "The first of its jobs")],
            dashboard=_on_dashboard(change),
        )

    def _row(self, change: ChangeLine) -> list[Cell]:
        return [
            Cell(change.id, links.sheet(self.site, "change", change.id)),
            Cell(change.made_at),
            Cell(change.user_name),
            Cell(change.address),
            Cell(change.action),
            Cell(change.target),
            Cell(change.jobs if change.job_ids is not None else None),
            Cell(f"change {change.id}", _on_dashboard(change)),
        ]


def _on_dashboard(change: ChangeLine) -> str | None:
    """The page of changes that begins with it."""
    return links.dashboard_page("changes", {"before": change.id + 1})
