"""Memory: how much of it a process has, and what it may take while a body runs in it. Linux only."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from queue_tasks.exceptions import MemoryLimitExceeded

_PAGE = resource.getpagesize()


def resident(pid: int) -> int:
    """Bytes of memory a process holds; 0 when that cannot be known, or it has ended."""
    return _pages(pid, 1)


def resident_here() -> int:
    """Bytes of memory this process holds; where the system does not tell, the most there ever were."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _pages("self", 1) or (most if sys.platform == "darwin" else most * 1024)


def give_back() -> None:
    """Let the system have the memory that was freed and that the C library keeps; in a fraction of a millisecond."""
    # Only glibc keeps any, and has a name for this.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def run_within(limit: int, name: str, body: Callable[[], Any]) -> Any:
    """Run a body that may take `limit` bytes more than this process has now. name: of the task.

    Raises MemoryLimitExceeded in the place of its MemoryError.
    """
    soft, hard = before = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = _pages("self", 5) + limit
    for bound in (soft, hard):
        if bound != resource.RLIM_INFINITY:
            allowed = min(allowed, bound)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    try:
        return body()
    except MemoryError as exc:
        # First of all: there is nothing left to build an error of.
        resource.setrlimit(resource.RLIMIT_DATA, before)
        raise MemoryLimitExceeded(name, limit) from exc
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _pages(pid: int | str, column: int) -> int:
    """Bytes in a column of statm: 1 is resident, 5 data."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[column]) * _PAGE
    except (OSError, IndexError):
        return 0
