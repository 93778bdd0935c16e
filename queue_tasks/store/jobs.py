"""Statements about the jobs this worker has, or is about to: fetch, start, progress, finish."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from queue_tasks.exceptions import WorkerNotRegistered
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.statements import FETCH_JOBS, FIND_WRITTEN, FINISH_JOBS, HELD_JOBS, NOTE_START, PROGRESS_JOBS
from queue_tasks.store.arrays import are_all, integers, numbers, seconds, texts
from queue_tasks.store.client import Client

WORKER_UNKNOWN = "QT002"
"""The SQLSTATE of our functions for a worker that is not registered."""

Written = tuple[FetchedJob, Outcome, str | None]
"""What the finisher writes: a job, how its attempt ended, and the error as JSON text."""


class JobStore:
    """For the fetcher, the finisher and the writer of progress."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def fetch_jobs(self, queues: Sequence[str] | None, max_jobs: int) -> list[FetchedJob]:
        """Take up to `max_jobs` ready jobs and mark them running.

        queues: names, any order; None: every queue.
        Returns 0..max_jobs jobs, highest priority first, then oldest.
        Raises WorkerNotRegistered when this worker was taken for dead meanwhile.
        SQL: sql/queries/fetch_jobs.sql
        """
        parameters = {"worker_id": self._client.worker_id, "queues": queues, "max_jobs": max_jobs}
        try:
            rows = await self._client.leasing.rows(FETCH_JOBS, parameters)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            # Another fetch took a job of the same lock at the same moment: the next look sees it.
            return await self.fetch_jobs(queues, max_jobs)
        except psycopg.Error as exc:
            if exc.sqlstate == WORKER_UNKNOWN or isinstance(exc, psycopg.errors.ForeignKeyViolation):
                raise WorkerNotRegistered(str(exc)) from exc
            raise
        return [FetchedJob(*row) for row in rows]

    async def note_start(self, job: FetchedJob) -> bool:
        """Note that the body of a job with crashes is about to run; whether the job is still ours.

        SQL: sql/queries/note_start.sql
        """
        parameters = {"worker_id": self._client.worker_id, "id": job.id, "lease": job.lease}
        return bool(await self._client.finishing.rows(NOTE_START, parameters))

    async def progress_jobs(self, notes: Sequence[tuple[FetchedJob, Mapping[str, Any]]]) -> set[int]:
        """Note how far running jobs have come; the ids of the rows that were still ours.

        SQL: sql/queries/progress_jobs.sql
        """
        rows = await self._client.tending.rows(
            PROGRESS_JOBS,
            {
                "worker_id": self._client.worker_id,
                "ids": [job.id for job, _ in notes],
                "leases": [job.lease for job, _ in notes],
                "progress": [json.dumps(note) for _, note in notes],
            },
        )
        return {row[0] for row in rows}

    async def finish_jobs(self, batch: Sequence[Written]) -> dict[int, str]:
        """Write how attempts ended; job id -> the row's status, for the rows that were still ours.

        SQL: sql/queries/finish_jobs.sql
        """
        now = time.monotonic()
        outcomes = [outcome for _, outcome, _ in batch]
        kinds = [outcome.kind for outcome in outcomes]
        keeps = [outcome.keep for outcome in outcomes]
        untils = [outcome.until for outcome in outcomes]
        # Of rows that are deleted at once nobody reads the times.
        timed = [] if are_all(keeps, 0) and are_all(kinds, OutcomeKind.SUCCEEDED) else outcomes
        rows = await self._client.finishing.rows(
            FINISH_JOBS,
            {
                "worker_id": self._client.worker_id,
                "ids": integers([job.id for job, _, _ in batch]),
                "leases": integers([job.lease for job, _, _ in batch]),
                "outcomes": texts(kinds),
                "results": texts([outcome.result for outcome in outcomes]),
                "errors": texts([error for _, _, error in batch]),
                "started_ago": seconds([None if o.started is None else now - o.started for o in timed]),
                "ended_ago": seconds([now - outcome.ended for outcome in timed]),
                "waits": numbers([outcome.wait or None for outcome in outcomes]),
                "untils": untils if any(untils) else None,
                "keeps": numbers(keeps),
                "priorities": numbers([outcome.priority for outcome in outcomes]),
                "queue_names": texts([outcome.queue_name for outcome in outcomes]),
                "locks": texts([outcome.lock for outcome in outcomes]),
            },
        )
        return {row[0]: row[1] for row in rows}

    def break_off_finish(self) -> None:
        """Make a finish that waits for its answer fail now: on another connection it may succeed."""
        self._client.finishing.break_off()

    async def find_written(self, batch: Sequence[Written]) -> dict[int, str]:
        """Of finishes whose answer was lost, those that were written all the same: job id -> the row's status.

        SQL: sql/queries/find_written.sql
        """
        parameters = {
            "worker_id": self._client.worker_id,
            "ids": [job.id for job, _, _ in batch],
            "leases": [job.lease for job, _, _ in batch],
            "outcomes": [outcome.kind.value for _, outcome, _ in batch],
        }
        return {row[0]: row[1] for row in await self._client.finishing.rows(FIND_WRITTEN, parameters)}

    async def held_jobs(self, ids: Sequence[int]) -> set[int]:
        """Those of the jobs whose rows another session holds at this moment.

        SQL: sql/queries/held_jobs.sql
        """
        return {row[0] for row in await self._client.finishing.rows(HELD_JOBS, {"ids": list(ids)})}
