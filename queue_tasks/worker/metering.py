"""Metering: what the meter is told of attempts, of fetches and of the worker's other doings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from queue_tasks.events import JobsRescued, ServiceFailed, subscribe
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Key, Meter
from queue_tasks.store import Written

LOST = "lost"
"""The outcome of an attempt that could not be written."""


def note(meter: Meter, batch: Sequence[Written], statuses: Mapping[int, str]) -> None:
    """Count attempts that have been written, or could not be; statuses: of the jobs whose rows were.

    By task, and not one by one: this is done for each job that ends.
    """
    by_task: dict[Key, list[Written]] = {}
    for written in batch:
        key = (written[0].queue_name, written[0].task_name)
        found = by_task.get(key)
        if found is None:
            by_task[key] = [written]
        else:
            found.append(written)
    for key, found in by_task.items():
        series = meter.of(*key)
        for kind, number in Counter(
            [outcome.kind if job.id in statuses else LOST for job, outcome, _ in found]
        ).items():
            word = str(kind)
            series.ended[word] = series.ended.get(word, 0) + number
        series.ran.note_all([outcome.ended - outcome.started for _, outcome, _ in found if outcome.started is not None])
        waits = [seconds_waited(job) for job, _, _ in found]
        series.waited.note_all([seconds for seconds in waits if seconds is not None])


def seconds_waited(job: FetchedJob) -> float | None:
    """From when a job could start to its first start; None for a later attempt, or when nobody knows."""
    if job.attempts or job.crashes or job.enqueued_at is None:
        return None
    ready_at = job.enqueued_at
    if job.meta is not None and "run_after" in job.meta:
        ready_at = max(ready_at, _run_after(job.meta) or ready_at)
    return (job.attempted_at - ready_at).total_seconds()


def _run_after(meta: str) -> datetime | None:
    """When the job was due; None when the row says nothing that can be read."""
    try:
        return datetime.fromisoformat(json.loads(meta)["run_after"]).astimezone()
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


@contextmanager
def counting(meter: Meter) -> Iterator[None]:
    """Have the meter count what the worker's loops tell of themselves."""

    def rescued(event: JobsRescued) -> None:
        meter.rescued += len(event.job_ids)

    ends = (
        subscribe(ServiceFailed, lambda event: meter.note_failure(event.service)),
        subscribe(JobsRescued, rescued),
    )
    try:
        yield
    finally:
        for end in ends:
            end()
