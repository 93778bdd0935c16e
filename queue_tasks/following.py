"""Following: a session that listens says that it wants to hear what becomes of jobs; where nobody does, nobody is told.

NOTIFY makes all who end jobs commit one after the other, so they ask first. A transaction that asked before we
followed, and commits after our first look, tells us nothing: whoever follows looks until those that wrote jobs as it
began have ended. It is told of all others. A worker that lies down is told of new jobs in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from queue_tasks.statements import FOLLOW, LIST_WRITERS

Question = tuple[LiteralString, dict[str, Any] | None]
"""A statement and its parameters."""

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
    """How to look at what is waited for: what to send first, what to ask each time, and when again.

    question: what shows it. channels: on which it is told of. hears: whether notifications reach us; behind a pooler
    they do not. limit: seconds from now until it is given up.
    """

    def __init__(
        self, question: Question, channels: Sequence[LiteralString], *, hears: bool, limit: float = float("inf")
    ) -> None:
        self.limit = limit
        self._question = question
        self._channels = channels
        self._hears = hears
        self._deadline = time.monotonic() + limit
        self._writers = Writers(None if hears else [])
        self._pause = FIRST

    @property
    def first(self) -> list[LiteralString]:
        """What to send before the first look."""
        return [*(f"listen {channel}" for channel in self._channels), FOLLOW] if self._hears else []

    @property
    def settled(self) -> bool:
        """Whether all that happens from now on is told."""
        return self._writers.ended

    @property
    def questions(self) -> list[Question]:
        """What to ask at this look, in turn."""
        if self.settled:
            return [self._question]
        return [(LIST_WRITERS, {"known": self._writers.known}), self._question]

    def note(self, answers: Sequence[Sequence[tuple[Any, ...]]]) -> Sequence[tuple[Any, ...]]:
        """Take the rows that each question was answered with, and give those of what is waited for."""
        *writers, shown = answers
        for rows in writers:
            self._writers.known = [writer for (writer,) in rows]
        return shown

    @property
    def given_up(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._deadline

    def pause(self) -> float:
        """Seconds until the next look, unless something is heard; growing while something may happen unheard."""
        pause = LONGEST
        if not (self._hears and self.settled):
            pause, self._pause = self._pause, min(LONGEST, 1.5 * self._pause)
        return min(pause, max(0.0, self._deadline - time.monotonic()))
