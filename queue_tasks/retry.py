"""When a failed attempt is tried again. Pure values; randomness is the caller's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from queue_tasks.conf import LONGEST, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failed job is tried, and how long it waits between.

    The wait after attempt n is `min(max_wait, wait * backoff ** (n - 1))` seconds, spread by plus or minus `jitter`.
    """

    max_attempts: int = 5
    """Runs in all, the first one included; 1 or more."""

    wait: float | timedelta = 2.0
    """Seconds after the first failed attempt, or a timedelta; 0 or more."""

    backoff: float = 2.0
    """What each further wait is multiplied by; 1 or more."""

    max_wait: float | timedelta = 600.0
    """Seconds no wait is longer than, before jitter, or a timedelta."""

    jitter: float = 0.1
    """The part of a wait by which it is made longer or shorter at random, 0 to 1."""

    retry_on: tuple[type[BaseException], ...] = (Exception,)
    """Errors that are tried again; others fail the job at once."""

    give_up_on: tuple[type[BaseException], ...] = ()
    """Errors that fail the job at once although `retry_on` has them."""

    def __post_init__(self) -> None:
        for name in ("wait", "max_wait"):
            value = getattr(self, name)
            if isinstance(value, timedelta):
                object.__setattr__(self, name, value.total_seconds())
        for name in ("retry_on", "give_up_on"):
            value = getattr(self, name)
            if isinstance(value, Iterable):
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, type):
                object.__setattr__(self, name, (value,))
        attempts: Any = self.max_attempts
        whole = isinstance(attempts, int) and not isinstance(attempts, bool)
        self._require(whole and attempts >= 1, "max_attempts", "a whole number, 1 or more")
        self._require(_is_within(self.wait, 0, LONGEST), "wait", "0 or more seconds, or a timedelta")
        self._require(_is_within(self.backoff, 1, LONGEST), "backoff", "1 or more")
        self._require(_is_within(self.max_wait, 0, LONGEST), "max_wait", "0 or more seconds, or a timedelta")
        self._require(_is_within(self.jitter, 0, 1), "jitter", "a part from 0 to 1")
        for name in ("retry_on", "give_up_on"):
            kinds = getattr(self, name)
            right = isinstance(kinds, tuple) and all(
                isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds
            )
            self._require(right, name, "a tuple of exception classes")

    def _require(self, right: bool, name: str, expected: str) -> None:  # noqa: FBT001 - an assertion's condition
        if not right:
            raise ValueError(f"RetryPolicy({name}={getattr(self, name)!r}): expected {expected}.")

    def wait_after(self, attempt: int, error: BaseException, spread: float = 0.0) -> float | None:
        """Seconds to wait after a failed attempt, or None to give up.

        attempt: the number of the run that failed, from 1.
        spread: a random number from -1 to 1; jitter is scaled by it.
        """
        if attempt >= self.max_attempts:
            return None
        if isinstance(error, self.give_up_on) or not isinstance(error, self.retry_on):
            return None
        return self.delay(attempt, spread)

    def delay(self, attempt: int, spread: float = 0.0) -> float:
        """Seconds between attempt number `attempt` and the next, whatever the error."""
        wait, max_wait = seconds(self.wait), seconds(self.max_wait)
        try:
            grown = wait * float(self.backoff) ** (attempt - 1)
        except OverflowError:
            grown = max_wait if wait else 0.0
        return max(0.0, min(max_wait, grown) * (1 + self.jitter * spread))


def _is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
