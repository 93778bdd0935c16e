"""Leaks: what a task leaves in the session of a Django connection, beyond its transaction, for the next job to meet.

SET, SET ROLE, set_config(..., false), temporary tables, LISTEN, and session advisory locks that are not given back. It
is told from the statements that pass through Django's cursors, which costs no round trip; what a task does behind them,
on psycopg's own connection or in a function of the database, is not seen.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg import sql

SUSPECT_STARTS = ("set", "reset", "create", "listen", "unlisten", "discard", "/*", "--")
SUSPECT_PARTS = (";", "set_config", "advisory_", "into temp")


def is_suspect(statement: str) -> bool:
    """Whether a statement has what those have that leave something behind or undo it; for the rest, this is all."""
    text = statement.lstrip().lower()
    return text.startswith(SUSPECT_STARTS) or any(part in text for part in SUSPECT_PARTS)


START = r"(?:\A|;)\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*"

RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for kind, pattern in (
        ("set", START + r"set\s+(?:session\s+)?(?!local\b|constraints\b|transaction\b)(?P<name>\w+)"),
        # Not when its last argument is true: then it ends with the transaction.
        ("set", r"\bset_config\s*\(\s*'?(?P<name>[\w.]*)(?!.*?,\s*(?:true|'t(?:rue)?'|'on')\s*\))"),
        ("reset", START + r"reset\s+(?:session\s+)?(?P<name>\w+)"),
        ("temp", START + r"create\s+(?:global\s+|local\s+)?temp(?:orary)?\s+(?P<name>\w+)"),
        ("temp", r"\binto\s+temp(?:orary)?\s+(?P<name>\w+)"),
        ("listen", START + r"listen\s+(?P<name>[^\s;]+)"),
        ("unlisten", START + r"unlisten\s+(?P<name>[^\s;]+)"),
        ("discard", START + r"discard\s+(?P<name>all|temp)"),
        ("lock", r"\bpg_(?:try_)?advisory_lock(?:_shared)?\s*(?P<name>)\("),
        ("unlock", r"\bpg_advisory_unlock(?P<name>_all|)(?:_shared)?\s*\("),
    )
)


class Session:
    """What the present task has left in one connection's session; an execute_wrapper of that connection."""

    def __init__(self) -> None:
        self.left: dict[str, str] = {}
        """What was left, in the words of a message, by a key of its own."""
        self._locks = 0
        self._opening: object = None

    def __call__(self, execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        """Run a statement, and note what it leaves."""
        result = execute(statement, params, many, context)
        text = statement if isinstance(statement, str) else _text(statement)
        if is_suspect(text) and context["connection"].run_on_commit is not self._opening:
            for kind, name in effects(text):
                self._note(kind, name)
        return result

    def forget(self) -> None:
        """Another task begins, or another session."""
        self.left.clear()
        self._locks = 0

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Another session has been opened. What receivers of `connection_created` do to it, every task is to meet."""
        self.forget()
        # Django makes a new list of these when all receivers have been called, whatever their order.
        self._opening = connection.run_on_commit

    def _note(self, kind: str, name: str) -> None:
        match kind, name:
            case "set" | "listen", _:
                self.left[f"{kind} {name}"] = f"{kind.upper()} {name or '...'}"
            case "temp", _:
                self.left["temp"] = "a temporary table"
            case "lock", _:
                self._locks += 1
                self.left["lock"] = "a session advisory lock"
            case "unlock", _:
                self._locks = 0 if name else max(0, self._locks - 1)
                if not self._locks:
                    self.left.pop("lock", None)
            case "discard", "all":
                self.forget()
            case "discard", _:
                self.left.pop("temp", None)
            case _:
                self._undo("set " if kind == "reset" else "listen ", name)

    def _undo(self, start: str, name: str) -> None:
        everything = name in ("all", "*")
        for key in [key for key in self.left if key == start + name or (everything and key.startswith(start))]:
            del self.left[key]


def effects(statement: str) -> Iterator[tuple[str, str]]:
    """What a statement does to its session, as pairs of a kind, which RULES has, and a name."""
    for kind, pattern in RULES:
        for match in pattern.finditer(statement):
            yield kind, match["name"].lower()


def of(connection: BaseDatabaseWrapper) -> list[str]:
    """What the present task has left in a connection's session, in words; nothing for one that is not watched."""
    session = _watched(connection)
    return list(session.left.values()) if session else []


def forget(connection: BaseDatabaseWrapper) -> None:
    """The next task begins, or the next session."""
    session = _watched(connection)
    if session:
        session.forget()


def _watched(connection: BaseDatabaseWrapper) -> Session | None:
    return next((wrapper for wrapper in connection.execute_wrappers if isinstance(wrapper, Session)), None)


_here = threading.local()


def watch_this_thread() -> None:
    """Watch every connection that is opened in this thread from now on."""
    _here.watched = True


def _opened(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if getattr(_here, "watched", False) and connection.vendor == "postgresql":
        session = _watched(connection)
        if session is None:
            session = Session()
            connection.execute_wrappers.append(session)
        session.begin(connection)


connection_created.connect(_opened, dispatch_uid="queue_tasks.leaks")


def _text(statement: Any) -> str:
    """The text of a psycopg.sql object; without a connection, which only quoting could need."""
    if isinstance(statement, sql.Composable):
        return statement.as_string(None)
    return bytes(statement).decode("utf-8", "replace") if isinstance(statement, bytes) else str(statement)
