"""Statements of the small duties beside jobs: promote, abort, rescue, reclaim, prune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from queue_tasks.statements import (
    ABORTING_JOBS,
    NOTIFY_USAGE,
    PROMOTE_JOBS,
    PRUNE_JOBS,
    RECLAIM_JOBS,
    RESCUE_JOBS,
)
from queue_tasks.store.client import Client


@dataclass(frozen=True, slots=True)
class Promotion:
    """What was made ready and when there is more to do; one row of sql/queries/promote_jobs.sql."""

    promoted: int
    """Jobs."""
    next_due_in: float | None
    """Seconds until the next job is due; None: none is scheduled."""
    next_due_at: float | None
    """When that is by the database's clock, not to be counted with: to be compared with what a look around finds."""
    resumes_in: float | None
    """Seconds until the first pause of a queue ends that has an end; None: there is none."""
    resumes_at: float | None
    """When that is by the database's clock, not to be counted with: another one means that something has changed."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job taken back from a dead worker; one row of sql/queries/rescue_jobs.sql."""

    id: int
    status: str
    """todo, failed (a poison pill) or aborted."""
    worker_id: int | None
    crashes: int


class MaintenanceStore:
    """For the promoter, the aborter, the rescuer and the pruner."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def promote_jobs(self, max_jobs: int) -> Promotion:
        """Make due jobs ready, and see when the next pause of a queue ends.

        SQL: sql/queries/promote_jobs.sql
        """
        return Promotion(*(await self._client.tending.rows(PROMOTE_JOBS, {"max_jobs": max_jobs}))[0])

    async def aborting_jobs(self) -> list[tuple[int, int]]:
        """(id, lease) of this worker's running jobs whose abort was asked for.

        SQL: sql/queries/aborting_jobs.sql
        """
        rows = await self._client.tending.rows(ABORTING_JOBS, {"worker_id": self._client.worker_id})
        return [(row[0], row[1]) for row in rows]

    async def rescue_jobs(
        self, *, dead_after: float, silent_after: float, max_crashes: int, keep: float | None, max_jobs: int
    ) -> list[Rescued]:
        """Take back up to `max_jobs` running jobs of dead workers; times in seconds.

        SQL: sql/queries/rescue_jobs.sql
        """
        parameters = {
            "dead_after": dead_after,
            "silent_after": silent_after,
            "max_crashes": max_crashes,
            "keep": keep,
            "max_jobs": max_jobs,
        }
        return [Rescued(*row) for row in await self._client.tending.rows(RESCUE_JOBS, parameters)]

    async def reclaim_jobs(self, in_hand: Sequence[int], *, older_than: float, keep: float | None) -> list[int]:
        """Take back what is running under this worker without its knowing; the ids.

        in_hand: what it does know of, as it is when this is called and no fetch is under way. older_than: seconds since
        the fetch. keep: seconds an aborted job's row stays.
        SQL: sql/queries/reclaim_jobs.sql
        """
        parameters = {
            "worker_id": self._client.worker_id,
            "in_hand": list(in_hand),
            "older_than": older_than,
            "keep": keep,
        }
        # Where fetches are sent, so that none of them comes in between.
        return [row[0] for row in await self._client.leasing.rows(RECLAIM_JOBS, parameters)]

    async def prune_jobs(self, max_jobs: int) -> int:
        """Delete up to `max_jobs` finished jobs whose time is over; how many.

        SQL: sql/queries/prune_jobs.sql
        """
        deleted: int = (await self._client.tending.rows(PRUNE_JOBS, {"max_jobs": max_jobs}))[0][0]
        return deleted

    async def notify_usage(self) -> float:
        """The used part, 0 to 1, of the server's queue of notifications; to ask also keeps it moving.

        SQL: sql/queries/notify_usage.sql
        """
        used: float = (await self._client.tending.rows(NOTIFY_USAGE))[0][0]
        return used
