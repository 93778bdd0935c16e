"""Tracebacks: as Python prints them, with each place in the code formatted once.

Failures come by the thousand and are all alike, and to format one anew takes Python up to a millisecond of the event
loop: it reads the source, and parses it to underline the part that failed.
"""

from __future__ import annotations

import traceback
from itertools import groupby
from types import CodeType, TracebackType
from typing import Any

MAX_PLACES = 2_000
"""Places whose text is remembered. A place is an instruction of a function."""

REPEATED = 3
"""Times that one place in a row is shown: of a recursion the rest is counted, as Python does."""

_texts: dict[tuple[CodeType, int], str] = {}


def traceback_of(error: BaseException, trace: TracebackType | None) -> str:
    """What Python would print of an exception and of those behind it; trace: in place of the exception's own.

    Raises whatever an exception that is not well made raises when it is looked at.
    """
    told = traceback.TracebackException(type(error), error, trace, limit=0, compact=True)
    _fill(told, error, trace)
    return "".join(told.format())


def frames_of(trace: TracebackType | None) -> str:
    """The frames of a traceback alone, without what was raised."""
    return "".join(_Places(trace).format())


def _fill(told: traceback.TracebackException, error: BaseException, trace: TracebackType | None) -> None:
    """Give each of the exceptions that will be printed its frames."""
    if trace is not None:
        told.stack = _Places(trace)
    for part, behind in ((told.__cause__, error.__cause__), (told.__context__, error.__context__)):
        if part is not None and behind is not None:
            _fill(part, behind, behind.__traceback__)
    if isinstance(error, BaseExceptionGroup):
        for part, member in zip(told.exceptions or (), error.exceptions, strict=False):
            _fill(part, member, member.__traceback__)


class _Places(traceback.StackSummary):
    """The frames of a traceback, as text already."""

    def __init__(self, trace: TracebackType | None) -> None:
        super().__init__()
        while trace is not None:
            # Nobody but `format` reads the elements.
            self.append(_text_of(trace))  # type: ignore[arg-type]
            trace = trace.tb_next

    def format(self, **_: Any) -> list[str]:
        """One text for each frame, but for those of a deep recursion."""
        lines = []
        for text, group in groupby(self):
            count = len(list(group))
            lines += [str(text)] * min(count, REPEATED)
            if count > REPEATED:
                more = count - REPEATED
                lines.append(f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]\n")
        return lines


def _text_of(trace: TracebackType) -> str:
    place = (trace.tb_frame.f_code, trace.tb_lasti)
    text = _texts.get(place)
    if text is None:
        if len(_texts) >= MAX_PLACES:
            _texts.clear()
        text = _texts[place] = "".join(traceback.extract_tb(trace, limit=1).format())
    return text
