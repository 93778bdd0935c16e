"""Finisher: gathers how attempts ended and writes them, many in one statement, under their fence.

At once when idle; under load, what ends while one write is under way, and for a few milliseconds more, goes into the
next. An outcome is tried until it is written or fenced off; one that the database refuses, or whose row somebody holds,
never harms the others. When the answer to a write was lost, the rows tell what became of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from queue_tasks.database_errors import (
    brief,
    is_doubtful,
    is_of_the_moment,
    is_of_the_value,
    is_perhaps_of_one,
    waited_for_a_lock,
)
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.store import JobStore, Written
from queue_tasks.worker.failures import describe, in_ascii
from queue_tasks.worker.joblog import fields
from queue_tasks.worker.service import Service, wait_for

logger = logging.getLogger("queue_tasks.worker")

MAX_BATCH = 1000
"""Outcomes in one statement."""

LINGER = 0.003
"""Seconds to gather more when the last write was large: from its answer on, or from the first outcome after it."""

LINGER_ABOVE = 3
"""Outcomes in the last write from which lingering pays."""

FIRST_WAIT = 0.05
"""Seconds until the first new try."""

LONGEST_WAIT = 5.0
"""Seconds between tries at the most."""

PROBES = 12
"""Refusals in a row, for want of disk or memory, after which it is not one row of many: enough to halve MAX_BATCH."""

SPACING = 0.1
"""Seconds between tries of what is put aside for want of disk or memory, however much it is."""

GIVE_UP_AFTER = 30.0
"""Seconds for which a worker that stops unasked tries to write its last outcomes; else the time of grace decides."""


class Finisher(Service):
    """on_written is called with each batch and the statuses of the rows that were still ours, by job id."""

    name = "finisher"

    def __init__(self, store: JobStore, on_written: Callable[[Sequence[Written], dict[int, str]], None]) -> None:
        super().__init__()
        self._store = store
        self._on_written = on_written
        self.patience = GIVE_UP_AFTER
        """Seconds to write what is left when it stops."""
        self._pending: list[Written] = []
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._last_size = 0
        # When the write began that has no answer yet, and when the last one had its answer.
        self._sent_at: float | None = None
        self._answered_at = 0.0
        # Seconds until the next try, while the database takes nothing.
        self._wait = FIRST_WAIT
        # How often it was refused in a row for want of disk or memory, perhaps of one large row.
        self._shortages = 0
        # Tries of outcomes that the database refused by themselves, by job and lease; each waits for its next alone.
        self._aside: dict[tuple[int, int], int] = {}
        # Outcomes, by job and lease, of which an earlier try may have been written without our hearing of it.
        self._doubtful: set[tuple[int, int]] = set()
        # How many of those aside wait at this moment, and are not pending again.
        self._resting = 0

    def put(self, job: FetchedJob, outcome: Outcome) -> None:
        """Take the outcome of one attempt, to be written soon."""
        error = None if outcome.error is None else describe(outcome.error, job, self.worker_id)
        if outcome.perhaps is not None:
            self._doubtful.add((job.id, job.lease))
        self._pending.append((job, outcome, error))
        self._some.set()
        self._idle.clear()

    @property
    def backlog(self) -> int:
        """Outcomes that wait to be written."""
        return len(self._pending) + self._resting

    @property
    def pending_ids(self) -> list[int]:
        """The jobs whose outcomes wait to be written."""
        return list({job.id for job, _, _ in self._pending} | {job_id for job_id, _ in self._aside})

    async def flush(self) -> None:
        """Return when everything put so far is written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write what is pending, as long as the worker lives."""
        while True:
            # What came while a write was under way has been gathered since; what follows from that one took its time.
            since = self._answered_at
            if not self._some.is_set():
                await self._some.wait()
                since = time.monotonic()
            if self._last_size > LINGER_ABOVE and len(self._pending) < MAX_BATCH:
                await asyncio.sleep(since + LINGER - time.monotonic())
            await self._write_pending()

    async def stop(self) -> None:
        """Write what is left, then end."""
        # A write that has waited for long already gets no more time, so that the next one has all there is.
        waited = 0.0 if self._sent_at is None else time.monotonic() - self._sent_at
        first = max(0.0, self.patience / 2 - waited)
        if not await wait_for(self._idle, first):
            # Perhaps it waits for a connection that is lost without a word; what the server has got is recognised.
            self._store.break_off_finish()
            if not await wait_for(self._idle, self.patience - first):
                logger.error(
                    "could not write %d outcomes within %.1f s of stopping; their jobs will be rescued and run again",
                    self.backlog,
                    self.patience,
                )
        await super().stop()

    async def _write_pending(self) -> None:
        batch = self._pending[:MAX_BATCH]
        await self._write(batch)
        del self._pending[: len(batch)]
        self._last_size = len(batch)
        if not self._pending:
            self._some.clear()
            if not self._aside:
                self._idle.set()

    async def _write(self, batch: list[Written]) -> None:
        """Return when each outcome is written, fenced off, or put aside."""
        while batch:
            try:
                batch, written = await self._finish(batch)
            except Exception as exc:  # noqa: BLE001 - whatever cannot be sent concerns one outcome, not the finisher
                free = await self._put_held_aside(batch, exc) if waited_for_a_lock(exc) else batch
                if free is not None and len(free) < len(batch):
                    batch = free
                elif free is None or (is_of_the_moment(exc) and not is_perhaps_of_one(exc)):
                    await self._rest(len(batch), exc)
                else:
                    await self._divide(batch, exc)
                    return
            else:
                self._wait, self._shortages = FIRST_WAIT, 0
                if self._aside:
                    for job, _, _ in batch:
                        self._aside.pop((job.id, job.lease), None)
                self._on_written(batch, written)
                return

    async def _divide(self, batch: list[Written], error: Exception) -> None:
        """Write the halves of a batch that was refused, or put its only outcome aside."""
        if is_perhaps_of_one(error):
            self._shortages += 1
            if self._shortages > PROBES:
                await self._rest(len(batch), error)
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
        else:
            self._put_aside(batch[0], error)

    async def _rest(self, size: int, error: Exception) -> None:
        """Wait before the next try, longer each time until something is written."""
        wait = self._wait
        logger.warning("finish of %d jobs failed (%s); trying again in %.2f s", size, brief(error), wait)
        await asyncio.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311 - jitter
        self._wait = min(LONGEST_WAIT, wait * 2)

    async def _finish(self, batch: list[Written]) -> tuple[list[Written], dict[int, str]]:
        """Write a batch once; what is written now, by this or an earlier try, and the rows' statuses."""
        self._sent_at = time.monotonic()
        try:
            written = await self._store.finish_jobs(batch)
        except Exception as exc:
            if is_doubtful(exc):
                self._doubtful.update((job.id, job.lease) for job, _, _ in batch)
            raise
        finally:
            self._sent_at, self._answered_at = None, time.monotonic()
        return await self._recognise(batch, written) if self._doubtful else (batch, written)

    async def _recognise(self, batch: list[Written], written: dict[int, str]) -> tuple[list[Written], dict[int, str]]:
        """The batch as it stands in the rows, with what an earlier try has written whose answer was lost."""
        missing = [one for one in batch if one[0].id not in written and (one[0].id, one[0].lease) in self._doubtful]
        if missing:
            # Should this fail, so that all are tried again: the others are written now, and will be missing then.
            self._doubtful.update((job.id, job.lease) for job, _, _ in batch)
            found = await self._store.find_written(missing)
            # A row that is gone was deleted by its success.
            found |= {job.id: "succeeded" for job, outcome, _ in missing if job.id not in found and _vanishes(outcome)}
            batch = [
                (job, outcome.perhaps, None)
                if outcome.perhaps is not None and job.id in found
                else (job, outcome, error)
                for job, outcome, error in batch
            ]
            written = written | found
        self._doubtful.difference_update((job.id, job.lease) for job, _, _ in batch)
        return batch, written

    async def _put_held_aside(self, batch: list[Written], error: Exception) -> list[Written] | None:
        """Put aside the outcomes whose rows another session holds; the others. None: it cannot be told which."""
        try:
            held = await self._store.held_jobs([job.id for job, _, _ in batch])
        except Exception as exc:  # noqa: BLE001 - the table itself is locked, or the database goes away
            logger.warning("which rows are locked could not be found out: %s", brief(exc))
            return None
        for one in batch:
            if one[0].id in held:
                self._put_aside(one, error)
        return [one for one in batch if one[0].id not in held]

    def _put_aside(self, refused: Written, error: Exception) -> None:
        """Try an outcome that the database refuses by itself again later, or what can be written in its place."""
        job, outcome, _ = refused
        key = (job.id, job.lease)
        tries = self._aside[key] = self._aside.get(key, 0) + 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2**tries)
        if is_perhaps_of_one(error):
            wait = max(wait, SPACING * len(self._aside))
        wait *= random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        logger.error(
            "the outcome %s of job %d was refused (%s); trying again in %.2f s",
            outcome.kind.value,
            job.id,
            brief(error),
            wait,
            extra=fields(job, self.worker_id),
        )
        if is_of_the_value(error):
            refused = self._in_place_of(refused, error)
        self._resting += 1
        asyncio.get_running_loop().call_later(wait, self._again, refused)

    def _in_place_of(self, refused: Written, error: Exception) -> Written:
        """What may be written where the database cannot hold an outcome: its error in ASCII; else that it failed."""
        job, outcome, described = refused
        if described is not None and (plain := in_ascii(described)) != described:
            return job, outcome, plain
        if outcome.kind is OutcomeKind.FAILED:
            return refused
        failed = Outcome(OutcomeKind.FAILED, time.monotonic(), outcome.started, error=error, perhaps=outcome.perhaps)
        return job, failed, in_ascii(describe(error, job, self.worker_id))

    def _again(self, refused: Written) -> None:
        self._resting -= 1
        self._pending.append(refused)
        self._some.set()


def _vanishes(outcome: Outcome) -> bool:
    """Whether a job of this outcome, or of what may have been written in its place, is deleted when it is written."""
    told = outcome.perhaps or outcome
    return told.kind is OutcomeKind.SUCCEEDED and told.keep == 0
