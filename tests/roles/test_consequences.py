"""Consequences: what follows from outcomes that are written. Without a worker, or a database."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from queue_tasks import events
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import Meter
from queue_tasks.outcomes import OutcomeKind
from queue_tasks.store import Written
from queue_tasks.worker.consequences import Consequences, Tally
from tests.roles.parts import Calls, fetched, outcome


class Desk:
    """Consequences for worker 7, and what it was called for."""

    def __init__(self) -> None:
        self.tally, self.meter = Tally(), Meter()
        self.freed, self.announced = Calls(), Calls()
        self.consequences = Consequences(self.tally, self.meter, on_freed=self.freed, announce=self.announced)
        self.consequences.worker_id = 7

    def follow(self, *ends: tuple[FetchedJob, OutcomeKind, str | None]) -> list[Written]:
        """Each: a job, its outcome, and its row's status; None: it is no longer ours."""
        batch: list[Written] = [(job, outcome(kind), None) for job, kind, _ in ends]
        self.consequences.follow(batch, {job.id: status for job, _, status in ends if status is not None})
        return batch


@contextmanager
def heard(kind: type[Any]) -> Iterator[list[Any]]:
    seen: list[Any] = []
    end = events.subscribe(kind, seen.append)
    try:
        yield seen
    finally:
        end()


def test_attempts_are_counted_by_what_became_of_their_jobs() -> None:
    desk = Desk()
    desk.follow(
        (fetched(id=1), OutcomeKind.SUCCEEDED, "succeeded"),
        (fetched(id=2), OutcomeKind.FAILED, "failed"),
        (fetched(id=3), OutcomeKind.RETRIED, "todo"),
        (fetched(id=4), OutcomeKind.RELEASED, "todo"),
        (fetched(id=5), OutcomeKind.SUCCEEDED, None),
    )
    assert desk.tally == Tally(ended=3, succeeded=1, failed=1, lost=1)
    assert sum(sum(series.ended.values()) for series in desk.meter.by_queue().values()) == 5


@pytest.mark.parametrize(
    ("job", "status", "freed"),
    [
        (fetched(), "succeeded", False),
        (fetched(), "failed", False),
        (fetched(), "todo", True),
        (fetched(lock="a"), "succeeded", True),
        (fetched(limited=True), "succeeded", True),
        (fetched(lock="a", limited=True), None, False),
    ],
)
def test_who_waits_for_a_lock_a_share_or_a_new_try_is_looked_for(
    job: FetchedJob, status: str | None, freed: bool
) -> None:
    desk = Desk()
    desk.follow((job, OutcomeKind.RETRIED, status))
    assert bool(desk.freed) is freed


def test_a_lost_outcome_is_said_and_told_and_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with heard(events.JobLost) as lost, heard(events.AttemptEnded) as ended:
        batch = desk.follow(
            (fetched(id=1), OutcomeKind.SUCCEEDED, None), (fetched(id=2), OutcomeKind.SUCCEEDED, "succeeded")
        )
    assert [(event.worker_id, event.job.id) for event in lost] == [(7, 1)]
    assert [(event.worker_id, event.job.id, event.status) for event in ended] == [(7, 2, "succeeded")]
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["the outcome of job 1 (succeeded) was not written: the job is no longer ours"]
    assert desk.announced.all == [(batch, {2: "succeeded"})]


def test_who_only_lost_tells_of_no_end() -> None:
    with heard(events.AttemptEnded) as ended:
        Desk().follow((fetched(), OutcomeKind.SUCCEEDED, None))
    assert ended == []
