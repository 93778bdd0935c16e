"""Settings: what one worker is told when it is started, by the flags of its command; the rest is in the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What one worker is told."""

    queues: Sequence[str] | None = None
    """Names; None: every queue."""
    concurrency: int
    """Jobs run at a time."""
    name: str
    """For people."""
    listen: bool = True
    drain: bool = False
    """Run what is ready and due, then stop."""
    max_jobs: int | None = None
    """Stop after this many."""

    @property
    def is_told(self) -> bool:
        """Whether others may count on it to look for jobs when it is told; who only drains leaves by itself."""
        return self.listen and not self.drain
