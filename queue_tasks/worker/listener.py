"""Listener: hears by NOTIFY of jobs, schedules and what an operator decides, and passes the hints on.

Jobs: new, scheduled and aborting ones. What an operator decides: about queues and workers.
A notification is a hint and never a command: what it says is read again from the rows. When listening is impossible the
polls of the others find the same facts a little later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from psycopg import sql

from queue_tasks.conf import Options
from queue_tasks.connections import Deadline, WorkerConnection, connect
from queue_tasks.database_errors import StatementRefused
from queue_tasks.line import Line
from queue_tasks.meter import Meter
from queue_tasks.statements import ECHO, HOLD_LOCK, LOOK_AROUND, NOTIFY_USAGE
from queue_tasks.worker.lookout import Sight
from queue_tasks.worker.notify_queue import NotifyQueueWatch
from queue_tasks.worker.service import Service, wait_for

logger = logging.getLogger("queue_tasks.worker")

ANY_QUEUE = "procrastinate_any_queue_v1"
ONE_QUEUE = "procrastinate_queue_v1#"
SCHEDULED = "queue_tasks_scheduled"
ECHOES = "queue_tasks_echo"
SCHEDULES = "queue_tasks_schedules"
CONTROL = "queue_tasks_control"
MAX_CHANNEL_BYTES = 63
"""Postgres' limit."""

CHECK_EVERY = 5.0
"""Seconds between questions whether the connection still lives."""

ANSWER_WITHIN = 5.0
"""Seconds an answer on this connection may take at the most: nothing here waits for a lock for long."""

ECHO_WITHIN = 5.0
"""Seconds a notification may take before LISTEN is taken not to work."""

TRY_AGAIN_EVERY = 60.0
"""Seconds until LISTEN is tried again where it does not work."""


def channels_of(queues: Sequence[str] | None) -> list[str]:
    """The channels that tell of jobs in these queues; None: of all."""
    if queues is None:
        return [ANY_QUEUE, SCHEDULED]
    names = [ONE_QUEUE + queue for queue in queues]
    if any(len(name.encode()) > MAX_CHANNEL_BYTES for name in names):
        # A name too long for a channel of its own.
        return [ANY_QUEUE, SCHEDULED]
    return [*names, SCHEDULED]


class Errand(Protocol):
    """What is asked for somebody else by the question whether the connection lives; heartbeat.Heartbeat has some."""

    worker_id: int

    @property
    def due_in(self) -> float | None:
        """Seconds until it is to be asked; None: not now."""

    def question(self) -> dict[str, Any]:
        """The parameters of sql/queries/look_around.sql."""

    def heed(self, worker_id: int, sight: Sight | None) -> None:
        """Take the answer; None: the worker is not registered."""


class Listener(Service):
    """Holds the listening connection and, on it, the worker's advisory lock.

    on_listening is called whenever it begins to hear, on_deaf when LISTEN turns out not to work; on_ready with the
    numbers of the workers that are to look for jobs, in turn; None: all.
    errand: asked for whenever it is due.
    """

    name = "listener"

    def __init__(
        self,
        options: Options,
        worker_id: int,
        queues: Sequence[str] | None,
        *,
        on_ready: Callable[[Sequence[int] | None], None],
        on_scheduled: Callable[[], None],
        on_schedules: Callable[[], None],
        on_abort: Callable[[], None],
        on_control: Callable[[], None] = lambda: None,
        on_listening: Callable[[], None],
        on_deaf: Callable[[], None] = lambda: None,
        meter: Meter | None = None,
        errand: Errand | None = None,
    ) -> None:
        super().__init__()
        self._errand = errand
        # After one that was refused: when to ask again.
        self._errand_at = 0.0
        self.worker_id = worker_id
        self.hears = False
        """Whether notifications reach us, as far as is known."""
        self._options = options
        self._patience = min(ANSWER_WITHIN, 2 * options.statement_timeout)
        self._channels = channels_of(queues)
        self._on_ready = on_ready
        self._on_scheduled = on_scheduled
        self._on_schedules = on_schedules
        self._on_abort = on_abort
        self._on_control = on_control
        self._on_listening = on_listening
        self._on_deaf = on_deaf
        self._meter = meter or Meter()
        self._told_deaf = False
        # What was said to find out whether it is heard, and whether it was.
        self._word = ""
        self._word_heard = asyncio.Event()
        self._watch = NotifyQueueWatch()

    @property
    def _database(self) -> str:
        return self._options.listen_database or self._options.database

    async def run(self) -> None:
        """Listen until the connection is lost; then the supervisor starts anew."""
        while True:
            line = await connect(
                self._database, "listen", statement_timeout=self._patience, durable=False, hear=self._take
            )
            try:
                # On a connection of its own to the very database that jobs are in, there is nothing to doubt.
                sure = line.direct and not self._options.listen_database
                if sure:
                    await self._hold_lock(line)
                await self._listen(line)
                if sure or await self._hears_itself(line):
                    if not sure:
                        await self._hold_lock(line)
                    await self._hear_all(line)
            finally:
                self.hears = False
                await line.close()
            self._say_deaf()
            await asyncio.sleep(TRY_AGAIN_EVERY)

    async def _listen(self, line: Line) -> None:
        with Deadline(line, self._patience):
            for channel in (*self._channels, SCHEDULES, CONTROL, ECHOES):
                name = sql.Identifier(channel).as_string(line.connection).replace("%", "%%")
                await line.rows(f"listen {name}")

    async def _hears_itself(self, line: Line) -> bool:
        """Whether what is said on the jobs' database arrives here: not through a pooler that lends out sessions."""
        self._word = uuid.uuid4().hex
        self._word_heard.clear()
        mouth = WorkerConnection(self._options.database, "echo", statement_timeout=ANSWER_WITHIN, durable=False)
        try:
            await mouth.rows(ECHO, {"word": self._word})
        finally:
            await mouth.close()
        if await wait_for(self._word_heard, ECHO_WITHIN):
            return True
        with Deadline(line, self._patience):
            # The session is the pooler's: it would go on listening for nobody.
            await line.rows("unlisten *")
        return False

    async def _hold_lock(self, line: Line) -> None:
        with Deadline(line, self._patience):
            await line.rows(HOLD_LOCK, {"worker_id": self.worker_id})

    async def _hear_all(self, line: Line) -> None:
        self.hears = True
        self._told_deaf = False
        self._on_listening()
        # Whatever was said before we listened is found by looking.
        self._on_ready(None)
        self._on_scheduled()
        self._on_schedules()
        self._on_abort()
        self._on_control()
        while True:
            due_in = self._errand_in
            await line.listen(CHECK_EVERY if due_in is None else due_in)
            errand = self._errand
            if errand is None or self._errand_in is None:
                with Deadline(line, self._patience):
                    ((used,),) = await line.rows(NOTIFY_USAGE)
                self._watch.note(self.worker_id, used)
            else:
                await self._run_errand(errand, line)

    @property
    def _errand_in(self) -> float | None:
        """Seconds until there is something to ask for; None: there is nothing."""
        due_in = None if self._errand is None else self._errand.due_in
        return None if due_in is None or time.monotonic() < self._errand_at else due_in

    async def _run_errand(self, errand: Errand, line: Line) -> None:
        worker_id = errand.worker_id
        try:
            with Deadline(line, self._patience):
                rows = await line.rows(LOOK_AROUND, errand.question())
        except StatementRefused:
            if line.closed:
                raise
            # It lives: the server has answered, by it. Whose errand it is will see to it, and say what is wrong.
            self._errand_at = time.monotonic() + CHECK_EVERY
            return
        sight = Sight(*rows[0]) if rows else None
        if sight is not None:
            self._watch.note(self.worker_id, sight.used)
        errand.heed(worker_id, sight)

    def _take(self, channel: str, payload: str) -> None:
        self._meter.notifications += 1
        self.hear(channel, payload)

    def hear(self, channel: str, payload: str) -> None:
        """Pass one notification on. Whatever its payload, the worst it does is to make us look at our rows."""
        if channel == ECHOES:
            if payload == self._word:
                self._word_heard.set()
        elif channel == SCHEDULED:
            self._on_scheduled()
        elif channel == SCHEDULES:
            self._on_schedules()
        elif channel == CONTROL:
            self._on_control()
        elif _is_abort(payload):
            self._on_abort()
        else:
            self._on_ready(named_workers(payload))

    def _say_deaf(self) -> None:
        if not self._told_deaf:
            logger.warning(
                "LISTEN does not work through database %r (%s): polling every %g s. "
                'Set OPTIONS["listen_database"] to an alias of DATABASES that leads to Postgres directly, '
                "or use --no-listen.",
                self._database,
                "it does not lead where the jobs are"
                if self._options.listen_database
                else "a pooler that lends out sessions, as PgBouncer in transaction mode",
                self._options.poll_interval,
            )
        self._told_deaf = True
        self._on_deaf()


def named_workers(payload: str) -> list[int] | None:
    """The workers that a wake-up asks to look, in turn; None: all."""
    if '"workers"' not in payload[:200]:
        return None
    try:
        found = json.loads(payload)["workers"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return found if isinstance(found, list) and found and all(type(number) is int for number in found) else None


def _is_abort(payload: str) -> bool:
    if "abort" not in payload[:200]:
        return False
    try:
        return bool(json.loads(payload).get("type") == "abort_job_requested")
    except (ValueError, AttributeError, RecursionError):
        return False
