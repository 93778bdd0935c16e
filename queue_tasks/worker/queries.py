"""Which queries a thread's Django connections are in, how another thread cancels them, and how it leaves them itself.

A request to cancel is a connection of its own, and names a session: what comes late strikes whatever the session is at
by then. It is over once the server has closed that connection, which it does after it has told the session; what a
session hears of between two queries it ignores. So whoever is cancelled goes on to nothing new before each request is
over, and keeps no session for others that one may still strike. Who is not cancelled pays nothing for it.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg import generators, pq

from queue_tasks.database_errors import brief
from queue_tasks.line import CANCEL_WITHIN

logger = logging.getLogger("queue_tasks.worker")

ACTIVE = pq.TransactionStatus.ACTIVE

# Thread -> alias -> its connection: written by that thread, when it connects.
_opened: dict[int, dict[str, weakref.ref[BaseDatabaseWrapper]]] = {}


def _note(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _opened.setdefault(threading.get_ident(), {})[connection.alias] = weakref.ref(connection)


connection_created.connect(_note, dispatch_uid="queue_tasks.worker.queries")


class _Request:
    """To cancel what a session is in the middle of: of one thread, which has to see the end of it."""

    def __init__(self, connection: BaseDatabaseWrapper, session: Any) -> None:
        self._connection = connection
        self._session = session
        self._over_by = time.monotonic() + CANCEL_WITHIN
        self._ended = threading.Event()
        self._can_strike = True

    def start(self) -> None:
        """Ask the server, in a thread of its own. Never raises."""
        try:
            threading.Thread(target=self._send, name="queue_tasks cancel", daemon=True).start()
        except RuntimeError as exc:
            logger.warning("a query could not be cancelled: %s", exc)
            self.withdraw()

    def _send(self) -> None:
        try:
            if self._is_ours() and self._session.info.transaction_status == ACTIVE:
                _cancel(self._session)
            self._can_strike = False
        except Exception as exc:  # noqa: BLE001 - closed meanwhile, or out of reach: whoever waits has patience to lose
            logger.info("a query could not be cancelled: %s", brief(exc))
        finally:
            self._ended.set()

    def withdraw(self) -> None:
        """Ask for nothing."""
        self._can_strike = False
        self._ended.set()

    def outlast(self) -> bool:
        """Wait for its end, as long as that may take; whether it is over."""
        self._ended.wait(max(0.0, self._over_by - time.monotonic()))
        return not self._can_strike

    def give_session_up(self) -> None:
        """Nobody uses the session again. For its own thread. Never raises."""
        try:
            if self._is_ours():
                # First: Django's close may give it back to a pool.
                self._session.pgconn.finish()
                self._connection.close()
        except Exception as exc:  # noqa: BLE001 - nobody uses it all the same
            logger.info("a connection that is given up was not closed: %s", brief(exc))

    def _is_ours(self) -> bool:
        """Whether the thread has the session yet, and has not given it back to a pool."""
        return self._connection.connection is self._session


# Thread -> what has been asked of its sessions: written by whoever asks, taken by that thread at the end of its job.
_requests: dict[int, list[_Request]] = {}


def cancel_queries(thread: int, still: Callable[[], bool] = lambda: True) -> None:
    """Ask the server to cancel what a thread's Django connections are in the middle of. thread: its ident.

    still: whether the thread is at that yet; asked when it can see the requests, so that it goes on to nothing else if
    the answer is yes. Returns at once. Never raises.
    """
    requests = [_Request(connection, session) for connection, session in _sessions(thread)]
    _requests.setdefault(thread, []).extend(requests)
    asked = still()
    for request in requests:
        if asked:
            request.start()
        else:
            request.withdraw()


def leave_queries() -> None:
    """Cancel what this thread's Django connections are in the middle of: something has called it away from there.

    Returns when what they do next is struck by no request, of this thread or another. What has come of a query they
    read before that, not here: the thread may be within libpq, which calls Python to tell of a notice. Never raises.
    """
    thread = threading.get_ident()
    left = [session for _, session in _sessions(thread) if session.pgconn.transaction_status == ACTIVE]
    if left:
        cancel_queries(thread)
    for request in _requests.get(thread, ()):
        request.outlast()
    for session in left:
        _read_before_use(session)


def be_done_with_cancels() -> None:
    """At the end of this thread's job: what it does next is struck by no request. A session that might be is closed."""
    for request in _requests.pop(threading.get_ident(), ()):
        if not request.outlast():
            request.give_session_up()


def _sessions(thread: int) -> Iterator[tuple[BaseDatabaseWrapper, Any]]:
    """The connections of Django's that a thread has opened, and psycopg's below them."""
    for reference in list(_opened.get(thread, {}).values()):
        connection = reference()
        raw = None if connection is None else connection.connection
        if raw is not None and connection is not None and connection.vendor == "postgresql":
            yield connection, raw


def _read_before_use(session: Any) -> None:
    """Let a session, at the next thing it is to wait for, wait first for the end of the query that it was left in."""

    def wait(*arguments: Any, **options: Any) -> Any:
        del session.wait
        libpq = session.pgconn
        try:
            # What is left of a pipeline, or of a COPY, is for psycopg to clear up; a COPY ends this wait at once.
            if libpq.transaction_status == ACTIVE and libpq.pipeline_status == pq.PipelineStatus.OFF:
                session.wait(generators.execute(libpq))
        except Exception as exc:  # noqa: BLE001 - the connection is lost: so is the query
            logger.info("a query's end was not seen: %s", brief(exc))
        return session.wait(*arguments, **options)

    session.wait = wait


def _cancel(session: Any) -> None:
    """Ask the server to cancel what a session is in the middle of; returns when it has. Raises psycopg's errors.

    * libpq 17 or newer: `cancel_safe` waits for the server as psycopg waits for anything.
    * An older libpq, psycopg without its C: the same; it takes libpq's older call there, by ctypes.
    * An older libpq, psycopg's C: that call by ctypes as well, since the C would hold the GIL until it returns.
    """
    if psycopg.capabilities.has_cancel_safe() or pq.__impl__ == "python":
        session.cancel_safe(timeout=CANCEL_WITHIN)
    else:
        _cancel_while_others_run(session)


def _cancel_while_others_run(session: Any) -> None:
    """By the call of a libpq before 17, which lasts until the server has answered: no thread but this one waits."""
    # dlsym also looks into what a library is linked to: so this is the very libpq that has made the connection.
    file = sys.modules[pq.PGconn.__module__].__file__
    # PyDLL keeps the GIL, so that nobody can close the connection before its address has been read.
    get_cancel = ctypes.PyDLL(file).PQgetCancel
    get_cancel.argtypes, get_cancel.restype = [ctypes.c_void_p], ctypes.c_void_p
    request = ctypes.c_void_p(get_cancel(session.pgconn.pgconn_ptr))
    libpq = ctypes.CDLL(file)
    said = ctypes.create_string_buffer(256)
    try:
        if not libpq.PQcancel(request, said, len(said)):
            raise psycopg.OperationalError(said.value.decode(errors="replace"))
    finally:
        libpq.PQfreeCancel(request)
