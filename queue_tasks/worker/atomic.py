"""Atomic attempts: the body, what it enqueues, its return value and the job's end in one transaction, under the fence.

All of it happens where the body runs, on that thread's Django connection to the jobs' database, and is synchronous:

    begin -> mark the transaction -> body -> finish the job's row, if it is still ours -> commit

So a body whose job was given to another, or whose worker dies at any point, has had no effect at all. The finisher has
nothing to write for an attempt that committed. When the answer to the commit was lost, the row tells later.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import Error, connections, transaction

from queue_tasks.database_errors import brief, is_doubtful, sqlstate
from queue_tasks.exceptions import AtomicBroken, AtomicEnded, AtomicNotCommitted, OutsideAtomic
from queue_tasks.frames import path_of
from queue_tasks.statements import FINISH_ATOMIC, MARK_ATTEMPT
from queue_tasks.tending import is_in_error
from queue_tasks.worker.failures import frames_of

logger = logging.getLogger("queue_tasks.worker")

READS = re.compile(
    r"(\s|\(|--[^\n]*\n|/\*.*?\*/)*(select|show|set|begin|savepoint|release|rollback)\b", re.IGNORECASE | re.DOTALL
)
"""Statements that change nothing of a database, as far as their first word tells. SET is what makes a connection fit,
by Django for MySQL, or by a receiver of `connection_created`: the first read of an attempt may be what opens it."""

ANOTHER_TIME = ("40", "53", "54", "57", "58")
"""How the SQLSTATEs begin of a commit refused for the sake of others, or for want of something; not for the body's."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an atomic attempt must know of its job: plain values, which a child process can be given."""

    task: str
    database: str
    """The alias of the jobs' database."""
    worker_id: int
    job_id: int
    lease: int
    keep: float | None
    """Seconds the row stays once it has succeeded; None: for ever; 0: deleted at once."""
    started: float
    """Of `time.monotonic()`."""
    durable: bool = True
    """False: in a test, whose own transaction is around it; the attempt's is a savepoint then."""


class End(StrEnum):
    """How the transaction of an atomic attempt ended, when its body did not raise."""

    COMMITTED = "committed"
    LOST = "lost"
    """Rolled back: the job was given to another, or is gone."""
    DOUBTFUL = "doubtful"
    """The answer to the commit was lost."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What an atomic attempt gives in place of its body's return value."""

    end: End
    result: str | None = None
    """The return value as JSON text."""
    why: str = ""
    """What was lost with the answer to the commit, for people."""


class _LeaseLost(Exception):  # noqa: N818 - it ends the block, and nobody sees it
    pass


def perform(body: Callable[[], Any], encode: Callable[[Any], str | None], terms: Terms) -> Settled:
    """Run a body and finish its job in one transaction.

    encode: the return value as JSON text; raises what is wrong with it.
    Raises what the body raises, or what is wrong with its transaction; nothing of it stays then, but for AtomicEnded.
    """
    result: str | None = None
    finished = committed = False

    def note_commit() -> None:
        nonlocal committed
        committed = True

    try:
        if terms.durable and not transaction.get_autocommit(using=terms.database):
            # Where Django was told to manage no transactions, it would not commit this one. Switched back when tended.
            transaction.set_autocommit(True, using=terms.database)
        with transaction.atomic(using=terms.database, durable=terms.durable), _only(terms):
            _run(terms, MARK_ATTEMPT)
            transaction.on_commit(note_commit, using=terms.database)
            result = encode(body())
            _finish(terms, result)
            finished = True
        # Within this block: also a timeout that strikes here must not hide that it is committed.
        return Settled(End.COMMITTED, result)
    except _LeaseLost:
        return Settled(End.LOST)
    except BaseException as exc:
        if committed:
            # The job has succeeded. The first function waiting for the commit was ours, so this is of a later one.
            # Not its message, which may quote arguments.
            logger.error(  # noqa: TRY400 - the same
                "job %d of %s: a function given to transaction.on_commit raised %s:\n%s",
                terms.job_id,
                terms.task,
                path_of(type(exc)),
                frames_of(exc),
                extra={"job_id": terms.job_id, "task": terms.task, "worker_id": terms.worker_id},
            )
            return Settled(End.COMMITTED, result)
        if not finished:
            raise
        if _may_be_committed(exc):
            return Settled(End.DOUBTFUL, result, f"{type(exc).__name__}: {brief(exc)}")
        if sqlstate(exc).startswith(ANOTHER_TIME):
            raise AtomicNotCommitted(terms.task, brief(exc)) from exc
        raise


def _finish(terms: Terms, result: str | None) -> None:
    """Write the success of the job, as the last statement of its transaction."""
    connection = connections[terms.database]
    if connection.needs_rollback or is_in_error(connection):
        raise AtomicBroken(terms.task)
    mark, status = _run(terms, FINISH_ATOMIC, result=result)
    if mark != _mark(terms):
        raise AtomicEnded(terms.task)
    if status is None:
        raise _LeaseLost


def _run(terms: Terms, statement: str, *, result: str | None = None) -> tuple[Any, ...]:
    """Run one of our two statements in the body's transaction; its one row.

    Raises AtomicNotCommitted: whatever goes wrong with them is not the body's fault, and nothing is committed.
    """
    parameters: dict[str, Any] = {
        "mark": _mark(terms),
        "worker_id": terms.worker_id,
        "id": terms.job_id,
        "lease": terms.lease,
        "result": result,
        "started_ago": time.monotonic() - terms.started,
        "keep": terms.keep,
    }
    try:
        with connections[terms.database].cursor() as cursor:
            cursor.execute(statement, parameters)
            row: tuple[Any, ...] = cursor.fetchone()
            return row
    except Error as exc:
        # In one sentence; all the words of the server are in the traceback, as those of any error that a job ends with.
        raise AtomicNotCommitted(terms.task, brief(exc)) from exc


def _mark(terms: Terms) -> str:
    return f"{terms.job_id}:{terms.lease}"


@contextmanager
def _only(terms: Terms) -> Iterator[None]:
    """While the body runs, refuse what would change another database: it could not be undone with the rest."""
    others = [(connections[alias], _refuser(terms, alias)) for alias in connections if alias != terms.database]
    for connection, refuser in others:
        connection.execute_wrappers.append(refuser)
    try:
        yield
    finally:
        # Not Django's execute_wrapper, which takes off the last one, whoever has come after.
        for connection, refuser in others:
            connection.execute_wrappers.remove(refuser)


def _refuser(terms: Terms, alias: str) -> Callable[..., Any]:
    def execute(run: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001 - Django's
        text = sql if isinstance(sql, str) else sql.decode() if isinstance(sql, bytes) else sql.as_string(None)
        if not READS.match(text):
            raise OutsideAtomic(terms.task, alias, terms.database, text)
        return run(sql, params, many, context)

    return execute


def _may_be_committed(error: BaseException) -> bool:
    """Whether a commit that raised may have happened: not if the server has refused it."""
    cause = error.__cause__
    if isinstance(error, Error) and isinstance(cause, Exception):
        return is_doubtful(cause)
    # Such as a timeout that struck while the commit was under way.
    return not isinstance(error, Error)
