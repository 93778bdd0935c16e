"""Following: a session that listens says that it wants to hear what becomes of jobs; where nobody does, nobody is told.

NOTIFY makes all who end jobs commit one after the other, so they ask first. A transaction that asked before we
followed, and commits after our first look, tells us nothing: whoever follows looks until those that wrote jobs as it
began have ended. It is told of all others. A worker that lies down is told of new jobs in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 5.0
"""Seconds between looks, when no notification comes."""

FIRST = 0.1
"""Seconds between the first two looks while something may happen that nobody tells of."""


@dataclass(slots=True)
class Writers:
    """The transactions that may keep silent: those that wrote jobs as a session said that it wants to be told.

    After it has said so, and until they have `ended`: let `known` be what LIST_WRITERS gives of them, and look.
    """

    known: list[str] | None = None
    """Those that have not ended; None: not asked yet."""

    @property
    def ended(self) -> bool:
        """Whether nothing is kept silent any more, once one has looked again."""
        return self.known == []


class Looks:
    """When to look at what is waited for. hears: whether notifications reach us; behind a pooler they do not.

    After `statements.FOLLOW`, and before each look for as long as `asks`: `note` the rows of LIST_WRITERS(known).
    """

    def __init__(self, *, hears: bool) -> None:
        self.hears = hears
        self._writers = Writers()
        self._pause = FIRST

    @property
    def known(self) -> list[str] | None:
        """See `Writers`."""
        return self._writers.known

    @property
    def asks(self) -> bool:
        """Whether it must be asked which of them have not ended."""
        return self.hears and not self._writers.ended

    def note(self, writers: Sequence[tuple[Any, ...]]) -> None:
        """Take the answer."""
        self._writers.known = [writer for (writer,) in writers]

    def pause(self) -> float:
        """Seconds until the next look, unless something is heard; growing while something may happen unheard."""
        if self.hears and not self.asks:
            return LONGEST
        pause, self._pause = self._pause, min(LONGEST, 1.5 * self._pause)
        return pause
