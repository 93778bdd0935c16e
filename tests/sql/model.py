"""The promises of the SQL functions in plain Python: a model that predicts every row, event and worker.

One job is a `Row`; a `Model` is the three tables. Each method does what the statement of its name does and returns what
that statement returns. Time is a number of seconds that only `advance` changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PARKED = math.inf
FINISHED = frozenset({"succeeded", "failed", "cancelled", "aborted"})

DEAD_AFTER, SILENT_AFTER, MAX_CRASHES, STRAY_AFTER = 1050.0, 150.0, 2, 150.0
"""What the state machine tells rescue and reclaim."""


class Handle(NamedTuple):
    """What a worker knows of a job it fetched."""

    worker: int
    job: int
    lease: int


@dataclass
class Row:
    """A job; times in seconds of the model's clock."""

    id: int
    queue: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    scheduled_at: float | None
    ephemeral: bool
    status: str = "todo"
    worker: int | None = None
    lease: int = 0
    attempts: int = 0
    crashes: int = 0
    started_lease: int | None = None
    started: bool = False
    finished: bool = False
    abort_requested: bool = False
    fetched_at: float | None = None
    expires_at: float | None = None
    result: str | None = None
    errors: int = 0
    progress: int | None = None
    events: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return self.status == "todo" and self.scheduled_at is None

    def change(self, **new: Any) -> None:
        """An update, with the events that the trigger writes."""
        old = {name: getattr(self, name) for name in new}
        for name, value in new.items():
            setattr(self, name, value)
        if not self.ephemeral:
            self.events += self._events({"status": self.status, **old})

    def _events(self, old: dict[str, Any]) -> Iterable[str]:
        was = old["status"]
        if self.abort_requested and not old.get("abort_requested", self.abort_requested):
            yield "abort_requested"
        timed = self.scheduled_at is not None and self.scheduled_at < PARKED
        moved = was != self.status or old.get("scheduled_at", self.scheduled_at) != self.scheduled_at
        if self.status == "todo" and timed and moved:
            yield "scheduled"
        if was == self.status:
            return
        if was in FINISHED:
            yield "retried"
        elif self.status == "doing":
            yield "started"
        elif self.status == "todo":
            yield "deferred_for_retry"
        else:
            yield self.status


@dataclass
class Worker:
    """A registered worker of ours."""

    beat_at: float
    locked: bool = False
    """Whether it has ever held its advisory lock."""
    holds: bool = False
    """Whether it does now."""
    busy: bool = False
    """Whether it said, when it beat, that it had a job in hand."""


@dataclass(frozen=True)
class End:
    """How an attempt ends, as finish is told. wait and keep in seconds."""

    kind: str
    wait: float = 0
    keep: float | None = None
    priority: int | None = None
    queue: str | None = None
    lock: str | None = None

    @property
    def ends(self) -> bool:
        return self.kind in {"succeeded", "failed", "aborted"}


class AlreadyWaiting(Exception):  # noqa: N818 - the model's unique_violation of a queueing lock
    """A job with the same queueing lock waits."""


class Model:
    """The tables."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: dict[int, Row] = {}
        self.workers: dict[int, Worker] = {}
        self.paused: dict[str, float] = {}
        self.limits: dict[str, int | None] = {}
        self.next_job = self.next_worker = 1

    def waits(self, queueing_lock: str | None) -> bool:
        return queueing_lock is not None and any(
            row.queueing_lock == queueing_lock and row.status == "todo" for row in self.jobs.values()
        )

    def keep_until(self, keep: float | None) -> float | None:
        return None if keep is None else self.now + keep

    # -------------------------------------------------------------------------------------------------------- enqueue

    def enqueue(self, rows: Sequence[dict[str, Any]]) -> list[int]:
        locks = [row["queueing_lock"] for row in rows if row.get("queueing_lock") is not None]
        if len(set(locks)) < len(locks) or any(self.waits(lock) for lock in locks):
            # What was inserted before the refusal has used up its numbers.
            raise AlreadyWaiting
        ids = []
        for columns in rows:
            row = Row(id=self.next_job, **{"queueing_lock": None, "ephemeral": False, **columns})
            if not row.ephemeral:
                timed = row.scheduled_at is not None and row.scheduled_at < PARKED
                row.events = ["scheduled", "deferred"] if timed else ["deferred"]
            self.jobs[row.id] = row
            self.next_job += 1
            ids.append(row.id)
        return ids

    # -------------------------------------------------------------------------------------------------------- workers

    def register(self) -> int:
        self.workers[self.next_worker] = Worker(self.now)
        self.next_worker += 1
        return self.next_worker - 1

    def unregister(self, worker: int) -> None:
        self.workers.pop(worker, None)
        for row in self.jobs.values():
            if row.worker == worker and row.status == "doing":
                row.worker = None

    def beat(self, worker: int, *, busy: bool) -> tuple[float, bool] | None:
        """For how long the most silent of the others should have given a sign of life, and whether one has a job."""
        if worker not in self.workers:
            return None
        self.workers[worker].beat_at = self.now
        self.workers[worker].busy = busy
        silence, running = 0.0, False
        for number, other in self.workers.items():
            age, fetches = self.now - other.beat_at, self.fetches(number)
            if number == worker:
                continue
            if age > DEAD_AFTER or (other.locked and other.busy):
                silence = max(silence, age)
            elif other.locked and fetches:
                silence = max(silence, min(age, self.now - max(fetches)))
            elif other.locked and age >= 2 * SILENT_AFTER:
                silence = max(silence, age)
            running |= other.locked and age <= DEAD_AFTER and (other.busy or bool(fetches))
        return silence, running

    def fetches(self, worker: int) -> list[float]:
        """When it took the jobs that run under it."""
        rows = [row for row in self.jobs.values() if row.worker == worker and row.status == "doing"]
        return [row.fetched_at for row in rows if row.fetched_at is not None]

    def dead(self) -> set[int]:
        return {number for number, worker in self.workers.items() if self.is_dead(number, worker)}

    def is_dead(self, number: int, worker: Worker) -> bool:
        age, fetches = self.now - worker.beat_at, self.fetches(number)
        if age > DEAD_AFTER or not worker.locked or worker.holds or age <= SILENT_AFTER:
            return age > DEAD_AFTER
        if worker.busy:
            return True
        return self.now - max(fetches) > SILENT_AFTER if fetches else age >= 2 * SILENT_AFTER

    # ---------------------------------------------------------------------------------------------------------- fetch

    def heads(self) -> set[int]:
        """The jobs that may start: those without a lock, and the first of each lock that nobody holds."""
        held = {row.lock for row in self.jobs.values() if row.status == "doing"}
        first: dict[str, Row] = {}
        free = set()
        for row in sorted(self.jobs.values(), key=lambda row: (-row.priority, row.id)):
            if row.ready and row.lock is None:
                free.add(row.id)
            elif row.ready and row.lock not in held:
                first.setdefault(str(row.lock), row)
        return free | {row.id for row in first.values()}

    def fetch(self, worker: int, queues: Sequence[str] | None, max_jobs: int) -> list[Handle]:
        line = [self.jobs[number] for number in self.heads()]
        line = [row for row in line if (queues is None or row.queue in queues) and not self.is_paused(row.queue)]
        handles: list[Handle] = []
        for row in sorted(line, key=lambda row: (-row.priority, row.id)):
            if len(handles) == max_jobs or not self.has_room(row.queue):
                continue
            row.change(status="doing", worker=worker, lease=row.lease + 1, started=True, fetched_at=self.now)
            handles.append(Handle(worker, row.id, row.lease))
        return handles

    def is_paused(self, queue: str) -> bool:
        return self.paused.get(queue, -math.inf) > self.now

    def has_room(self, queue: str) -> bool:
        """Whether another of its jobs may run."""
        limit = self.limits.get(queue)
        running = sum(row.queue == queue and row.status == "doing" for row in self.jobs.values())
        return limit is None or running < limit

    def resumes_in(self) -> float | None:
        """Seconds until the first pause ends that has an end."""
        ends = [end for end in self.paused.values() if self.now < end < PARKED]
        return min(ends) - self.now if ends else None

    def owns(self, handle: Handle) -> bool:
        row = self.jobs.get(handle.job)
        return row is not None and (row.status, row.worker, row.lease) == ("doing", handle.worker, handle.lease)

    def note_start(self, handle: Handle) -> bool:
        if self.owns(handle):
            self.jobs[handle.job].started_lease = handle.lease
        return self.owns(handle)

    def note_progress(self, handle: Handle, progress: int) -> bool:
        if self.owns(handle):
            self.jobs[handle.job].progress = progress
        return self.owns(handle)

    # --------------------------------------------------------------------------------------------------------- finish

    def finish(self, ends: dict[Handle, End]) -> dict[int, str]:
        written = {}
        for handle in sorted(filter(self.owns, ends), key=lambda handle: handle.job):
            written[handle.job] = self._finish(self.jobs[handle.job], ends[handle])
        return written

    def _finish(self, row: Row, end: End) -> str:
        if end.kind == "succeeded" and end.keep == 0:
            del self.jobs[row.id]
            return "succeeded"
        aborted = row.abort_requested and not end.ends
        status = end.kind if end.ends else "aborted" if aborted else "todo"
        over = status != "todo"
        row.change(
            status=status,
            abort_requested=False,
            scheduled_at=self.now + end.wait if not over and end.wait else None,
            attempts=row.attempts + (end.kind not in {"snoozed", "released"}),
            priority=row.priority if end.priority is None else end.priority,
            queue=end.queue or row.queue,
            lock=end.lock or row.lock,
            queueing_lock=None if not over and self.waits(row.queueing_lock) else row.queueing_lock,
            worker=None if end.kind == "released" else row.worker,
            started=not (end.kind == "released" and row.attempts == 0),
            finished=over,
            expires_at=self.keep_until(end.keep) if over and status != "failed" else None,
            result='"done"' if end.kind == "succeeded" else None,
            errors=row.errors + (end.kind in {"failed", "aborted", "retried"}),
        )
        return status

    # ------------------------------------------------------------------------------------------------------ operators

    def cancel(self, ids: Iterable[int], keep: float | None) -> set[int]:
        found = {number for number in ids if number in self.jobs and self.jobs[number].status == "todo"}
        for number in found:
            self.jobs[number].change(
                status="cancelled", scheduled_at=None, finished=True, expires_at=self.keep_until(keep)
            )
        return found

    def abort(self, ids: Iterable[int], keep: float | None) -> dict[int, str]:
        found = {}
        for number in ids:
            row = self.jobs.get(number)
            if row is not None and row.status == "doing":
                row.change(abort_requested=True)
            elif not self.cancel([number], keep):
                continue
            found[number] = self.jobs[number].status
        return found

    def retry(self, ids: Iterable[int]) -> set[int]:
        found = set()
        for number in sorted(set(ids) & self.jobs.keys()):
            row = self.jobs[number]
            waiting = row.status == "todo" and row.scheduled_at is not None and row.scheduled_at < PARKED
            if row.status not in FINISHED and not waiting:
                continue
            found.add(number)
            row.change(
                status="todo",
                scheduled_at=None,
                queueing_lock=row.queueing_lock if waiting or not self.waits(row.queueing_lock) else None,
                abort_requested=False,
                finished=False,
                expires_at=None,
                result=None,
                crashes=0,
                progress=None,
            )
        return found

    # ---------------------------------------------------------------------------------------------------- maintenance

    def rescue(self, keep: float | None, max_jobs: int) -> dict[int, str]:
        dead = self.dead()
        stranded = [row for row in self.jobs.values() if row.status == "doing" and row.worker in {None, *dead}]
        found = {}
        for row in sorted(stranded, key=lambda row: row.id)[:max_jobs]:
            ran = row.started_lease == row.lease
            crashes = row.crashes + (row.crashes == 0 or ran)
            poison = row.crashes > 0 and ran and crashes >= MAX_CRASHES
            status = "failed" if poison else "aborted" if row.abort_requested else "todo"
            row.change(
                status=status,
                abort_requested=False,
                worker=None,
                crashes=crashes,
                queueing_lock=None if status == "todo" and self.waits(row.queueing_lock) else row.queueing_lock,
                started=row.started and (row.attempts > 0 or status != "todo"),
                finished=status != "todo",
                expires_at=self.keep_until(keep) if status == "aborted" else None,
                errors=row.errors + poison,
            )
            found[row.id] = status
        for worker in dead:
            if not any(row.status == "doing" and row.worker == worker for row in self.jobs.values()):
                self.unregister(worker)
        return found

    def reclaim(self, worker: int, in_hand: Iterable[int], keep: float | None) -> set[int]:
        found = set()
        for row in sorted(self.jobs.values(), key=lambda row: row.id):
            mine = row.status == "doing" and row.worker == worker and row.id not in set(in_hand)
            if not mine or row.fetched_at is None or self.now - row.fetched_at <= STRAY_AFTER:
                continue
            aborted = row.abort_requested
            row.change(
                status="aborted" if aborted else "todo",
                abort_requested=False,
                worker=None,
                queueing_lock=None if not aborted and self.waits(row.queueing_lock) else row.queueing_lock,
                started=row.started and (row.attempts > 0 or aborted),
                finished=aborted,
                expires_at=self.keep_until(keep) if aborted else None,
            )
            found.add(row.id)
        return found

    def due(self) -> set[int]:
        return {
            row.id
            for row in self.jobs.values()
            if row.status == "todo" and row.scheduled_at is not None and row.scheduled_at <= self.now
        }

    def promote(self) -> tuple[int, float | None]:
        """How many, and the seconds until the next is due."""
        found = self.due()
        for number in found:
            self.jobs[number].change(scheduled_at=None)
        later = [
            row.scheduled_at
            for row in self.jobs.values()
            if row.status == "todo" and row.scheduled_at is not None and row.scheduled_at < PARKED
        ]
        return len(found), min(later) - self.now if later else None

    def prune(self) -> int:
        found = [
            row.id
            for row in self.jobs.values()
            if row.expires_at is not None and row.expires_at <= self.now and row.status in FINISHED - {"failed"}
        ]
        for number in found:
            del self.jobs[number]
        return len(found)
