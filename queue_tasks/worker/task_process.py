"""Task process: what a process that runs bodies of executor="process" begins with.

The worker starts it, as a script: `python .../task_process.py FD PID`. FD is its socket, PID the worker's process. It
makes sure that it ends with the worker; then it takes over its sys.path, sets Django up, and serves.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the worker until it ends."""
    channel, worker = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    _die_with(worker)
    for number in (signal.SIGINT, signal.SIGTERM):
        # The worker decides. Not ignored: that would be passed on to what a body starts.
        signal.signal(number, lambda *_: None)
    messages = _messages(channel)
    setup = next(messages)
    sys.path[:] = setup["path"]
    if setup["pythonpath"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = setup["pythonpath"]

    import django  # noqa: PLC0415 - takes its time, in which the worker may end

    django.setup()

    from queue_tasks.worker.serving import Serving  # noqa: PLC0415 - it needs Django set up

    Serving(channel, setup).serve(messages)


def _die_with(worker: int) -> None:
    """End at once when the worker is gone, however it ended."""
    with contextlib.suppress(AttributeError, OSError):
        # Linux; elsewhere, the end of the socket tells.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != worker:
        os._exit(1)


def _messages(channel: socket.socket) -> Iterator[dict[str, Any]]:
    from queue_tasks.worker.wire import Unpacker  # noqa: PLC0415 - as django

    unpacker = Unpacker()
    while data := channel.recv(65_536):
        yield from unpacker.feed(data)
    # The worker has closed its end, or is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
