"""A traceback's text in parts, so that the reader's own code stands out. In: text of anything. Out: all of it again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from queue_tasks.frames import is_library

_FRAME = re.compile(r'[ |+-]*File "([^"]*)", line \d')


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that belong together."""

    kind: str
    """own: frames of the user's code. library: of what it stands on. rest: what no frame says, as the message."""
    text: str


def parts(text: str) -> list[Part]:
    """The parts, in order; their texts make the whole."""
    grouped = groupby(_kinds(text), lambda pair: pair[0])
    return [Part(kind, "".join(line for _, line in lines)) for kind, lines in grouped]


def _kinds(text: str) -> Iterator[tuple[str, str]]:
    kind = "rest"
    for line in text.splitlines(keepends=True):
        frame = _FRAME.match(line)
        if frame:
            kind = "library" if is_library(frame[1]) else "own"
        elif not line.startswith((" ", "\t")):
            # A frame's lines are indented.
            kind = "rest"
        yield kind, line
