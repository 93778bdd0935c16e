"""A worker as a process has it: on an event loop of its own, stopped by signals, and ended whatever its tasks do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence

from queue_tasks.worker.ending import STOP_MARGIN, UNASKED_MARGIN, end_process
from queue_tasks.worker.event_loop import new_event_loop
from queue_tasks.worker.monitor import Monitor
from queue_tasks.worker.report import SupervisorLine
from queue_tasks.worker.stop_signals import BURST, told_to
from queue_tasks.worker.worker import Worker

logger = logging.getLogger("queue_tasks.worker")

LEFTOVERS_MARGIN = 0.2
"""Seconds that what tasks left running on the loop has to end."""

MARGIN = 2.0
"""Seconds after the time of grace within which a process that was told to stop has ended."""

ORPHAN_GRACE = 1.0
"""Seconds running jobs have to end when the supervisor is gone."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether the worker recycles."""


def default_name() -> str:
    """host-pid."""
    return f"{socket.gethostname()}-{os.getpid()}"


def run(worker: Worker, stop_signals: Sequence[signal.Signals] = (), monitor: Monitor | None = None) -> int:
    """Run a worker on a new event loop, stopped by any of the signals; a second one ends it at once, with code 1.

    monitor: with a line to a supervisor, all signals are one, and the worker ends when the supervisor does.
    Returns the exit code, which is 0 only when the worker ended as it was told to.
    """
    loop = new_event_loop()
    with _heeding(stop_signals, worker, monitor):
        try:
            return _run(loop, worker)
        finally:
            if loop.run_until_complete(_end_leftovers()):
                # Without waiting for the threads of its default executor, where a task may have left something.
                loop.close()


def _run(loop: asyncio.AbstractEventLoop, worker: Worker) -> int:
    running = loop.create_task(worker.run())
    while True:
        try:
            return loop.run_until_complete(running)
        except (SystemExit, KeyboardInterrupt) as exc:
            # Of a callback that a task left on the loop, which breaks out of it: the worker itself has not ended.
            if running.done():
                logger.critical("the worker ended by %s", type(exc).__name__)
                return 1
            logger.error("something on the event loop raised %s; the worker goes on", type(exc).__name__)  # noqa: TRY400 - not ours
        except RuntimeError as exc:
            if running.done():
                raise
            logger.error("something stopped the event loop (%s); the worker goes on", exc)  # noqa: TRY400 - the same
        except asyncio.CancelledError:
            logger.critical("the worker was cancelled by something on its event loop")
            return 1


@contextlib.contextmanager
def _heeding(stop_signals: Sequence[signal.Signals], worker: Worker, monitor: Monitor | None) -> Iterator[None]:
    """Heed signals from a thread of its own: a task may block the main thread."""
    if not stop_signals:
        yield
        return
    ear, mouth = socket.socketpair()
    over = threading.Event()
    line = None if monitor is None else monitor.line
    heed = threading.Thread(
        target=_heed, args=(ear, stop_signals, worker, over, line), name="queue_tasks signals", daemon=True
    )
    heed.start()
    try:
        with told_to(mouth, stop_signals):
            if line is not None:
                outlive = threading.Thread(
                    target=_outlive, args=(line, worker, over), name="queue_tasks supervisor", daemon=True
                )
                outlive.start()
            try:
                with monitor or contextlib.nullcontext():
                    yield
            finally:
                over.set()
    finally:
        heed.join(1)


def _heed(
    ear: socket.socket,
    stop_signals: Sequence[int],
    worker: Worker,
    over: threading.Event,
    line: SupervisorLine | None,
) -> None:
    asked_at, limit = None, math.inf
    with ear:
        while not over.is_set():
            heard = _hear(ear, stop_signals, min(LOOK_EVERY, limit - time.monotonic()), over)
            now = time.monotonic()
            if heard and asked_at is None:
                asked_at = now
                worker.stop()
                limit = min(limit, now + worker.options.grace + MARGIN)
            elif heard and line is None and asked_at is not None and now - asked_at > BURST:
                # A supervised process is told by its supervisor, and perhaps by whoever told that one as well.
                end_process("second signal: ending at once; running jobs will be rescued")
            elif worker.recycled and limit == math.inf:
                # Nobody waits for it, but what is stuck in it must not keep it for ever.
                limit = now + worker.options.grace + STOP_MARGIN + UNASKED_MARGIN + MARGIN
            elif now >= limit:
                _end_unless(over, worker)


def _outlive(line: SupervisorLine, worker: Worker, over: threading.Event) -> None:
    line.until_gone()
    if over.is_set():
        return
    logger.warning("the supervisor is gone; stopping")
    worker.stop(ORPHAN_GRACE)
    over.wait(ORPHAN_GRACE + MARGIN)
    _end_unless(over, worker)


def _hear(ear: socket.socket, stop_signals: Sequence[int], patience: float, over: threading.Event) -> bool:
    """Wait for one of the signals; False when so many seconds have passed, or there will be none any more."""
    limit = time.monotonic() + patience
    while not over.is_set() and (left := limit - time.monotonic()) > 0:
        ear.settimeout(left)
        with contextlib.suppress(TimeoutError):
            number = ear.recv(1)
            if not number or number[0] in stop_signals:
                return bool(number)
    return False


def _end_unless(over: threading.Event, worker: Worker) -> None:
    """End the process if the worker has not ended."""
    if over.is_set():
        return
    blocked = not worker.answers(0.05)
    why = "the event loop is blocked by a task" if blocked else "stopping takes too long"
    if not over.is_set():
        end_process(f"{why}; ending without it; running jobs will be rescued")


async def _end_leftovers() -> bool:
    """Cancel what tasks left running on the loop; whether all of it ended within a moment."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        ended, left = await asyncio.wait(left, timeout=LEFTOVERS_MARGIN)
        for task in ended:
            if not task.cancelled() and task.exception() is not None:
                logger.warning("what a task left running on the loop failed by %s", type(task.exception()).__name__)
    await asyncio.get_running_loop().shutdown_asyncgens()
    return not left
