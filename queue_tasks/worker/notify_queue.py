"""The server's queue of notifications, shared by all its databases: full, it makes every enqueue fail."""

from __future__ import annotations

import logging

from queue_tasks.events import NotifyQueueFilling, publish

logger = logging.getLogger("queue_tasks.worker")

FILLING = 0.25
"""The used part that is too much: someone listens and does not read."""


class NotifyQueueWatch:
    """Says, once each time it happens, that the queue fills."""

    def __init__(self) -> None:
        self._filling = False

    def note(self, worker_id: int, used: float) -> None:
        """What was found; used: 0 to 1."""
        if used >= FILLING and not self._filling:
            logger.warning(
                "the server's queue of notifications is %d%% full; when it is full, every transaction that notifies "
                "fails, and with it every enqueue. Some session listens and does not read: end those that have been "
                "idle in a transaction for long (docs: troubleshooting).",
                round(100 * used),
            )
            publish(NotifyQueueFilling(worker_id, used))
        self._filling = used >= FILLING
