"""What an operator sees of schedules and does to them. On Django's connection, in the caller's transaction.

What is done here reaches running workers by a notification when it commits, and needs no deploy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from typing import Any, LiteralString

from queue_tasks import events
from queue_tasks.caller import rows
from queue_tasks.cron import Timetable
from queue_tasks.exceptions import ScheduleInvalid, ScheduleNotFound
from queue_tasks.periodic import Schedule
from queue_tasks.statements import (
    ADD_SCHEDULE,
    LIST_SCHEDULES,
    LIST_TICKS,
    OVERRIDE_SCHEDULE,
    PAUSE_SCHEDULE,
    REMOVE_SCHEDULE,
    RESUME_SCHEDULE,
    RUN_SCHEDULE,
)
from queue_tasks.store import schedule_as_json


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """One schedule; the columns of sql/queries/list_schedules.sql."""

    name: str
    declared: bool
    """False: an operator added it."""
    task_name: str
    queue_name: str
    args: str
    """JSON text."""
    cron: str | None
    every: float | None
    """Seconds."""
    timezone: str
    override_cron: str | None
    override_every: float | None
    override_timezone: str | None
    missed: str
    """skip, latest or all."""
    max_missed: int
    overlap: str
    jitter: float
    """Seconds."""
    paused_at: datetime | None
    gone_at: datetime | None
    next_tick: datetime | None
    """None: no worker has found it yet."""
    ran_at: datetime | None
    """The newest tick that made a job."""
    job_id: int | None
    """That job's."""
    job_status: str | None
    now: datetime
    """The database's clock as it was read."""

    @property
    def overridden(self) -> bool:
        """Whether an operator has changed when it ticks."""
        return any((self.override_cron, self.override_every, self.override_timezone))

    @property
    def state(self) -> str:
        """active, paused or gone."""
        return "gone" if self.gone_at is not None else "paused" if self.paused_at is not None else "active"

    @property
    def timetable(self) -> Timetable:
        """When it ticks, overrides in place. Raises ScheduleInvalid for a row that nobody here can understand."""
        if self.override_cron is None and self.override_every is None:
            cron, every = self.cron, self.every
        else:
            cron, every = self.override_cron, self.override_every
        return Timetable(cron, every, self.override_timezone or self.timezone)

    @property
    def zone(self) -> tzinfo:
        """The time zone it is shown in; UTC when nobody here knows its own."""
        try:
            return self.timetable.zone
        except ScheduleInvalid:
            return UTC

    @property
    def in_words(self) -> str:
        """When it ticks, for people."""
        return _words(lambda: self.timetable)

    @property
    def declared_in_words(self) -> str:
        """When it would tick without an operator's override."""
        return _words(lambda: Timetable(self.cron, self.every, self.timezone))

    def preview(self, count: int) -> list[datetime]:
        """Its next ticks, in its time zone; none while it is paused or gone."""
        if self.state != "active":
            return []
        try:
            timetable = self.timetable
        except ScheduleInvalid:
            return []
        return [tick.astimezone(timetable.zone) for tick in timetable.preview(self.now, count)]


def _words(timetable: Callable[[], Timetable]) -> str:
    try:
        return timetable().in_words()
    except ScheduleInvalid as exc:
        return str(exc)


@dataclass(frozen=True, slots=True)
class TickLine:
    """What became of one tick; the columns of sql/queries/list_ticks.sql."""

    tick: datetime
    seen_at: datetime
    outcome: str
    """enqueued, run (by an operator), overlap or missed."""
    passed: int
    """Of missed: how many ticks were, this being the newest."""
    job_id: int | None
    job_status: str | None


def list_schedules(name: str | None = None, *, database: str = "default") -> list[ScheduleLine]:
    """All schedules, by name, or the one of this name. Raises ScheduleNotFound.

    SQL: sql/queries/list_schedules.sql
    """
    found = [ScheduleLine(*row) for row in rows(database, LIST_SCHEDULES, {"name": name})]
    if name is not None and not found:
        raise _not_found(name, database)
    return found


def list_ticks(name: str, count: int, *, database: str = "default") -> list[TickLine]:
    """What became of the newest ticks of a schedule, newest first; a hundred are kept.

    SQL: sql/queries/list_ticks.sql
    """
    return [TickLine(*row) for row in rows(database, LIST_TICKS, {"name": name, "max_ticks": count})]


def pause(name: str, *, database: str = "default") -> bool:
    """Keep a schedule from ticking; False when it is paused already. Raises ScheduleNotFound.

    SQL: sql/queries/pause_schedule.sql
    """
    return _changed(PAUSE_SCHEDULE, name, "paused", database)


def resume(name: str, *, database: str = "default") -> bool:
    """Let a schedule tick again, from now on; False when it was not paused. Raises ScheduleNotFound.

    SQL: sql/queries/resume_schedule.sql
    """
    return _changed(RESUME_SCHEDULE, name, "resumed", database)


def run_now(name: str, *, database: str = "default") -> int:
    """Enqueue a schedule's job now; the job's id. Raises ScheduleNotFound.

    SQL: sql/queries/run_schedule.sql
    """
    job_id: int | None = rows(database, RUN_SCHEDULE, {"name": name})[0][0]
    if job_id is None:
        raise _not_found(name, database)
    return job_id


def override(
    name: str,
    *,
    cron: str | None = None,
    every: float | None = None,
    timezone: str | None = None,
    database: str = "default",
) -> None:
    """Change when a schedule ticks, from now on, until `reset`; what is None stays as it is.

    every: seconds. Raises ScheduleInvalid, ScheduleNotFound.
    SQL: sql/queries/override_schedule.sql
    """
    line = list_schedules(name, database=database)[0]
    if cron is None and every is None:
        cron, every = line.override_cron, line.override_every
    timezone = timezone or line.override_timezone
    declared = (line.cron, line.every) if cron is None and every is None else (cron, every)
    Timetable(*declared, timezone or line.timezone)
    rows(database, OVERRIDE_SCHEDULE, {"name": name, "cron": cron, "every": every, "timezone": timezone})
    events.tell(events.ScheduleChanged, database, name, "overridden")


def reset(name: str, *, database: str = "default") -> bool:
    """Take an override back; False when there was none. Raises ScheduleNotFound.

    SQL: sql/queries/override_schedule.sql
    """
    if not list_schedules(name, database=database)[0].overridden:
        return False
    rows(database, OVERRIDE_SCHEDULE, {"name": name, "cron": None, "every": None, "timezone": None})
    events.tell(events.ScheduleChanged, database, name, "reset")
    return True


def add(schedule: Schedule, *, database: str = "default") -> bool:
    """Add a schedule that no code declares; False when the name is taken.

    Raises ScheduleInvalid, or TypeError or ValueError for arguments that the task cannot take.
    SQL: sql/queries/add_schedule.sql
    """
    added = bool(rows(database, ADD_SCHEDULE, {"schedule": schedule_as_json(schedule.as_row())}))
    if added:
        events.tell(events.ScheduleChanged, database, schedule.name, "added")
    return added


def remove(name: str, *, database: str = "default") -> bool:
    """Delete a schedule that no code declares, with its history; False when code does. Raises ScheduleNotFound.

    SQL: sql/queries/remove_schedule.sql
    """
    return _changed(REMOVE_SCHEDULE, name, "removed", database)


def as_dict(line: ScheduleLine | TickLine) -> dict[str, Any]:
    """The fields of a value of this module, by name."""
    return {field.name: getattr(line, field.name) for field in fields(line)}


def _changed(statement: LiteralString, name: str, change: str, database: str) -> bool:
    if rows(database, statement, {"name": name}):
        events.tell(events.ScheduleChanged, database, name, change)
        return True
    list_schedules(name, database=database)
    return False


def _not_found(name: str, database: str) -> ScheduleNotFound:
    return ScheduleNotFound(name, [row[0] for row in rows(database, LIST_SCHEDULES, {"name": None})])
