"""Meter: what a worker process has done, in numbers that only grow, for whoever scrapes them.

Counted on the event loop, read from any thread, sent to the supervisor as JSON, and added up there. Names of queues and
tasks are the only texts in it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 1800.0, 7200.0),
)
"""Upper bounds of the histograms' buckets, in seconds; one more bucket has no bound."""

MAX_SERIES = 300
"""Pairs of queue and task that are told apart; those that come later are counted under `OTHERS`."""

OTHERS = "(others)"

Key = tuple[str, str]
"""Queue and task."""


@dataclass(slots=True)
class Histogram:
    """How often a duration fell into each bucket, and the sum of all durations, in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def note(self, seconds: float) -> None:
        """Count one; a clock that went back counts as no time."""
        if seconds < 0.0:  # noqa: PLR1730 - a call to max costs a tenth of all this
            seconds = 0.0
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def note_all(self, durations: list[float]) -> None:
        """Count many, at a tenth of what one by one costs; the list is sorted."""
        durations.sort()
        if durations and durations[0] < 0.0:
            durations = [max(seconds, 0.0) for seconds in durations]
        self.total += sum(durations)
        seen, count, buckets = 0, len(durations), self.buckets
        for index, bound in enumerate(BOUNDS):
            if seen == count:
                return
            below = bisect_right(durations, bound, seen)
            buckets[index] += below - seen
            seen = below
        buckets[-1] += count - seen

    def add(self, other: Histogram) -> None:
        """Count what the other has counted."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.total += other.total

    def since(self, before: Histogram) -> Histogram:
        """What was counted after `before`, which is how this one was at some time."""
        return Histogram(
            [now - then for now, then in zip(self.buckets, before.buckets, strict=True)], self.total - before.total
        )

    @property
    def count(self) -> int:
        """Durations counted."""
        return sum(self.buckets)


@dataclass(slots=True)
class Series:
    """What there is to tell of one task in one queue."""

    ended: dict[str, int] = field(default_factory=dict)
    """Attempts by what became of them: the words of OutcomeKind, or "lost"."""
    waited: Histogram = field(default_factory=Histogram)
    """From when a job could start to the start of its first attempt."""
    ran: Histogram = field(default_factory=Histogram)
    """From the start of a body to its end."""

    def add(self, other: Series) -> None:
        """Count what the other has counted."""
        _add(self.ended, other.ended)
        self.waited.add(other.waited)
        self.ran.add(other.ran)

    def since(self, before: Series) -> Series:
        """What was counted after `before`, which is how this one was at some time."""
        return Series(
            {word: number - before.ended.get(word, 0) for word, number in self.ended.items()},
            self.waited.since(before.waited),
            self.ran.since(before.ran),
        )


@dataclass(slots=True)
class Meter:
    """The numbers."""

    series: dict[Key, Series] = field(default_factory=dict)
    fetches: Histogram = field(default_factory=Histogram)
    """How long the database took to answer each."""
    fetched: int = 0
    """Jobs."""
    notifications: int = 0
    """Heard."""
    rescued: int = 0
    """Jobs taken from dead workers."""
    failures: dict[str, int] = field(default_factory=dict)
    """Of the worker's own loops, by their names."""

    def of(self, queue: str, task: str) -> Series:
        """Where a task's attempts in a queue are counted."""
        found = self.series.get((queue, task))
        if found is None and len(self.series) >= MAX_SERIES:
            queue = task = OTHERS
            found = self.series.get((queue, task))
        if found is None:
            found = self.series[queue, task] = Series()
        return found

    def by_queue(self) -> dict[str, Series]:
        """What there is to tell of each queue, all its tasks together; `OTHERS` is one."""
        queues: dict[str, Series] = {}
        for (queue, _), series in self.series.copy().items():
            queues.setdefault(queue, Series()).add(series)
        return queues

    def note_fetch(self, seconds: float, jobs: int) -> None:
        """Count a fetch that was answered."""
        self.fetches.note(seconds)
        self.fetched += jobs

    def note_failure(self, service: str) -> None:
        """Count a failure of one of the worker's loops."""
        self.failures[service] = self.failures.get(service, 0) + 1

    def add(self, other: Meter) -> None:
        """Count what the other has counted."""
        for key, series in other.series.copy().items():
            self.series.setdefault(key, Series()).add(series)
        self.fetches.add(other.fetches)
        self.fetched += other.fetched
        self.notifications += other.notifications
        self.rescued += other.rescued
        _add(self.failures, other.failures)

    def as_json(self) -> dict[str, Any]:
        """A value that `json.dumps` takes, and `from_json` reads."""
        return {
            "series": [
                [*key, series.ended.copy(), _said(series.waited), _said(series.ran)]
                for key, series in self.series.copy().items()
            ],
            "fetches": _said(self.fetches),
            "fetched": self.fetched,
            "notifications": self.notifications,
            "rescued": self.rescued,
            "failures": self.failures.copy(),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Meter:
        """What `as_json` gave. Raises KeyError, TypeError or ValueError when it is nothing of the kind."""
        return cls(
            series={
                (str(queue), str(task)): Series(_counts(ended), _histogram(waited), _histogram(ran))
                for queue, task, ended, waited, ran in said["series"]
            },
            fetches=_histogram(said["fetches"]),
            fetched=int(said["fetched"]),
            notifications=int(said["notifications"]),
            rescued=int(said["rescued"]),
            failures=_counts(said["failures"]),
        )


def quantile(buckets: Sequence[int], part: float) -> float | None:
    """The duration in seconds below which a part (0 to 1) of those counted lie; None when there are none.

    Between a bucket's bounds it is found by proportion. What lies beyond the last bound counts as that bound.
    """
    wanted, seen = part * sum(buckets), 0
    if not wanted:
        return None
    for (low, high), count in zip(pairwise((0.0, *BOUNDS)), buckets, strict=False):
        if seen + count >= wanted:
            return low + (high - low) * (wanted - seen) / count
        seen += count
    return BOUNDS[-1]


def _add(mine: dict[str, int], theirs: dict[str, int]) -> None:
    for word, number in theirs.copy().items():
        mine[word] = mine.get(word, 0) + number


def _said(histogram: Histogram) -> list[Any]:
    return [histogram.buckets, histogram.total]


def _histogram(said: list[Any]) -> Histogram:
    buckets, total = said
    if len(buckets) != len(BOUNDS) + 1:
        raise ValueError(f"{len(buckets)} buckets, expected {len(BOUNDS) + 1}")
    return Histogram([int(number) for number in buckets], float(total))


def _counts(said: Mapping[str, Any]) -> dict[str, int]:
    if not isinstance(said, Mapping):
        raise TypeError(f"{said!r} is no object of counts")
    return {str(word): int(number) for word, number in said.items()}
