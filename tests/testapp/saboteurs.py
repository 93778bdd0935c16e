"""Tasks that break the worker itself: its loops, its threads, its process. Found by their dotted paths."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading

from queue_tasks import task
from queue_tasks.worker.maintenance import Promoter


@task
def hold_the_interpreter(seconds: int) -> None:
    """Sleep within C code that does not let go of the interpreter's lock."""
    ctypes.PyDLL(None).sleep(seconds)


@task
def grow(megabytes: int) -> int:
    """Keep so much memory for ever."""
    grown.append(bytearray(os.urandom(1) * 2**20 * megabytes))
    return megabytes


grown: list[bytearray] = []


@task
async def cancel_the_loop(name: str) -> int:
    """Cancel one of the worker's own loops, by its name."""
    found = [other for other in asyncio.all_tasks() if other.get_name() == f"queue_tasks {name}"]
    for other in found:
        other.cancel()
    return len(found)


@task
async def exit_later() -> None:
    """Leave a callback on the loop that raises SystemExit."""
    asyncio.get_running_loop().call_later(0.05, sys.exit, 0)


@task
async def stop_the_loop() -> None:
    """Stop the worker's event loop."""
    asyncio.get_running_loop().stop()


@task
async def break_heartbeat() -> int:
    """Throw SystemExit into the thread of the heartbeat."""
    (thread,) = [each for each in threading.enumerate() if each.name == "queue_tasks heartbeat"]
    assert thread.ident is not None
    return ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


@task
async def ruin_the_promoter() -> None:
    """Make one of the worker's loops end for good, as no fault from outside can: it exits whenever it runs."""
    Promoter.run = _exit  # type: ignore[method-assign, assignment]
    for other in asyncio.all_tasks():
        if other.get_name() == "queue_tasks promoter":
            other.cancel()


async def _exit(promoter: Promoter) -> None:
    raise SystemExit(0)
