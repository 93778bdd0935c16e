"""TaskContext: what a task with `takes_context=True` is given, and how progress is told."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from queue_tasks import compat
from queue_tasks.arguments import decode
from queue_tasks.results import TaskResult
from queue_tasks.worker.attempt import Attempt
from queue_tasks.worker.failures import MAX_MESSAGE, storable


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext(compat.TaskContext):  # type: ignore[misc,type-arg] # the stubs take it for mutable
    """Django's context (`attempt`, `task_result`) and ours. Usable from the body's thread as from the loop."""

    run: Attempt

    @property
    def job_id(self) -> str:
        """The job's id, as `result.id`."""
        return str(self.run.job.id)

    @property
    def deadline(self) -> datetime | None:
        """When the task's timeout ends this attempt; None: it has none."""
        if self.run.deadline is None:
            return None
        return timezone.now() + timedelta(seconds=self.run.deadline - time.monotonic())

    @property
    def scheduled_for(self) -> datetime | None:
        """The tick of its schedule that the job is for, in UTC; None when no schedule made it."""
        meta = decode(self.run.job.meta or "{}")
        tick = meta.get("scheduled_for") if isinstance(meta, dict) else None
        return None if tick is None else datetime.fromisoformat(tick).astimezone(UTC)

    def should_abort(self) -> bool:
        """Whether the task should end as soon as it can: told to abort, the worker stops, or its time is over."""
        return self.run.should_abort()

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the task has come; it is written soon, and shown by `result.progress`.

        done, total: finite numbers of any unit; ValueError otherwise. message: its first 1,000 characters are kept.
        Costs little to call often: only the newest is written, a few times a second.
        """
        note = note_of(done, total, message)
        if not self.run.ended:
            self.run.note_progress(self.run.job, note)


def note_of(done: float, total: float | None, message: str) -> dict[str, Any]:
    """A note of progress as it is written. Raises ValueError for what is no finite number."""
    return {
        "done": _number("done", done),
        "total": None if total is None else _number("total", total),
        "message": storable(str(message), MAX_MESSAGE),
    }


def _number(name: str, value: float) -> float:
    """A number that JSON can hold, whatever kind of number was given."""
    if type(value) is int and abs(value) < 2**53:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ValueError(f"progress({name}={value!r:.80}): expected a number.") from exc
    if not math.isfinite(number):
        raise ValueError(f"progress({name}={number!r}): expected a finite number.")
    return number


def make_context(attempt: Attempt, result: TaskResult[Any]) -> TaskContext:
    """The context of one attempt."""
    return TaskContext(task_result=result, run=attempt)
