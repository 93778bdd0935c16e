"""Which workers are counted on: those that gave a sign of life of late, and take jobs of a queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from queue_tasks.dashboard.preferences import backend
from queue_tasks.overview import Backlog, WorkerLine


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


def served(depths: Iterable[Backlog], workers: Sequence[WorkerLine]) -> list[dict[str, Any]]:
    """Each queue's depth, with the live workers that take its jobs."""
    dead_after = backend().settings.dead_after
    return [{"depth": depth, "workers": serving(workers, depth.name, dead_after)} for depth in depths]
