"""Statements about workers: their rows, and which of them listen."""

from __future__ import annotations

from collections.abc import Sequence

from queue_tasks.statements import (
    FORGET_LISTENER,
    LIST_WRITERS,
    NOTE_LISTENER,
    REGISTER_WORKER,
    TELL_OTHERS,
    UNREGISTER_WORKER,
)
from queue_tasks.store.client import Client


class WorkerStore:
    """For registration, and for waking."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def register_worker(
        self,
        name: str,
        host: str,
        pid: int,
        queues: Sequence[str] | None,
        concurrency: int,
        told: str | None = None,
        version: str | None = None,
    ) -> int:
        """Make this worker known; its number, which every later call names.

        version: of queue_tasks. told: what an operator has told it before, under another number.
        SQL: sql/queries/register_worker.sql
        """
        parameters = {
            "name": name,
            "host": host,
            "pid": pid,
            "version": version,
            "queues": queues,
            "concurrency": concurrency,
            "told": told,
        }
        self._client.worker_id = (await self._client.tending.rows(REGISTER_WORKER, parameters))[0][0]
        return self._client.worker_id

    async def unregister_worker(self) -> None:
        """Forget this worker.

        SQL: sql/queries/unregister_worker.sql
        """
        await self._client.tending.rows(UNREGISTER_WORKER, {"worker_id": self._client.worker_id})

    async def note_listener(self, queues: Sequence[str] | None, *, asleep: bool) -> int | None:
        """Say whether this worker sleeps and is to be told of jobs, or looks by itself.

        Returns how many listening workers serve its queues, itself included; None: it is not registered any more.
        SQL: sql/queries/note_listener.sql
        """
        parameters = {"worker_id": self._client.worker_id, "queues": queues, "asleep": asleep}
        rows = await self._client.tending.rows(NOTE_LISTENER, parameters)
        return rows[0][0] if rows else None

    async def forget_listener(self) -> None:
        """Say that this worker listens no more.

        SQL: sql/queries/forget_listener.sql
        """
        await self._client.tending.rows(FORGET_LISTENER, {"worker_id": self._client.worker_id})

    async def tell_others(self, queues: Sequence[str] | None) -> None:
        """Have every other worker look that sleeps and serves some of these queues; None: all queues.

        SQL: sql/queries/tell_others.sql
        """
        await self._client.tending.rows(TELL_OTHERS, {"worker_id": self._client.worker_id, "queues": queues})

    async def list_writers(self, known: Sequence[str] | None = None) -> list[str]:
        """The open transactions that write jobs; known: only those of them.

        SQL: sql/queries/list_writers.sql
        """
        rows = await self._client.tending.rows(LIST_WRITERS, {"known": None if known is None else list(known)})
        return [row[0] for row in rows]
