"""Whose code a frame of a traceback is of: the user's, or what it stands on; and by that, which failures are alike.

In: exceptions' classes, tracebacks, and file names in their text. Out: a failure's name and place, and its fingerprint.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from pathlib import Path
from types import FrameType, TracebackType

OURS = str(Path(__file__).parent)
"""Where this library is."""

MAX_PLACE = 300
"""Characters of a place that are kept."""

_INSTALLED = re.compile(r"[\\/](?:site-packages|dist-packages|lib[\\/]python\d\.\d+)[\\/]", re.IGNORECASE)
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


def is_library(filename: str) -> bool:
    """Whether a file is not the user's: of an installed package, of Python itself or of ours, or none at all.

    Said by the path alone, so that it can be asked of a traceback from another machine.
    """
    if filename.startswith("<"):
        return True  # <frozen importlib>, <string>
    return filename.startswith((OURS, *_STANDARD)) or _INSTALLED.search(filename) is not None


def place_of(trace: TracebackType | None, home: str) -> str:
    """Where an exception comes from: module and function of the innermost frame of the user's code; "": there is none.

    home: the package that the task is of, which is the user's also where it is installed.
    """
    place = ""
    while trace is not None:
        frame = trace.tb_frame
        module = _module_of(frame)
        at_home = module.partition(".")[0] == home and not frame.f_code.co_filename.startswith(OURS)
        if at_home or not is_library(frame.f_code.co_filename):
            place = f"{module}.{frame.f_code.co_qualname}"[:MAX_PLACE]
        trace = trace.tb_next
    return place


def path_of(kind: type[BaseException]) -> str:
    """The dotted path of an exception's class."""
    try:
        return f"{kind.__module__}.{kind.__qualname__}"
    except BaseException:  # noqa: BLE001 - a metaclass may do anything
        return "builtins.BaseException"


def fingerprint(exception: str, place: str) -> str:
    """Twelve letters that failures of one kind have in common. No line numbers: they change with each release.

    exception, place: as `path_of` and `place_of` give them.
    """
    return hashlib.sha256(f"{exception}\n{place}".encode(errors="backslashreplace")).hexdigest()[:12]


def _module_of(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return str.__str__(name) if isinstance(name, str) else "?"
