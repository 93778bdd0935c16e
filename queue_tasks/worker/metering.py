"""Metering: what the meter is told of attempts, of fetches and of the worker's other doings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from queue_tasks.events import JobsRescued, ServiceFailed, subscribe
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter, Series
from queue_tasks.outcomes import Outcome
from queue_tasks.store import Written

LOST = "lost"
"""The outcome of an attempt that could not be written."""


def note(meter: Meter, batch: Sequence[Written], statuses: Mapping[int, str]) -> None:
    """Count attempts that have been written, or could not be; statuses: of the jobs whose rows were.

    Those of one task all at once, which is the usual case: this is done for each job that ends.
    """
    first = batch[0][0]
    queue, task = first.queue_name, first.task_name
    if all(job.queue_name == queue and job.task_name == task for job, _, _ in batch):
        _note_alike(meter.of(queue, task), batch, statuses)
        return
    for job, outcome, _ in batch:
        _note_one(meter.of(job.queue_name, job.task_name), job, outcome, written=job.id in statuses)


def _note_alike(series: Series, batch: Sequence[Written], statuses: Mapping[int, str]) -> None:
    """Count attempts of one task in one queue."""
    ended = series.ended
    for kind, number in Counter([outcome.kind if job.id in statuses else LOST for job, outcome, _ in batch]).items():
        word = str(kind)
        ended[word] = ended.get(word, 0) + number
    series.ran.note_all([outcome.ended - outcome.started for _, outcome, _ in batch if outcome.started is not None])
    waits = [seconds_waited(job) for job, _, _ in batch]
    series.waited.note_all([seconds for seconds in waits if seconds is not None])


def _note_one(series: Series, job: FetchedJob, outcome: Outcome, *, written: bool) -> None:
    """Count one attempt."""
    word = str(outcome.kind) if written else LOST
    series.ended[word] = series.ended.get(word, 0) + 1
    if outcome.started is not None:
        series.ran.note(outcome.ended - outcome.started)
    waited = seconds_waited(job)
    if waited is not None:
        series.waited.note(waited)


def seconds_waited(job: FetchedJob) -> float | None:
    """From when a job could start to its first start; None for a later attempt, or when nobody knows."""
    if job.attempts or job.crashes or job.enqueued is None:
        return None
    ready = job.enqueued
    if job.meta is not None and "run_after" in job.meta:
        ready = max(ready, _run_after(job.meta) or ready)
    return job.attempted - ready


def _run_after(meta: str) -> float | None:
    """When the job was due, in seconds since 1970; None when the row says nothing that can be read."""
    try:
        return datetime.fromisoformat(json.loads(meta)["run_after"]).timestamp()
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
