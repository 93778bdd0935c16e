"""Meter: what a worker process has done, in numbers that only grow, for whoever scrapes them.

Counted on the event loop, read from any thread, sent to the supervisor as JSON, and added up there. Names of queues and
tasks are the only texts in it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
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
        seconds = max(seconds, 0.0)
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add(self, other: Histogram) -> None:
        """Count what the other has counted."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.total += other.total

    @property
    def count(self) -> int:
        """Durations counted."""
        return sum(self.buckets)


@dataclass(slots=True)
class Meter:
    """The numbers. Dictionaries are by (queue, task), and by (queue, task, outcome)."""

    ended: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Attempts by what became of them: the words of OutcomeKind, or "lost"."""
    waited: dict[Key, Histogram] = field(default_factory=dict)
    """From when a job could start to the start of its first attempt."""
    ran: dict[Key, Histogram] = field(default_factory=dict)
    """From the start of a body to its end."""
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
    _keys: set[Key] = field(default_factory=set)

    def note_ended(self, queue: str, task: str, outcome: str, ran: float | None, waited: float | None) -> None:
        """Count an attempt. ran, waited: seconds; None when its body never ran, or when it was not the first."""
        key = (queue, task)
        if key not in self._keys:
            if len(self._keys) < MAX_SERIES:
                self._keys.add(key)
            else:
                key = (OTHERS, OTHERS)
        counted = (*key, outcome)
        self.ended[counted] = self.ended.get(counted, 0) + 1
        if ran is not None:
            histogram(self.ran, key).note(ran)
        if waited is not None:
            histogram(self.waited, key).note(waited)

    def note_fetch(self, seconds: float, jobs: int) -> None:
        """Count a fetch that was answered."""
        self.fetches.note(seconds)
        self.fetched += jobs

    def note_failure(self, service: str) -> None:
        """Count a failure of one of the worker's loops."""
        self.failures[service] = self.failures.get(service, 0) + 1

    def add(self, other: Meter) -> None:
        """Count what the other has counted."""
        for counted, number in other.ended.items():
            self.ended[counted] = self.ended.get(counted, 0) + number
        for mine, theirs in ((self.waited, other.waited), (self.ran, other.ran)):
            for key, found in theirs.items():
                histogram(mine, key).add(found)
        self.fetches.add(other.fetches)
        self.fetched += other.fetched
        self.notifications += other.notifications
        self.rescued += other.rescued
        for service, number in other.failures.items():
            self.failures[service] = self.failures.get(service, 0) + number

    def as_json(self) -> dict[str, Any]:
        """A value that `json.dumps` takes, and `from_json` reads."""
        return {
            "ended": [[*key, number] for key, number in self.ended.copy().items()],
            "waited": [[*key, found.buckets, found.total] for key, found in self.waited.copy().items()],
            "ran": [[*key, found.buckets, found.total] for key, found in self.ran.copy().items()],
            "fetches": [self.fetches.buckets, self.fetches.total],
            "fetched": self.fetched,
            "notifications": self.notifications,
            "rescued": self.rescued,
            "failures": self.failures.copy(),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Meter:
        """What `as_json` gave. Raises KeyError, TypeError or ValueError when it is nothing of the kind."""
        return cls(
            ended={(queue, task, outcome): int(number) for queue, task, outcome, number in said["ended"]},
            waited={(queue, task): _histogram(*found) for queue, task, *found in said["waited"]},
            ran={(queue, task): _histogram(*found) for queue, task, *found in said["ran"]},
            fetches=_histogram(*said["fetches"]),
            fetched=int(said["fetched"]),
            notifications=int(said["notifications"]),
            rescued=int(said["rescued"]),
            failures={str(service): int(number) for service, number in said["failures"].items()},
        )


def histogram(of: dict[Key, Histogram], key: Key) -> Histogram:
    """The histogram of a pair, a new one when there is none."""
    found = of.get(key)
    if found is None:
        found = of[key] = Histogram()
    return found


def _histogram(buckets: list[int], total: float) -> Histogram:
    if len(buckets) != len(BOUNDS) + 1:
        raise ValueError(f"{len(buckets)} buckets, expected {len(BOUNDS) + 1}")
    return Histogram([int(number) for number in buckets], float(total))
