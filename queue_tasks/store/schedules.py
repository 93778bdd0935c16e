"""Statements about schedules: what is declared, what is due, and its ticks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from queue_tasks.bridge import PeriodicTick
from queue_tasks.cron import Plan
from queue_tasks.statements import DUE_SCHEDULES, FIRE_SCHEDULE, LOCK_SCHEDULE, PERIODIC_DEFER, SYNC_SCHEDULES
from queue_tasks.store.client import Client


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule that has ticked, or whose next tick is to be found; one row of sql/queries/due_schedules.sql."""

    id: int
    name: str
    revision: int
    cron: str | None
    every: float | None
    timezone: str
    last_tick: datetime
    missed: str
    max_missed: int


def schedule_as_json(row: Mapping[str, Any]) -> str:
    """A schedule's row as JSON text; its arguments, which are text already, as they are."""
    rest = json.dumps({name: value for name, value in row.items() if name != "args"})
    return f'{rest[:-1]}, "args": {row["args"]}}}'


class ScheduleStore:
    """For the scheduler."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def sync_schedules(self, declared: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """Bring what the code declares to the database; (name, change) of those that were added, changed, back or gone.

        SQL: sql/queries/sync_schedules.sql
        """
        text = f"[{','.join(map(schedule_as_json, declared))}]"
        return [(row[0], row[1]) for row in await self._client.tending.rows(SYNC_SCHEDULES, {"declared": text})]

    async def due_schedules(self, max_schedules: int) -> tuple[datetime, float | None, list[DueSchedule]]:
        """The database's time, the seconds until the next tick that is not due (None: there is none), what is due.

        SQL: sql/queries/due_schedules.sql
        """
        rows = await self._client.tending.rows(DUE_SCHEDULES, {"max_schedules": max_schedules})
        return rows[0][0], rows[0][1], [DueSchedule(*row[2:]) for row in rows if row[2] is not None]

    async def fire_schedule(
        self, due: DueSchedule, plan: Plan, spread: float
    ) -> list[tuple[datetime, str, int | None]]:
        """See to the ticks of a schedule; (tick, outcome, job's id) of each, nothing when somebody else did.

        spread: seconds between the starts of several jobs.
        SQL: sql/queries/fire_schedule.sql
        """
        rows = await self._client.tending.rows(
            FIRE_SCHEDULE,
            {
                "id": due.id,
                "revision": due.revision,
                "last_tick": due.last_tick,
                "ticks": list(plan.ticks),
                "passed": plan.passed,
                "passed_tick": plan.passed_tick,
                "last": plan.last,
                "following": plan.following,
                "spread": spread,
            },
        )
        return [(row[0], row[1], row[2]) for row in rows]

    async def defer_tick(self, tick: PeriodicTick) -> int | None:
        """Enqueue one tick of a procrastinate periodic task; the job's id, None when another worker was first.

        SQL: sql/queries/lock_schedule.sql, then sql/queries/periodic_defer.sql, which must see what others committed
        """
        parameters = {
            "queue_name": tick.queue_name,
            "lock": tick.lock,
            "queueing_lock": tick.queueing_lock,
            "task_name": tick.task_name,
            "priority": tick.priority,
            "periodic_id": tick.periodic_id,
            "timestamp": tick.timestamp,
            "args": json.dumps(tick.kwargs),
        }
        try:
            rows = await self._client.tending.rows(PERIODIC_DEFER, parameters, under=LOCK_SCHEDULE)
        except psycopg.errors.UniqueViolation:
            # A job with the same queueing lock is waiting: upstream's rule is to skip the tick.
            return None
        return rows[0][0] if rows else None
