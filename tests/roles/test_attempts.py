"""Attempts: begun for jobs, told to stop, and their outcomes handed over. Bodies are the tests' own."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.store import Store, Written
from queue_tasks.worker.attempt import Attempt, StopReason
from queue_tasks.worker.attempts import Attempts
from tests.chaos.proxy import Proxy
from tests.roles.parts import Calls, Rows, fetched, outcome
from tests.waiting import await_until


class Floor:
    """Attempts whose bodies wait for leave, and what they hand over."""

    def __init__(self, store: Store | None = None) -> None:
        self.begun: list[Attempt] = []
        self.leave = asyncio.Event()
        self.ends = outcome()
        self.finished: list[tuple[int, OutcomeKind]] = []
        self.written: list[tuple[list[int], dict[int, str]]] = []
        self.forgotten = Calls()
        self.attempts = Attempts(
            store.jobs if store is not None else None,  # type: ignore[arg-type] # no job here has crashed
            execute=self.execute,
            finish=lambda job, outcome: self.finished.append((job.id, outcome.kind)),
            on_written=self.note_written,
            note_progress=Calls(),
            forget_progress=self.forgotten,
        )
        self.attempts.worker_id = 7

    async def execute(self, attempt: Attempt) -> Outcome:
        self.begun.append(attempt)
        await self.leave.wait()
        attempt.ended = True
        return self.ends

    def note_written(self, batch: Sequence[Written], statuses: dict[int, str]) -> None:
        self.written.append(([job.id for job, _, _ in batch], statuses))

    async def begin(self, job: FetchedJob) -> "asyncio.Task[None]":
        """Its body runs."""
        running = asyncio.ensure_future(self.attempts.run(job))
        await await_until(lambda: [attempt for attempt in self.begun if attempt.job is job])
        return running


async def test_what_runs_is_known_until_its_outcome_is_handed_over() -> None:
    floor = Floor()
    assert not floor.attempts.any()
    running = await floor.begin(fetched(id=3))
    assert (floor.attempts.any(), floor.attempts.ids, floor.begun[0].worker_id) == (True, [3], 7)
    assert floor.attempts.name_of(running) == "job 3 (tests.testapp.tasks.noop)"
    task = asyncio.current_task()
    assert task is not None
    assert floor.attempts.name_of(task) is None
    floor.leave.set()
    await running
    assert (floor.attempts.any(), floor.finished, floor.forgotten.all) == (False, [(3, OutcomeKind.SUCCEEDED)], [(3,)])
    assert floor.attempts.name_of(running) is None


@pytest.mark.parametrize(("stands", "statuses"), [(True, {3: "succeeded"}), (False, {})])
async def test_what_is_written_already_is_told_and_not_written_again(stands: bool, statuses: dict[int, str]) -> None:
    floor = Floor()
    floor.ends = outcome(written=stands)
    floor.leave.set()
    await floor.attempts.run(fetched(id=3))
    assert (floor.written, floor.finished) == ([([3], statuses)], [])


async def test_an_abort_is_for_one_lease() -> None:
    floor = Floor()
    await floor.begin(fetched(id=3, lease=5))
    floor.attempts.abort(3, 4)
    floor.attempts.abort(4, 5)
    assert floor.begun[0].stop_reason is None
    floor.attempts.abort(3, 5)
    assert floor.begun[0].stop_reason is StopReason.ABORT


async def test_what_was_lost_is_handed_to_nobody_and_does_not_hide_who_has_the_job_now() -> None:
    floor = Floor()
    lost = await floor.begin(fetched(id=3, lease=1))
    floor.attempts.stop_all(StopReason.LOST)
    floor.attempts.worker_id = 8
    again = await floor.begin(fetched(id=3, lease=2))
    assert [attempt.worker_id for attempt in floor.begun] == [7, 8]
    floor.leave.set()
    await lost
    await again
    assert floor.finished == [(3, OutcomeKind.SUCCEEDED)]


async def test_an_older_attempt_that_ends_leaves_the_newer_one_known() -> None:
    floor = Floor()
    lost = await floor.begin(fetched(id=3, lease=1))
    floor.leave.set()
    floor.leave = asyncio.Event()
    again = await floor.begin(fetched(id=3, lease=2))
    await lost
    assert floor.attempts.ids == [3]
    floor.leave.set()
    await again
    assert floor.attempts.ids == []


async def test_who_does_not_obey_is_given_back_and_what_it_ends_with_is_nobody_s() -> None:
    floor = Floor()
    running = await floor.begin(fetched(id=3))
    floor.attempts.stop_all(StopReason.SHUTDOWN)
    floor.attempts.abandon_all()
    assert floor.finished == [(3, OutcomeKind.RELEASED)]
    floor.leave.set()
    await running
    assert floor.finished == [(3, OutcomeKind.RELEASED)]


# -------------------------------------------------------------------------------- of jobs that have killed their worker


async def start(rows: Rows, store: Store) -> FetchedJob:
    """A job that this worker has fetched, after a crash."""
    rows.add(1, qt_crashes=1)
    (job,) = await store.jobs.fetch_jobs(None, 1)
    assert job.crashes == 1
    return job


async def test_the_start_of_a_job_that_has_crashed_is_noted_before_its_body_runs(store: Store, rows: Rows) -> None:
    floor, job = Floor(store), await start(rows, store)
    running = await floor.begin(job)
    assert rows.get(job.id)["qt_started_lease"] == job.lease
    floor.leave.set()
    await running
    assert floor.finished == [(job.id, OutcomeKind.SUCCEEDED)]


async def test_one_that_is_another_s_by_then_does_not_run(store: Store, rows: Rows) -> None:
    floor, job = Floor(store), await start(rows, store)
    await floor.attempts.run(job._replace(lease=job.lease + 1))
    assert (floor.begun, floor.finished) == ([], [])


async def test_one_whose_start_cannot_be_noted_is_given_back_and_does_not_run(
    proxy: Proxy, store: Store, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    floor, job = Floor(store), await start(rows, store)
    proxy.drop_request(b"note_start")
    with caplog.at_level(logging.WARNING, "queue_tasks.worker"):
        await floor.attempts.run(job)
    assert (floor.begun, floor.finished) == ([], [(job.id, OutcomeKind.RELEASED)])
    said: Any = caplog.records[-1]
    assert said.message.startswith(f"the start of job {job.id}, suspected of crashing its worker, could not be noted:")
    assert (said.job_id, said.worker_id) == (job.id, 7)
