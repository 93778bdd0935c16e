"""What an operator should look at first, in words. In: what the overview has read. Out: lines, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from queue_tasks.conf import Options
from queue_tasks.dashboard.queries import CAP
from queue_tasks.dashboard.serving import serving
from queue_tasks.overview import Backlog, WorkerLine
from queue_tasks.schedules import ScheduleLine

LATE = 60.0
"""Seconds a ready job may wait before it is worth a line."""


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing to look at."""

    grave: bool
    text: str
    name: str
    """Of the page to go to: jobs, workers, schedules."""
    filter: str = ""
    """Of jobs."""


def attention(
    depths: Sequence[Backlog], workers: Sequence[WorkerLine], schedules: Sequence[ScheduleLine], options: Options
) -> list[Matter]:
    """The matters, the gravest first; none when all is well."""
    matters = []
    lost = [worker for worker in workers if worker.heartbeat_age > options.dead_after]
    if not any(depth.ready or depth.running for depth in depths) and not workers:
        matters.append(Matter(grave=False, text="No worker runs.", name="workers"))
    if lost:
        matters.append(Matter(grave=True, text=f"{_many(len(lost), 'worker')} lost: no sign of life.", name="workers"))
    for depth in depths:
        there = serving(workers, depth.name, options.dead_after)
        if (depth.ready or depth.scheduled or depth.retrying) and not there:
            text = f"No live worker serves the queue {depth.name}, where {_many(depth.ready, 'job')} ready."
            matters.append(Matter(True, text, "jobs", _jobs(depth, "ready")))  # noqa: FBT003 - grave
        elif depth.oldest_ready is not None and depth.oldest_ready > LATE:
            text = f"In the queue {depth.name} jobs wait for {depth.oldest_ready / 60:,.0f} minutes."
            matters.append(Matter(False, text, "jobs", _jobs(depth, "ready")))  # noqa: FBT003 - the same
        if depth.failed:
            text = f"{_count(depth.failed, 'job')} failed in the queue {depth.name}."
            matters.append(Matter(False, text, "jobs", _jobs(depth, "failed")))  # noqa: FBT003 - the same
    paused = sum(schedule.state == "paused" for schedule in schedules)
    gone = sum(schedule.state == "gone" for schedule in schedules)
    if paused:
        matters.append(Matter(grave=False, text=f"{_many(paused, 'schedule')} paused.", name="schedules"))
    if gone:
        matters.append(
            Matter(grave=False, text=f"{_many(gone, 'schedule')} gone from the code that runs.", name="schedules")
        )
    return sorted(matters, key=lambda matter: not matter.grave)


def _many(count: int, noun: str) -> str:
    return f"{_count(count, noun)} {'is' if count == 1 else 'are'}"


def _count(count: int, noun: str) -> str:
    number = f"{CAP:,} or more" if count >= CAP else f"{count:,}"
    return f"{number} {noun}{'' if count == 1 else 's'}"


def _jobs(depth: Backlog, state: str) -> str:
    name = depth.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'status:{state} queue:"{name}"'
