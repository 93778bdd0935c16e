"""Listener: hears of new, scheduled and aborting jobs by NOTIFY, and passes the hints on.

A notification is a hint and never a command: what it says is read again from the rows. When listening is impossible the
polls of the others find the same facts a little later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from queue_tasks.conf import Options
from queue_tasks.connections import connection_parameters, session_settings
from queue_tasks.statements import HOLD_LOCK, PING, PREPARE_SESSION
from queue_tasks.worker.service import Service

ANY_QUEUE = "procrastinate_any_queue_v1"
ONE_QUEUE = "procrastinate_queue_v1#"
SCHEDULED = "queue_tasks_scheduled"
MAX_CHANNEL_BYTES = 63
"""Postgres' limit."""

CHECK_EVERY = 20.0
"""Seconds of silence after which the connection is asked whether it still lives."""


def channels_of(queues: Sequence[str] | None) -> list[str]:
    """The channels that tell of jobs in these queues; None: of all."""
    if queues is None:
        return [ANY_QUEUE, SCHEDULED]
    names = [ONE_QUEUE + queue for queue in queues]
    if any(len(name.encode()) > MAX_CHANNEL_BYTES for name in names):
        # A name too long for a channel of its own.
        return [ANY_QUEUE, SCHEDULED]
    return [*names, SCHEDULED]


class Listener(Service):
    """Holds the listening connection and, on it, the worker's advisory lock."""

    name = "listener"

    def __init__(
        self,
        options: Options,
        worker_id: int,
        queues: Sequence[str] | None,
        *,
        on_ready: Callable[[], None],
        on_scheduled: Callable[[], None],
        on_abort: Callable[[], None],
        on_listening: Callable[[], None],
    ) -> None:
        super().__init__()
        self.worker_id = worker_id
        self._options = options
        self._channels = channels_of(queues)
        self._on_ready = on_ready
        self._on_scheduled = on_scheduled
        self._on_abort = on_abort
        self._on_listening = on_listening

    async def run(self) -> None:
        """Listen until the connection is lost; then the supervisor starts anew."""
        parameters = connection_parameters(self._options.database, "listen")
        connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
        try:
            await connection.execute(
                PREPARE_SESSION, session_settings(statement_timeout=self._options.statement_timeout, durable=False)
            )
            await connection.execute(HOLD_LOCK, {"worker_id": self.worker_id})
            for channel in self._channels:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            self._on_listening()
            # Whatever was said before we listened is found by looking.
            self._on_ready()
            self._on_scheduled()
            self._on_abort()
            while True:
                async for notice in connection.notifies(timeout=CHECK_EVERY):
                    self.hear(notice.channel, notice.payload)
                await connection.execute(PING)
        finally:
            await connection.close()

    def hear(self, channel: str, payload: str) -> None:
        """Pass one notification on. Whatever its payload, the worst it does is to make us look at our rows."""
        if channel == SCHEDULED:
            self._on_scheduled()
        elif _is_abort(payload):
            self._on_abort()
        else:
            self._on_ready()


def _is_abort(payload: str) -> bool:
    if "abort" not in payload[:200]:
        return False
    try:
        return bool(json.loads(payload).get("type") == "abort_job_requested")
    except (ValueError, AttributeError, RecursionError):
        return False
