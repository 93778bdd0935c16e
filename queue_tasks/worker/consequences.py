"""Consequences: what follows from outcomes that are in the database now: they are counted, logged and told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from queue_tasks import events
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.store import Written
from queue_tasks.worker import joblog, metering

logger = logging.getLogger("queue_tasks.worker")


@dataclass(slots=True)
class Tally:
    """What a worker has done in its life."""

    ended: int = 0
    """Attempts whose outcome was written."""
    succeeded: int = 0
    failed: int = 0
    """Jobs that failed for good."""
    lost: int = 0
    """Attempts whose outcome could not be written: the job was another's by then."""


class Consequences:
    """Counts in the tally and the meter.

    on_freed is called when jobs may have become ready by it: sooner than the notification, and also without one.
    announce is called last, with each batch. `worker_id` may be changed.
    """

    def __init__(
        self,
        tally: Tally,
        meter: Meter,
        *,
        on_freed: Callable[[], None],
        announce: Callable[[Sequence[Written], dict[int, str]], None],
    ) -> None:
        self.worker_id = 0
        self._tally = tally
        self._meter = meter
        self._on_freed = on_freed
        self._announce = announce

    def follow(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        """A batch was written; statuses: of the rows that were still ours, by job id."""
        metering.note(self._meter, batch, statuses)
        joblog.note(self.worker_id, batch, statuses)
        tally, freed = self._tally, False
        for job, outcome, _ in batch:
            status = statuses.get(job.id)
            if status is None:
                self._lose(job, outcome)
                continue
            if outcome.kind is not OutcomeKind.RELEASED:
                tally.ended += 1
            if status == "succeeded":
                tally.succeeded += 1
            elif status == "failed":
                tally.failed += 1
            # Ready again, or its lock, or its share of a limit, is free.
            freed = freed or status == "todo" or job.lock is not None or job.limited
        if freed:
            self._on_freed()
        events.tell_all(
            events.AttemptEnded,
            (
                events.AttemptEnded(self.worker_id, job, outcome, status)
                for job, outcome, _ in batch
                if (status := statuses.get(job.id)) is not None
            ),
        )
        self._announce(batch, statuses)

    def _lose(self, job: FetchedJob, outcome: Outcome) -> None:
        """An outcome could not be written."""
        self._tally.lost += 1
        logger.warning(
            "the outcome of job %d (%s) was not written: the job is no longer ours",
            job.id,
            outcome.kind.value,
            extra=joblog.fields(job, self.worker_id),
        )
        events.tell(events.JobLost, self.worker_id, job, outcome)
