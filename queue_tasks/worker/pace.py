"""Pace: how fast jobs end, and so how many of them are worth having in hand.

It is told what happens, and when: it has no clock and knows no loop. Times are monotonic, in seconds.
"""

from __future__ import annotations

PREFETCH_WITHIN = 0.1
"""Seconds within which a prefetched job must be expected to start."""

SMOOTHING = 0.05
"""The weight of the newest job in the running means."""

SHORTEST = 1e-5
"""Seconds that a job is taken to last at the least."""


class Pace:
    """Of the jobs of one worker, in so many slots. max_prefetch: jobs beside those in the slots, at the most."""

    def __init__(self, slots: int, max_prefetch: int) -> None:
        self._slots = slots
        self._max_prefetch = max_prefetch
        # A first guess that fetches no more than the slots.
        self._mean_duration = PREFETCH_WITHIN
        # From one end to the next, while jobs run: more than the slots explain, where bodies hold the loop.
        self._mean_interval = 0.0
        self._last_end = 0.0

    def note_end(self, started: float, ended: float) -> None:
        """One ran from then to then, and ended no sooner than those noted before."""
        self._mean_duration += SMOOTHING * (max(ended - started, SHORTEST) - self._mean_duration)
        self._mean_interval += SMOOTHING * (ended - max(started, self._last_end) - self._mean_interval)
        self._last_end = ended

    def note_jam(self) -> None:
        """Slow ones came after short ones, and what was to start soon has not."""
        self._mean_duration = max(self._mean_duration, PREFETCH_WITHIN)

    @property
    def limit(self) -> int:
        """How many may be in hand: as many as there are slots, and those that will start within PREFETCH_WITHIN."""
        interval = max(self._mean_interval, self._mean_duration / self._slots)
        return max(self._slots, min(int(PREFETCH_WITHIN / interval), self._slots + self._max_prefetch))

    def enough(self, *, lags: bool) -> int:
        """How many in hand are not refilled yet: half of the surplus, for fewer and larger fetches.

        lags: what waits does so for the loop's next turn, and gains nothing from a free slot.
        """
        return (self.limit + (0 if lags else self._slots)) // 2
