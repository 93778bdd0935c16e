"""Orders: what an operator tells a worker: to stop, to be quiet, to go on. Told again at each beat of its heart."""

from __future__ import annotations

from collections.abc import Callable

from queue_tasks.worker.ending import Ending

QUIET, STOP = "quiet", "stop"
"""What a worker's row says; null: nothing, or to go on. See sql/tables/procrastinate_workers.sql."""


class Orders:
    """drain: this worker ends by itself when it has nothing to do; to be quiet is to stop then.

    on_quiet and on_go_on are called when the one or the other is new. `worker_id` may be changed.
    """

    def __init__(
        self, ending: Ending, *, drain: bool, on_quiet: Callable[[], None], on_go_on: Callable[[], None]
    ) -> None:
        self.worker_id = 0
        self.standing: str | None = None
        """What it has been told and goes on doing, which a new row says as the old one did: QUIET, or nothing."""
        self._ending = ending
        self._drain = drain
        self._on_quiet = on_quiet
        self._on_go_on = on_go_on

    def obey(self, worker_id: int, told: str | None) -> None:
        """Do what the worker of this number has been told."""
        if worker_id != self.worker_id or self._ending.told.is_set():
            return
        if told == STOP or (told == QUIET and self._drain):
            # Of several processes another one takes its place: who wants fewer stops their supervisor.
            self._ending.recycle("an operator told it to stop", stuck=False)
        elif told == QUIET and self.standing is None:
            self.standing = QUIET
            self._on_quiet()
        elif told is None and self.standing is not None:
            self.standing = None
            self._on_go_on()
