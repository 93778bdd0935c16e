"""The admin's pages of workers."""

from __future__ import annotations

from django.http import HttpRequest

from queue_tasks.admin import links
from queue_tasks.admin.pages import NothingThere, Pages
from queue_tasks.admin.sheets import Cell, Listing, Sheet, Table, known
from queue_tasks.dashboard.display import duration, size
from queue_tasks.dashboard.filters import JobFilter
from queue_tasks.dashboard.serving import is_alive, visible_workers
from queue_tasks.overview import WorkerLine

COLUMNS = ("Id", "Name", "Host", "Pid", "Queues", "Running", "Heartbeat", "Version", "Dashboard")


class WorkerPages(Pages):
    """Registered workers, ours and stock ones, oldest first."""

    def listed(self, request: HttpRequest) -> Listing:
        """Those that serve a queue which the visitor may see."""
        return Listing(
            table=Table(COLUMNS, [self._row(worker) for worker in visible_workers(request)]),
            empty="No worker is registered. Start one with: manage.py queue_worker",
        )

    def shown(self, request: HttpRequest, key: str) -> Sheet:
        """All about one worker."""
        worker = next((one for one in visible_workers(request) if str(one.id) == key), None)
        if worker is None:
            raise NothingThere
        jobs = {"q": str(JobFilter(worker=worker.id))}
        return Sheet(
            name=f"Worker {worker.id}",
            facts=known(
                ("Name", _name(worker)),
                ("Host", worker.host),
                ("Pid", worker.pid),
                ("Version", worker.version),
                ("Memory", size(worker.memory)),
                ("Queues", _queues(worker)),
                ("Slots", worker.concurrency),
                ("Running", worker.running),
                ("Its jobs", Cell("all", links.listing(self.site, "job", jobs))),
                ("Heartbeat", _heartbeat(worker)),
                ("Told", worker.told),
                ("Started", worker.started_at),
            ),
            dashboard=_on_dashboard(worker),
        )

    def _row(self, worker: WorkerLine) -> list[Cell]:
        slots = f" of {worker.concurrency}" if worker.concurrency else ""
        return [
            Cell(worker.id, links.sheet(self.site, "worker", worker.id)),
            Cell(_name(worker)),
            Cell(worker.host),
            Cell(worker.pid),
            Cell(_queues(worker)),
            Cell(f"{worker.running}{slots}"),
            Cell(_heartbeat(worker)),
            Cell(worker.version),
            Cell(f"worker {worker.id}", _on_dashboard(worker)),
        ]


def _name(worker: WorkerLine) -> str:
    return "stock worker" if worker.name is None else worker.name


def _queues(worker: WorkerLine) -> str:
    if worker.queues is None:
        # Nobody knows those of a stock worker.
        return "" if worker.name is None else "all"
    return ", ".join(worker.queues)


def _heartbeat(worker: WorkerLine) -> str:
    ago = f"{duration(worker.heartbeat_age)} ago"
    return ago if is_alive(worker) else f"lost, {ago}"


def _on_dashboard(worker: WorkerLine) -> str | None:
    page = links.dashboard_page("workers")
    return None if page is None else f"{page}#worker-{worker.id}"
