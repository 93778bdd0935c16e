"""What a visitor may see of queues, workers and schedules; and which workers are counted on for a queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.http import HttpRequest

from queue_tasks.dashboard.access import sees, visible_queues
from queue_tasks.dashboard.preferences import backend, database_alias
from queue_tasks.dashboard.queries import CAP
from queue_tasks.overview import Backlog, WorkerLine, list_controls, list_workers, measure_backlog
from queue_tasks.schedules import ScheduleLine, list_schedules


def is_alive(worker: WorkerLine) -> bool:
    """Whether a worker gave a sign of life within the option `dead_after`."""
    return worker.heartbeat_age <= backend().settings.dead_after


def serving(workers: Sequence[WorkerLine], queue: str, dead_after: float) -> list[WorkerLine]:
    """The live workers that take jobs of a queue."""
    return [
        worker
        for worker in workers
        if worker.heartbeat_age <= dead_after and (worker.queues is None or queue in worker.queues)
    ]


def visible_depths(request: HttpRequest) -> list[Backlog]:
    """What there is in each queue that the visitor may see."""
    declared = sorted({*backend().queues, *list_controls(database=database_alias())})
    found = measure_backlog(declared=declared, most=CAP, database=database_alias())
    return [depth for depth in found if sees(request, depth.name)]


def visible_schedules(request: HttpRequest) -> list[ScheduleLine]:
    """The schedules whose jobs go to a queue that the visitor may see, by name."""
    return [line for line in list_schedules(database=database_alias()) if sees(request, line.queue_name)]


def visible_workers(request: HttpRequest) -> list[WorkerLine]:
    """The workers that serve a queue which the visitor may see, said to serve no others."""
    found = list_workers(database=database_alias())
    visible = visible_queues(request)
    if visible is None:
        return found
    narrowed = [
        worker if worker.queues is None else replace(worker, queues=[name for name in worker.queues if name in visible])
        for worker in found
    ]
    return [worker for worker in narrowed if worker.queues is None or worker.queues]


def tellable_workers(request: HttpRequest) -> set[int]:
    """The workers that the visitor may tell something: those of ours that serve no queue which he may not see."""
    visible = visible_queues(request)
    return {
        worker.id
        for worker in list_workers(database=database_alias())
        if worker.name is not None
        and (visible is None or (bool(worker.queues) and set(worker.queues or ()) <= set(visible)))
    }


def served(depths: Iterable[Backlog], workers: Sequence[WorkerLine]) -> list[dict[str, Any]]:
    """Each queue's depth, with the live workers that take its jobs, and what was decided about it."""
    dead_after, gates = backend().settings.dead_after, list_controls(database=database_alias())
    return [
        {"depth": depth, "workers": serving(workers, depth.name, dead_after), "gate": gates.get(depth.name)}
        for depth in depths
    ]
