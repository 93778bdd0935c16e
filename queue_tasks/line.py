"""Line: statements and notifications on an open connection of psycopg, by the calls of libpq underneath its cursors.

A worker sends the same few statements for as long as it lives, one at a time. So each is prepared once, what writes its
parameters and reads its rows is kept, and the event loop watches the socket throughout: whatever comes is taken in the
turn in which it comes. A cursor, ready for any statement, takes twice the time to send one and read its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGresult

from queue_tasks.libpq_statement import BINARY, LibpqStatement
from queue_tasks.sockets import cut

CANCEL_WITHIN = 5.0
"""Seconds the server has to take the request to cancel a statement."""

COPIES = frozenset({pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH})
"""Answers that only what is copied can follow."""


class Line:
    """Used on one event loop, by one caller at a time. It alone speaks on the connection, and closes it.

    hear is called with the channel and the payload of each notification; None: nobody cares.
    """

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], *, hear: Callable[[str, str], None] | None = None
    ) -> None:
        self.connection = connection
        self.direct = False
        """Whether the session is known to be ours alone, with no pooler in between: then statements are prepared."""
        self._libpq = connection.pgconn
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._known: dict[str, _Statement] = {}
        # The descriptor that the loop watches for us until the line is lost. And whether something is left to send.
        self._watched = self._libpq.socket
        self._loop.add_reader(self._watched, self._receive)
        self._sending = False
        # Who waits for an answer, which is the loss of the line at the worst, and what has come of it.
        self._asked: asyncio.Future[PGresult | Exception] | None = None
        self._result: PGresult | None = None
        self._lost: asyncio.Future[Exception] = self._loop.create_future()

    async def rows(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[tuple[Any, ...]]:
        """Run one statement and give its rows. Raises psycopg's errors."""
        known = self._known.get(statement)
        if known is None:
            name = b"queue_tasks_%d" % len(self._known)
            known = self._known[statement] = _Statement(self.connection, name, statement)
        elif self.direct and not known.is_prepared:
            # What is sent a second time will be sent for ever.
            self._check()
            self._libpq.send_prepare(known.name, known.text)
            known.check(await self._answer())
            known.is_prepared = True
        values = known.written(parameters)
        self._check()
        if known.is_prepared:
            self._libpq.send_query_prepared(known.name, values, result_format=BINARY)
        else:
            self._libpq.send_query_params(known.text, values, result_format=BINARY)
        return known.read(await self._answer(), prepared=known.is_prepared)

    async def listen(self, seconds: float, until: asyncio.Future[Any] | None = None) -> None:
        """Hear notifications for so many seconds, or until something is done. Raises when the line is lost."""
        ends = [self._lost] if until is None else [self._lost, until]
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self._check()

    @property
    def closed(self) -> bool:
        """Whether nothing can be said any more: the line is lost, or its connection was closed."""
        return self._lost.done() or self.connection.closed

    async def close(self) -> None:
        """Close the connection."""
        self.lose(psycopg.OperationalError("the connection was closed"))
        await self.connection.close()

    def lose(self, error: Exception) -> None:
        """Send and hear nothing more, ever; who waits for something, and who asks later, is told of the error."""
        if not self._lost.done():
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            self._lost.set_result(error)
        asked, self._asked = self._asked, None
        if asked is not None and not asked.done():
            # The server's last words say more than that it has hung up.
            asked.set_result(self._result or error)

    async def _answer(self) -> PGresult:
        """What the server makes of what was just sent."""
        self._result = None
        asked: asyncio.Future[PGresult | Exception] = self._loop.create_future()
        self._asked = asked
        self._send()
        try:
            answer = await asked
        except asyncio.CancelledError:
            if self._asked is asked:
                # It is still under way. Should it end well all the same, nobody hears of it.
                ended = self._asked = self._loop.create_future()
                await self._cancel()
                await ended
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _cancel(self) -> None:
        """Make what is under way end soon, without waiting for a server that is silent."""
        if psycopg.capabilities.has_cancel_safe():
            with contextlib.suppress(psycopg.Error):
                await self.connection.cancel_safe(timeout=CANCEL_WITHIN)
        else:
            # A libpq before 17 waits until the server has answered, however long, and psycopg's C holds the GIL for it.
            # So the server is left to its statement timeout.
            cut(self.connection)

    # ------------------------------------------------------------------------------------------------------ the socket

    def _check(self) -> None:
        """Raise what the line was lost by, if it was."""
        if self._lost.done():
            raise self._lost.result()

    def _send(self) -> None:
        """Send what is left to send, as far as the socket takes it."""
        try:
            left = self._libpq.flush() != 0
        except psycopg.Error as exc:
            self.lose(exc)
            return
        if left == self._sending:
            return
        self._sending = left
        if left:
            self._loop.add_writer(self._watched, self._send)
        else:
            self._loop.remove_writer(self._watched)

    def _receive(self) -> None:
        libpq = self._libpq
        try:
            libpq.consume_input()
            while (notice := libpq.notifies()) is not None:
                if self._hear is not None:
                    self._hear(notice.relname.decode(errors="replace"), notice.extra.decode(errors="replace"))
            while self._asked is not None and not libpq.is_busy():
                result = libpq.get_result()
                if result is not None:
                    if result.status in COPIES:
                        # It would be said again for ever.
                        self.lose(psycopg.NotSupportedError("COPY is not spoken on a Line: it needs a cursor"))
                        return
                    self._result = result
                    continue
                asked, self._asked = self._asked, None
                if not asked.done():
                    asked.set_result(self._result or psycopg.OperationalError("the server gave no answer"))
        except Exception as exc:  # noqa: BLE001 - whatever it is, what else the line would say is not known any more
            self.lose(exc)


class _Statement(LibpqStatement):
    """One that may be prepared, under a name."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], name: bytes, statement: LiteralString) -> None:
        super().__init__(connection, statement)
        self.name = name
        self.is_prepared = False
