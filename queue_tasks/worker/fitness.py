"""Fitness: how a loop fares that is begun anew whenever it fails: how long it waits for that, and since when it fails.

It is told what happens, and when: it has no clock and knows no loop. Times are monotonic, in seconds.
"""

from __future__ import annotations

import math
import random

FIRST_WAIT = 0.1
"""Seconds before a failed loop is started again for the first time."""

LONGEST_WAIT = 5.0
"""Seconds no wait between restarts is longer than."""

HEALTHY_AFTER = 5.0
"""Seconds a loop must have run for its next failure to count as the first."""

PROVEN_AFTER = 1.0
"""Seconds a loop that was started again must have run to be taken for running."""

COUNTED = 10
"""Failures in a row that are counted: more make no wait longer."""


class Fitness:
    """Of one loop. Told `begin` and `fail` in turn; `failing_for` may be asked from any thread."""

    def __init__(self) -> None:
        self._failures = 0
        # When it began last, and when it did first since it failed by itself; for ever: it has not begun since.
        self._began = 0.0
        self._fit_since = math.inf
        self._failing_since = 0.0
        # Until it has run to this time, it is not known to be in order again.
        self._proven_at = 0.0

    def begin(self, now: float) -> None:
        """It begins, or begins anew."""
        self._began = now
        self._fit_since = min(self._fit_since, now)

    def fail(self, now: float, *, by_itself: bool = True) -> float:
        """It has failed; the seconds until it is to begin anew.

        by_itself: False when somebody cancelled it who may not. That is no reason to wait longer, now or when it fails;
        nor does it become any less healthy by it.
        """
        if now - (self._fit_since if by_itself else self._began) > HEALTHY_AFTER:
            self._failures = 0
        if self._failures == 0:
            self._failing_since = now
        longer = 2.0 ** (self._failures if by_itself else 0)
        wait = min(LONGEST_WAIT, FIRST_WAIT * longer) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        if by_itself:
            self._failures = min(self._failures + 1, COUNTED)
            self._fit_since = math.inf
        else:
            self._failures = max(self._failures, 1)
        self._proven_at = now + wait + PROVEN_AFTER
        return wait

    @property
    def failed_once(self) -> bool:
        """Whether the last failure was the first, and not one of several in a row."""
        return self._failures == 1

    def failing_for(self, now: float) -> float:
        """Seconds since it began to fail again and again; 0 when it runs."""
        return now - self._failing_since if now < self._proven_at else 0.0
