"""LibpqStatement: a statement as libpq takes it, and how its parameters are written and its rows read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult

PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")

# Of an enumeration a name takes longer to find than a plain one.
BINARY = pq.Format.BINARY
REFUSED = pq.ExecStatus.FATAL_ERROR
ROWS = pq.ExecStatus.TUPLES_OK


class LibpqStatement:
    """One statement of one connection; what writes its parameters and reads its rows is kept.

    text: numbers stand for the names of parameters.
    """

    def __init__(
        self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], statement: LiteralString
    ) -> None:
        names: dict[str, int] = {}

        def numbered(found: re.Match[str]) -> str:
            return f"${names.setdefault(found[1], len(names) + 1)}" if found[1] else "%"

        self.text = PLACEHOLDER.sub(numbered, statement).encode()
        self._connection = connection
        self._names = list(names)
        self._formats = [PyFormat.TEXT] * len(names)
        self._adapting = Transformer(connection)
        # Whether the readers of the columns are known.
        self._reads = False

    def written(self, parameters: Mapping[str, Any] | None) -> Sequence[Any]:
        """The values in the order of their numbers, as text: what they are is said by each one's cast, or its place."""
        if parameters is None:
            return []
        return self._adapting.dump_sequence([parameters[name] for name in self._names], self._formats)

    def read(self, result: PGresult, *, prepared: bool) -> Sequence[tuple[Any, ...]]:
        """The rows of an answer in binary format. prepared: its columns are those of every answer.

        Raises psycopg's error for what the server has refused.
        """
        if result.status != ROWS:
            self.check(result)
            return ()
        self._adapting.set_pgresult(result, set_loaders=not self._reads)
        self._reads = prepared
        return self._adapting.load_rows(0, result.ntuples, tuple)

    def check(self, result: PGresult) -> None:
        """Raise psycopg's error if an answer, to the statement or to its preparation, is that the server refuses."""
        if result.status == REFUSED:
            raise psycopg.errors.error_from_result(result, self._connection.info.encoding)
