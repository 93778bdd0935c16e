"""Registration: the worker's row in the database, without which nothing is fetched; made anew when others remove it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

from queue_tasks import __version__
from queue_tasks.database_errors import brief
from queue_tasks.store import WorkerStore
from queue_tasks.worker.fitness import FIRST_WAIT, LONGEST_WAIT

logger = logging.getLogger("queue_tasks.worker")


class Registration:
    """One worker's row.

    stopping: set when the worker is to stop: then it waits for no database.
    standing: what an operator has told the worker, which a new row says as the old one did; None: nothing.
    on_lost: called when the row is found to be gone: the jobs are others' now.
    on_renewed: called with the new number once there is a row again.
    """

    def __init__(
        self,
        store: WorkerStore,
        *,
        name: str,
        queues: Sequence[str] | None,
        concurrency: int,
        stopping: asyncio.Event,
        standing: Callable[[], str | None],
        on_lost: Callable[[], None],
        on_renewed: Callable[[int], Awaitable[None]],
    ) -> None:
        self.worker_id = 0
        self._store = store
        self._name = name
        self._queues = queues
        self._concurrency = concurrency
        self._stopping = stopping
        self._standing = standing
        self._on_lost = on_lost
        self._on_renewed = on_renewed
        self._renewing: asyncio.Task[None] | None = None

    async def begin(self) -> bool:
        """Register; False when it was told to stop before the database answered."""
        registering, stopping = asyncio.create_task(self._register()), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({registering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not registering.done():
                return False
            await registering
            return True
        finally:
            registering.cancel()
            stopping.cancel()

    async def end(self) -> None:
        """Remove the row; one that cannot be removed goes stale, and others do it."""
        try:
            await self._store.unregister_worker()
        except Exception as exc:  # noqa: BLE001 - whatever it is, others remove the row
            logger.warning("could not unregister worker %d: %s", self.worker_id, brief(exc))

    def taken_for_dead(self, worker_id: int) -> None:
        """Register anew, and go on.

        worker_id: the number that was not known. Two may notice, and the second when we have a new one already.
        """
        if worker_id != self.worker_id or self._renewing is not None or self._stopping.is_set():
            return
        self._on_lost()
        self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        wait = FIRST_WAIT
        while not self._stopping.is_set():
            try:
                await self._register()
                break
            except Exception as exc:  # noqa: BLE001 - until the database answers
                logger.warning("could not register (%s); trying again in %.1f s", brief(exc), wait)
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, 2 * wait)
        self._renewing = None
        await self._on_renewed(self.worker_id)

    async def _register(self) -> None:
        self.worker_id = await self._store.register_worker(
            self._name,
            socket.gethostname(),
            os.getpid(),
            self._queues,
            self._concurrency,
            self._standing(),
            __version__,
        )
