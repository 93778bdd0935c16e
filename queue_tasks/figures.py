"""Figures: what the workers did of late, for charts. Reads only, on Django's connection.

The workers keep them (worker.recorder) beside the jobs, so that a chart of a week costs as much as one of an hour,
whatever is in the tables, and knows of jobs that left no row. Stock procrastinate workers keep none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from queue_tasks.caller import rows
from queue_tasks.meter import BOUNDS, quantile
from queue_tasks.statements import READ_FIGURES

PARTS = (0.5, 0.95, 0.99)
"""The percentiles that are shown."""


class Span(Enum):
    """A length of time to look back, with the seconds that one slot of it has and how many there are."""

    HOUR = ("hour", 60, 60)
    DAY = ("day", 900, 96)
    WEEK = ("week", 3600, 168)

    def __init__(self, word: str, grain: int, slots: int) -> None:
        self.word = word
        self.grain = grain
        self.slots = slots


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time; the columns of sql/queries/read_figures.sql. Counts are of attempts that ended in it."""

    begins_at: datetime
    succeeded: int
    failed: int
    """The last of their jobs."""
    retried: int
    """Failed, and tried again."""
    other: int
    """Aborted, snoozed, or not written."""
    waited: Sequence[int]
    """First attempts by how long their jobs had waited once they could start: the buckets of meter.BOUNDS."""
    ran: Sequence[int]
    """Attempts by how long they ran."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The slots of a span, oldest first; the last is the present one."""

    span: Span
    slots: Sequence[Slot]

    @property
    def ends_at(self) -> datetime:
        """When the present slot is over."""
        return self.slots[-1].begins_at + timedelta(seconds=self.span.grain)

    def total(self, name: str) -> int:
        """The sum of a count over the span."""
        return sum(int(getattr(slot, name)) for slot in self.slots)

    def percentiles(self, name: str) -> list[float] | None:
        """Seconds, for each of PARTS, of "waited" or "ran" over the span; None when nothing was measured."""
        return percentiles(added_up([getattr(slot, name) for slot in self.slots]))


def read_figures(span: Span, queue_name: str | None = None, *, database: str = "default") -> Figures:
    """What was done in a span; queue_name None: in all queues.

    SQL: sql/queries/read_figures.sql
    """
    parameters = {"grain": span.grain, "slots": span.slots, "queue_name": queue_name}
    return Figures(span, [Slot(*row) for row in rows(database, READ_FIGURES, parameters)])


def percentiles(buckets: Sequence[int]) -> list[float] | None:
    """Seconds, for each of PARTS; None when nothing was measured."""
    found = [quantile(buckets, part) for part in PARTS]
    return [seconds for seconds in found if seconds is not None] or None


def added_up(all_buckets: Sequence[Sequence[int]]) -> list[int]:
    """Histograms as one. Those of another release, which has other bounds, are left out."""
    total = [0] * (len(BOUNDS) + 1)
    for buckets in all_buckets:
        if len(buckets) == len(total):
            total = [mine + theirs for mine, theirs in zip(total, buckets, strict=True)]
    return total
