"""Scheduler: sees to it that each tick of each schedule makes its job, on time and once.

Every worker may, and there is no leader: what a schedule is and how far it is stands in its row, and one function of
the database sees to its ticks in one transaction. Who comes second finds them seen to. The database's clock decides.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from queue_tasks.bridge import PeriodicTick, PeriodicTicks
from queue_tasks.conf import Options
from queue_tasks.cron import Timetable, plan
from queue_tasks.database_errors import StatementRefused, brief, is_of_the_moment, is_of_the_value
from queue_tasks.exceptions import ScheduleInvalid
from queue_tasks.periodic import rows_for
from queue_tasks.store import DueSchedule, ScheduleStore
from queue_tasks.tending import close_all
from queue_tasks.worker.lookout import Find, Lookout
from queue_tasks.worker.service import Service

logger = logging.getLogger("queue_tasks.worker")

MAX_SCHEDULES = 100
"""Schedules seen to between two looks."""

SPREAD = 0.1
"""Seconds between the starts of jobs for several missed ticks, so that a long outage does not end in a storm."""

AGAIN = 0.02
"""Seconds until the next look when another worker was at what is due."""

POLLS_WITHOUT_SCHEDULES = 6
"""Poll intervals between looks where nothing ticks, and a schedule that is added would be told of."""

CHANGES = {
    "added": "is new",
    "changed": "has changed",
    "back": "is declared again",
    "gone": "is not declared any more, and does not tick",
}


class Scheduler(Service):
    """Sleeps from tick to tick. `wake` when schedules were changed: the timer may be wrong for them.

    hears: whether such a wake-up can be relied on; then it looks less often where there is no schedule at all.
    """

    name = "scheduler"

    def __init__(
        self,
        store: ScheduleStore,
        options: Options,
        hears: Callable[[], bool] = lambda: False,
        lookout: Lookout | None = None,
    ) -> None:
        super().__init__()
        self._hears = hears
        self._lookout = lookout or Lookout()
        self._lookout.call(Find.TICKS, self.wake)
        self._store = store
        self._database = options.database
        self._poll_interval = options.poll_interval
        self._wake = asyncio.Event()
        self._synced = False
        self._wrong: set[tuple[int, int]] = set()
        """(id, revision) of rows that cannot be understood; said once, and left to a worker that can."""
        self._stock = PeriodicTicks()
        # procrastinate's that are due and not enqueued yet: kept until they are, also when the database is away.
        self._stock_due: list[PeriodicTick] = []

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Bring the declared schedules to the database; then see to what is due, and sleep until something is."""
        # Once, and not whenever the connection was lost: meanwhile a newer release may have declared others.
        if not self._synced:
            await self._sync()
            self._synced = True
        while True:
            self._wake.clear()
            longest, known = await self._look()
            await self._lookout.poll(Find.TICKS, self._wake, longest, max(known, 0.001))

    async def _sync(self) -> None:
        # Not on the loop: a lock may ask the database.
        declared, wrong = await asyncio.to_thread(_declared_for, self._database)
        for problem in wrong:
            logger.error("%s It does not tick.", problem)
        for name, change in await self._store.sync_schedules(declared):
            logger.info('schedule "%s" %s', name, CHANGES.get(change, change))

    async def _look(self) -> tuple[float, float]:
        """See to what is due; the seconds until the next look at the latest, and until something is known to be due."""
        now, next_in, found = await self._store.due_schedules(MAX_SCHEDULES)
        read_at = time.monotonic()
        due = [schedule for schedule in found if (schedule.id, schedule.revision) not in self._wrong]
        fired = 0
        refused: list[Exception] = []
        for schedule in due:
            try:
                fired += await self._fire(schedule, now)
            except StatementRefused as exc:
                # What the database has against the job of one schedule does not keep the others from ticking.
                if is_of_the_moment(exc):
                    raise
                logger.error('schedule "%s" was refused its job: %s', schedule.name, brief(exc))  # noqa: TRY400 - that is all
                refused.append(exc)
        longest = self._longest(any_declared=bool(found) or next_in is not None)
        known = await self._defer_stock(now.timestamp(), read_at, refused)
        if refused:
            raise refused[0]
        if self._stock.any:
            # Those tick by this process's clock, which no look around reads.
            known = min(known, longest)
        if next_in is not None:
            known = min(known, next_in - (time.monotonic() - read_at))
        if due:
            known = 0.0 if fired else min(known, AGAIN)
        return longest, known

    def _longest(self, *, any_declared: bool) -> float:
        """Seconds it may sleep; beside a schedule a poll interval: a clock may be moved, or a notification be lost."""
        ticks = any_declared or self._stock.any
        return self._poll_interval * (1 if ticks or not self._hears() else POLLS_WITHOUT_SCHEDULES)

    async def _fire(self, schedule: DueSchedule, now: datetime) -> bool:
        """See to the ticks of one schedule; whether it was we who did."""
        try:
            timetable = Timetable(schedule.cron, schedule.every, schedule.timezone)
        except ScheduleInvalid as exc:
            self._wrong.add((schedule.id, schedule.revision))
            logger.error('schedule "%s" does not tick here: %s', schedule.name, exc)  # noqa: TRY400 - that is all
            return False
        what = plan(timetable, schedule.last_tick, now, schedule.missed, schedule.max_missed)
        seen = await self._store.fire_schedule(schedule, what, SPREAD)
        if what.passed and seen:
            logger.warning('schedule "%s": %d missed ticks were passed over', schedule.name, what.passed)
        return bool(seen)

    async def _defer_stock(self, now: float, read_at: float, refused: list[Exception]) -> float:
        """Enqueue what is due of procrastinate's periodic tasks; the seconds until the next.

        now: since 1970. refused: what the database has said of those that it does not take at this moment is put there.
        """
        if not self._stock.any:
            return math.inf
        self._stock_due += self._stock.due(now)
        held = set()
        for tick in tuple(self._stock_due):
            which = tick.task_name, tick.periodic_id
            if which in held:
                # One that was refused would be forgotten once a later one of its own is enqueued.
                continue
            try:
                await self._store.defer_tick(tick)
            except Exception as exc:
                if is_of_the_moment(exc):
                    raise
                if not is_of_the_value(exc):
                    refused.append(exc)
                    held.add(which)
                    continue
                logger.error("the tick of %s has arguments that no job can have: %s", tick.task_name, brief(exc))  # noqa: TRY400 - that is all
            self._stock_due.remove(tick)
        return self._stock.seconds_to_next(now + time.monotonic() - read_at)


def _declared_for(database: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        return rows_for(database)
    finally:
        close_all()
