"""The signals that tell a process to stop, and how they are heard whatever its main thread is in the midst of."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""Each of them means: stop in order."""

BURST = 0.5
"""Seconds after the first signal in which others count as the same one: some send it to every process of a group."""


@contextlib.contextmanager
def told_to(mouth: socket.socket, numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Have the number of each of these signals written there, at once, in whichever thread it arrives; else ignored.

    mouth: one of a pair of sockets, which is closed at the end, when the signals mean again what they did before.
    In the main thread only.
    """
    mouth.settimeout(0)
    # By the interpreter itself: Python's handlers wait for the main thread, which a task may block.
    wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        mouth.close()
