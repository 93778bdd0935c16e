"""Maintenance: the small duties every worker does beside its jobs. There is no leader: whoever comes first does them.

promote   scheduled jobs become ready at their time, on a timer set to the next one; and paused queues are open again
abort     running jobs whose abort was asked for are told
rescue    running jobs of dead workers, and what this worker has lost track of, are taken back
prune     finished jobs are deleted when their time to be kept is over; the server's notifications are kept moving
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence

from queue_tasks.conf import Options
from queue_tasks.events import JobsRescued, publish
from queue_tasks.store import MaintenanceStore
from queue_tasks.worker.lookout import Find, Lookout, Sight
from queue_tasks.worker.notify_queue import NotifyQueueWatch
from queue_tasks.worker.service import Service, wait_for
from queue_tasks.worker.silence import silent_after

logger = logging.getLogger("queue_tasks.worker")

RESCUE_EVERY = 30.0
"""Seconds between looks for dead workers that neither a late heartbeat nor a look around has asked for."""

RECLAIM_EVERY = 60.0
"""Seconds between looks for jobs this worker has lost track of that no failed fetch and no look around asked for."""

RESCUE_SPREAD = 0.2
"""Seconds over which the workers that notice the same death spread their looks."""

RECLAIM_LATER = 1.0
"""Seconds until a look for lost jobs that came in the midst of a fetch, or after one that failed, is made."""

RESCUE_CHUNK = 1000
"""Jobs taken back in one statement."""

PROMOTE_CHUNK = 1000
"""Jobs made ready in one statement."""

POLLS_WHEN_HEARING = 6
"""Poll intervals between a promoter's looks for jobs it was not told of while it would be told of them."""

LONGEST_WHEN_HEARING = 120.0
"""Seconds between a promoter's looks at the most, where no look around is made in their place: of a job that is due in
five minutes or later workers are not told (sql/functions/queue_tasks_tell_scheduled_v1.sql)."""

PRUNE_CHUNK = 500
"""Rows deleted in one statement: each is a short transaction."""

PRUNE_EVERY = 60.0
"""Seconds between prunes."""

LOOK_COUNTS_FOR = 10.0
"""Seconds for which what a look around has found is news to the pruner; a look comes more often, if any does."""


class Promoter(Service):
    """Makes scheduled jobs ready at their time. `wake` when a job was scheduled: the timer may be too late for it.

    Of a job that is due much later no worker is told: this one looks before, or a look around says when it is due.

    Knows also when the pause of a queue ends by itself; `reconsider` when an operator has decided something.
    on_promoted: called when there may be jobs to fetch that nobody has been told of.
    hears: whether such a wake-up can be relied on; then it looks less often without.
    """

    name = "promoter"

    def __init__(
        self,
        store: MaintenanceStore,
        poll_interval: float,
        on_promoted: Callable[[], None],
        hears: Callable[[], bool] = lambda: False,
        lookout: Lookout | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._poll_interval = poll_interval
        self._on_promoted = on_promoted
        self._hears = hears
        self._lookout = lookout or Lookout()
        self._lookout.call(Find.DUE, self.wake)
        self._lookout.hear(self._note)
        self._wake = asyncio.Event()
        # When the job is due that the timer stands on, by the database's clock.
        self._next_due_at = math.inf
        self._resumes_at: float | None = None
        self._changed = False

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def reconsider(self) -> None:
        """Look now, and have the fetcher look after that: a pause may have begun and ended before we heard of it."""
        self._changed = True
        self._wake.set()

    def _note(self, sight: Sight) -> None:
        if sight.next_due_at is not None and sight.next_due_at < self._next_due_at:
            self.wake()

    async def run(self) -> None:
        """Promote what is due; sleep until the next is or a pause ends, until woken, or for a poll interval."""
        while True:
            self._wake.clear()
            changed, self._changed = self._changed, False
            found = await self._store.promote_jobs(PROMOTE_CHUNK)
            self._next_due_at = math.inf if found.next_due_at is None else found.next_due_at
            # A pause that is the next to end no more has ended, before this answer.
            ended = self._resumes_at is not None and self._resumes_at != found.resumes_at
            self._resumes_at = found.resumes_at
            if found.promoted or ended or changed:
                self._on_promoted()
            if found.promoted == PROMOTE_CHUNK:
                continue
            longest = self._poll_interval
            if self._hears():
                longest = min(POLLS_WHEN_HEARING * longest, LONGEST_WHEN_HEARING)
            known = [when for when in (found.next_due_in, found.resumes_in) if when is not None]
            # Due and not promoted: another worker is at it.
            await self._lookout.poll(Find.DUE, self._wake, longest, max(min(known, default=math.inf), 0.002))


class Aborter(Service):
    """Finds this worker's running jobs whose abort was asked for. Polls only while something runs."""

    name = "aborter"

    def __init__(
        self,
        store: MaintenanceStore,
        poll_interval: float,
        on_abort: Callable[[int, int], None],
        busy: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._store = store
        self._poll_interval = poll_interval
        self._on_abort = on_abort
        self._busy = busy
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def run(self) -> None:
        """Look when woken, and every poll interval."""
        while True:
            await wait_for(self._wake, self._poll_interval)
            self._wake.clear()
            if self._busy():
                for job_id, lease in await self._store.aborting_jobs():
                    self._on_abort(job_id, lease)


class Rescuer(Service):
    """Takes back the jobs of dead workers, and this worker's own that it does not know of.

    It looks when the heartbeat has seen that another worker's is late, when a look around has found a lost job, when it
    starts, and seldom besides: an idle fleet asks next to nothing.
    in_hand gives the ids of the jobs that this worker has fetched and whose outcome is not written; None while it
    waits for the answer to a fetch.
    """

    name = "rescuer"

    def __init__(
        self,
        store: MaintenanceStore,
        options: Options,
        in_hand: Callable[[], Sequence[int] | None],
        lookout: Lookout | None = None,
    ) -> None:
        super().__init__()
        self._lookout = lookout or Lookout()
        self._lookout.call(Find.LOST, self.note_lost)
        self._store = store
        self._options = options
        self._in_hand = in_hand
        self._silent_after = silent_after(options)
        self._rescue_at = 0.0
        self._reclaim_at = time.monotonic() + RECLAIM_EVERY
        # Whether there is a reason to, and not only a time.
        self._rescue_asked = True
        self._reclaim_asked = False
        self._failed_at = 0.0
        self._changed = asyncio.Event()

    def note_silence(self, seconds: float) -> None:
        """Some worker has given no sign of life for so long: look when it may be dead."""
        wait = max(0.0, self._silent_after - seconds) + random.uniform(0, RESCUE_SPREAD)  # noqa: S311 - jitter
        self._rescue_at = time.monotonic() + wait
        self._rescue_asked = True
        self._changed.set()

    def note_lost(self) -> None:
        """A look has found jobs that run under nobody, or under this worker when it had none in hand."""
        self._rescue_asked = self._reclaim_asked = True
        self._rescue_at = 0.0
        self._reclaim_at = min(self._reclaim_at, time.monotonic() + RECLAIM_LATER)
        self._changed.set()

    def note_failed_fetch(self) -> None:
        """The answer to a fetch was lost, perhaps jobs with it: look for them soon, and until it is over for sure."""
        self._failed_at = time.monotonic()
        self._reclaim_asked = True
        self._reclaim_at = min(self._reclaim_at, self._failed_at + RECLAIM_LATER)
        self._changed.set()

    async def run(self) -> None:
        """Look at once, and whenever it is time to."""
        self._rescue_at, self._rescue_asked = 0.0, True
        while True:
            if time.monotonic() >= self._rescue_at:
                self._rescue_at = time.monotonic() + RESCUE_EVERY * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
                asked, self._rescue_asked = self._rescue_asked, False
                if asked or not self._lookout.saw_nothing(Find.LOST, RESCUE_EVERY):
                    await self._rescue()
            if time.monotonic() >= self._reclaim_at:
                # The server may go on with a statement whose connection is gone.
                uncertain = time.monotonic() < self._failed_at + self._options.statement_timeout + RECLAIM_LATER
                self._reclaim_at = time.monotonic() + (RECLAIM_LATER if uncertain else RECLAIM_EVERY)
                asked, self._reclaim_asked = self._reclaim_asked, uncertain
                if asked or not self._lookout.saw_nothing(Find.LOST, RECLAIM_EVERY):
                    await self._reclaim()
            self._changed.clear()
            wait = min(self._rescue_at, self._reclaim_at) - time.monotonic()
            if wait > 0:
                await wait_for(self._changed, wait)

    async def _rescue(self) -> None:
        options = self._options
        rescued = None
        while rescued is None or len(rescued) == RESCUE_CHUNK:
            rescued = await self._store.rescue_jobs(
                dead_after=options.dead_after,
                silent_after=self._silent_after,
                max_crashes=options.max_crashes,
                keep=options.keep_seconds,
                max_jobs=RESCUE_CHUNK,
            )
            for worker_id in {job.worker_id for job in rescued}:
                mine = [job for job in rescued if job.worker_id == worker_id]
                failed = [job.id for job in mine if job.status == "failed"]
                logger.warning(
                    "worker %s is dead; %d of its jobs were taken back%s",
                    worker_id if worker_id is not None else "(unregistered)",
                    len(mine),
                    f", {len(failed)} of them failed for crashing it again and again: {failed[:20]}" if failed else "",
                )
                publish(JobsRescued(self.worker_id, worker_id, tuple(job.id for job in mine), tuple(failed)))

    async def _reclaim(self) -> None:
        in_hand = self._in_hand()
        if in_hand is None:
            self._reclaim_at = time.monotonic() + RECLAIM_LATER
            self._reclaim_asked = True
            return
        # Sent before any other fetch can be: whatever is ours and not in our hand now was lost.
        strays = await self._store.reclaim_jobs(in_hand, older_than=0.0, keep=self._options.keep_seconds)
        if strays:
            logger.warning(
                "%d jobs were running under this worker without its knowing and are ready again: %s",
                len(strays),
                strays[:20],
            )


class Pruner(Service):
    """Deletes finished jobs whose time to be kept is over, in small chunks, about once a minute if there may be any.

    hears: whether a listener looks after the server's queue of notifications; else that is done here.
    """

    name = "pruner"

    def __init__(
        self, store: MaintenanceStore, hears: Callable[[], bool] = lambda: False, lookout: Lookout | None = None
    ) -> None:
        super().__init__()
        self._store = store
        self._lookout = lookout or Lookout()
        self._hears = hears
        self._watch = NotifyQueueWatch()

    async def run(self) -> None:
        """Prune, now and then; workers that started together do not prune together."""
        while True:
            await asyncio.sleep(PRUNE_EVERY * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            if not self._hears():
                self._watch.note(self.worker_id, await self._store.notify_usage())
            deleted = 0 if self._lookout.saw_nothing(Find.EXPIRED, LOOK_COUNTS_FOR) else PRUNE_CHUNK
            while deleted == PRUNE_CHUNK:
                deleted = await self._store.prune_jobs(PRUNE_CHUNK)
