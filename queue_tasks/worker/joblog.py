"""The log of jobs: one line for each attempt that ended, and the fields that lines about a job carry for programs.

Never an argument, a return value or an exception's message: a line says which class it was, and the job's row the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import OutcomeKind
from queue_tasks.store import Written
from queue_tasks.worker.failures import told_path_of
from queue_tasks.worker.metering import LOST, seconds_waited

logger = logging.getLogger("queue_tasks.jobs")

UNUSUAL = frozenset({OutcomeKind.FAILED.value, OutcomeKind.ABORTED.value, OutcomeKind.RETRIED.value, LOST})
"""Outcomes that are told at INFO, others at DEBUG."""


def fields(job: FetchedJob, worker_id: int) -> dict[str, Any]:
    """What a line about a job has as `extra`."""
    return {
        "job_id": job.id,
        "task": job.task_name,
        "queue": job.queue_name,
        "attempt": job.attempt,
        "worker_id": worker_id,
    }


def note(worker_id: int, batch: Sequence[Written], statuses: Mapping[int, str]) -> None:
    """Log attempts that have been written, or could not be; statuses: of the jobs whose rows were."""
    if not logger.isEnabledFor(logging.INFO):
        return
    every = logger.isEnabledFor(logging.DEBUG)
    for job, outcome, _ in batch:
        if outcome.kind is OutcomeKind.SUCCEEDED and not every and job.id in statuses:
            continue
        word = outcome.kind.value if job.id in statuses else LOST
        unusual = word in UNUSUAL
        if not (every or unusual):
            continue
        ran = None if outcome.started is None else round(outcome.ended - outcome.started, 6)
        error = None if outcome.error is None else told_path_of(outcome.error)
        logger.log(
            logging.INFO if unusual else logging.DEBUG,
            "job %d of %s %s%s (attempt %d%s)",
            job.id,
            job.task_name,
            word,
            "" if error is None else f" by {error}",
            job.attempt,
            "" if ran is None else f", {ran:.3g} s",
            extra={
                **fields(job, worker_id),
                "outcome": word,
                "status": statuses.get(job.id),
                "error": error,
                "run_seconds": ran,
                "wait_seconds": seconds_waited(job),
                "retry_seconds": outcome.wait if outcome.kind is OutcomeKind.RETRIED else None,
            },
        )
