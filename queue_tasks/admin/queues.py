"""The admin's pages of queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from queue_tasks.admin import links
from queue_tasks.admin.pages import NothingThere, Pages
from queue_tasks.admin.sheets import Cell, Listing, Sheet, Table, known
from queue_tasks.dashboard.display import counted, duration, exact
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.dashboard.serving import served, visible_depths, visible_workers
from queue_tasks.overview import QueueControl

STATES = ("ready", "running", "scheduled", "retrying", "parked", "failed")
COLUMNS = ("Queue", *(word.capitalize() for word in STATES), "Oldest ready", "Workers", "State", "Dashboard")


class QueuePages(Pages):
    """Queues, by name: how deep each is, and whether an operator holds it."""

    def listed(self, request: HttpRequest) -> Listing:
        """The queues that have jobs which are not over, or failed; those that are declared, paused or limited."""
        return Listing(
            table=Table(COLUMNS, [self._row(line) for line in _visible(request)]),
            empty="No queue is declared, and no job waits, runs or failed.",
        )

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """All about one queue."""
        line = next((line for line in _visible(request) if line["depth"].name == key), None)
        if line is None:
            raise NothingThere
        site, depth, gate = self.site, line["depth"], line["gate"]
        workers = [
            (Cell(one.id, links.sheet(site, "worker", one.id)), Cell(one.name), Cell(one.host))
            for one in line["workers"]
        ]
        return Sheet(
            name=f"Queue {depth.name}",
            facts=known(
                ("State", _state(gate)),
                ("Paused", gate and gate.paused_at),
                *((word.capitalize(), counted(getattr(depth, word))) for word in STATES),
                ("Oldest ready", duration(depth.oldest_ready)),
                ("Its jobs", Cell("all", links.listing(site, "job", {"q": str(JobFilter(queue=depth.name))}))),
            ),
            tables=[Table(("Worker", "Name", "Host"), workers, "Live workers that serve it")],
            dashboard=links.dashboard_page("queues"),
        )

    def _row(self, line: Mapping[str, Any]) -> list[Cell]:
        depth = line["depth"]
        return [
            Cell(depth.name, links.sheet(self.site, "queue", depth.name)),
            *(Cell(counted(getattr(depth, word))) for word in STATES),
            Cell(duration(depth.oldest_ready)),
            Cell(len(line["workers"])),
            Cell(_state(line["gate"])),
            Cell("queues", links.dashboard_page("queues")),
        ]


def _visible(request: HttpRequest) -> list[dict[str, Any]]:
    return served(visible_depths(request), visible_workers(request))


def _state(gate: QueueControl | None) -> str:
    """Whether it is held, for people."""
    if gate is None:
        return "open"
    until = f" until {exact(gate.paused_until)}" if gate.paused_until else ""
    by = f" by {gate.paused_by}" if gate.paused_by else ""
    state = f"paused{until}{by}" if gate.paused else "open"
    return state if gate.concurrency is None else f"{state}, limit {gate.concurrency}"
