"""A worker as a process has it: on an event loop of its own, stopped by signals, and ended whatever its tasks do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence

from queue_tasks.worker.ending import STOP_MARGIN, end_process
from queue_tasks.worker.worker import Worker

logger = logging.getLogger("queue_tasks.worker")

LEFTOVERS_MARGIN = 0.2
"""Seconds that what tasks left running on the loop has to end."""


def default_name() -> str:
    """host-pid."""
    return f"{socket.gethostname()}-{os.getpid()}"


def run(worker: Worker, stop_signals: Sequence[signal.Signals] = ()) -> int:
    """Run a worker on a new event loop, stopped by any of the signals; the second one ends it at once, with code 1."""
    loop = asyncio.new_event_loop()
    with _heeding(stop_signals, worker):
        try:
            return loop.run_until_complete(worker.run())
        finally:
            worker.stuck = not loop.run_until_complete(_end_leftovers())
            if not worker.stuck:
                # Without waiting for the threads of its default executor, where a task may have left something.
                loop.close()


@contextlib.contextmanager
def _heeding(stop_signals: Sequence[signal.Signals], worker: Worker) -> Iterator[None]:
    """Heed signals from a thread of its own: Python's handlers wait for the main thread, which a task may block."""
    if not stop_signals:
        yield
        return
    ear, mouth = socket.socketpair()
    mouth.settimeout(0)
    over = threading.Event()
    arguments = (ear, stop_signals, worker, over)
    thread = threading.Thread(target=_heed, args=arguments, name="queue_tasks signals", daemon=True)
    thread.start()
    # The interpreter writes the number of each signal there at once, in whichever thread it arrives.
    wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in stop_signals}
    try:
        yield
    finally:
        over.set()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        mouth.close()
        thread.join(1)


def _heed(ear: socket.socket, stop_signals: Sequence[int], worker: Worker, over: threading.Event) -> None:
    with ear:
        if not _hear(ear, stop_signals):
            return
        worker.stop()
        ear.settimeout(min(worker.options.grace + STOP_MARGIN / 2, 86_400))
        while True:
            try:
                again = _hear(ear, stop_signals)
            except TimeoutError:
                # It should have stopped by now: is there still a loop that turns?
                if not worker.answers(1.5 * STOP_MARGIN) and not over.is_set():
                    end_process("the event loop is blocked by a task; ending without it; running jobs will be rescued")
                ear.settimeout(STOP_MARGIN)
                continue
            if again:
                end_process("second signal: ending at once; running jobs will be rescued")
            return


def _hear(ear: socket.socket, stop_signals: Sequence[int]) -> bool:
    """Wait for one of the signals; False when there will be none any more."""
    while number := ear.recv(1):
        if number[0] in stop_signals:
            return True
    return False


async def _end_leftovers() -> bool:
    """Cancel what tasks left running on the loop; whether all of it ended within a moment."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        ended, left = await asyncio.wait(left, timeout=LEFTOVERS_MARGIN)
        for task in ended:
            if not task.cancelled() and task.exception() is not None:
                logger.warning("what a task left running on the loop failed: %r", task.exception())
    await asyncio.get_running_loop().shutdown_asyncgens()
    return not left
