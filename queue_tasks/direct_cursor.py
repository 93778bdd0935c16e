"""DirectCursor: stands below Django's cursor where psycopg's would, for a statement that is sent again and again."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from types import FunctionType
from typing import Any, LiteralString

import psycopg
from django.db.backends import utils
from django.db.backends.postgresql import base
from psycopg import generators, pq
from psycopg.pq.abc import PGresult

from queue_tasks.libpq_statement import BINARY, LibpqStatement

_numbers = itertools.count(1)
"""Of the names of prepared statements: a session that a pool lends may have some of other connections of Django's."""


class DirectCursor:
    """One statement on one session, said and read by libpq's own calls.

    psycopg's cursor is made for any statement: to write the parameters into the text and to find out how to read the
    answer takes it a fifth of the client's time for a job. It still runs what is not the usual case: the first
    statement of a transaction, since psycopg begins those itself, and one on a session in any other state.

    Where Django's settings allow the session to prepare statements (OPTIONS, prepare_threshold), this one is prepared
    after it has run so many times.
    """

    def __init__(self, cursor: psycopg.Cursor[Any], statement: LiteralString) -> None:
        self._cursor = cursor
        self._session = cursor.connection
        self._libpq = cursor.connection.pgconn
        self._statement = LibpqStatement(cursor.connection, statement)
        self._runs = 0
        self._prepared: bytes | None = None
        """The name it is prepared under in the session."""
        self._rows: Sequence[tuple[Any, ...]] = ()

    def execute(self, statement: LiteralString, parameters: Mapping[str, Any]) -> None:
        """Run the statement, the one that this cursor is for. Raises psycopg's errors."""
        if not self._is_usual():
            self._cursor.execute(statement, parameters)
            self._rows = self._cursor.fetchall()
            return
        values = self._statement.written(parameters)
        with self._session.lock:
            try:
                self._rows = self._session.wait(self._ask(values))
            except psycopg.errors.InvalidSqlStatementName:
                # Somebody has taken away what was prepared in his session. In a transaction that is its end.
                if self._prepared is None or self._libpq.transaction_status != pq.TransactionStatus.IDLE:
                    raise
                self._prepared, self._runs = None, 0
                self._rows = self._session.wait(self._ask(values))
        self._runs += 1

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        """The rows."""
        return self._rows

    def _ask(self, values: Sequence[Any]) -> Generator[Any, Any, Sequence[tuple[Any, ...]]]:
        """Send the statement, and give its rows: a generator, as psycopg's way to wait for the socket has it.

        That lets Ctrl-C through and leaves the session usable. If it comes in here, as the statement is sent, the
        session is given up: the server may not have read yet what it would be asked to cancel.
        """
        threshold = self._session.prepare_threshold
        answers: list[PGresult]
        try:
            if self._prepared is None and threshold is not None and self._runs >= threshold:
                name = b"queue_tasks_%d" % next(_numbers)
                self._libpq.send_prepare(name, self._statement.text)
                answers = yield from generators.execute(self._libpq)
                self._statement.check(answers[-1])
                self._prepared = name
            if self._prepared is None:
                self._libpq.send_query_params(self._statement.text, values, result_format=BINARY)
            else:
                self._libpq.send_query_prepared(self._prepared, values, result_format=BINARY)
            answers = yield from generators.execute(self._libpq)
        except (KeyboardInterrupt, SystemExit):
            self._libpq.finish()
            raise
        return self._statement.read(answers[-1], prepared=self._prepared is not None)

    def _is_usual(self) -> bool:
        libpq = self._libpq
        state = libpq.transaction_status
        return (
            (state == pq.TransactionStatus.INTRANS or (state == pq.TransactionStatus.IDLE and self._session.autocommit))
            and libpq.pipeline_status == pq.PipelineStatus.OFF
            and libpq.parameter_status(b"client_encoding") == b"UTF8"
        )


def may_be_passed_by(cursor: utils.CursorWrapper) -> bool:
    """Whether nobody would miss psycopg's cursor below this one of Django's: both are as Django and psycopg made them.

    Who traces psycopg has connections or cursors of his own made, and who traces Django replaces a method.
    """
    below, execute = cursor.cursor, type(cursor).execute
    return (
        type(below).__module__ == base.__name__
        and type(below.connection) is psycopg.Connection
        # Whoever wraps a function may show its attributes as his own, but not its type.
        and type(execute) is FunctionType
        and execute.__code__.co_filename == utils.__file__
    )
