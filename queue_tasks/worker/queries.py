"""Which queries a thread's Django connections are in, how another thread cancels them, and how it sees them end."""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import weakref
from collections.abc import Iterator
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


def cancel_queries(thread: int) -> None:
    """Ask the server to cancel what a thread's Django connections are in the middle of. thread: its ident.

    Returns at once: the asking is a connection of its own, made in a thread of its own. Never raises.
    """
    for raw in _sessions(thread):
        threading.Thread(target=_cancel, args=(raw,), name="queue_tasks cancel", daemon=True).start()


def outlast_queries() -> None:
    """Wait for the end of what this thread's Django connections are in the middle of, so that they are usable again.

    For a thread that something has called away from there; another one cancels it. Never raises.
    """
    for raw in _sessions(threading.get_ident()):
        try:
            # What is left of a pipeline, or of a COPY, is for psycopg to clear up; a COPY ends this wait at once.
            if raw.pgconn.transaction_status == ACTIVE and raw.pgconn.pipeline_status == pq.PipelineStatus.OFF:
                raw.wait(generators.execute(raw.pgconn))
        except Exception as exc:  # noqa: BLE001 - the connection is lost: so is the query
            logger.info("a query's end was not seen: %s", brief(exc))


def _sessions(thread: int) -> Iterator[Any]:
    """The connections of psycopg below those of Django's that a thread has opened."""
    for reference in list(_opened.get(thread, {}).values()):
        connection = reference()
        raw = None if connection is None else connection.connection
        if raw is not None and connection is not None and connection.vendor == "postgresql":
            yield raw


def _cancel(raw: Any) -> None:
    try:
        if raw.info.transaction_status != ACTIVE:
            return
        if psycopg.capabilities.has_cancel_safe() or pq.__impl__ == "python":
            raw.cancel_safe(timeout=CANCEL_WITHIN)
        else:
            _cancel_while_others_run(raw)
    except Exception as exc:  # noqa: BLE001 - closed meanwhile, or out of reach: whoever waits has patience to lose
        logger.info("a query could not be cancelled: %s", brief(exc))


def _cancel_while_others_run(raw: Any) -> None:
    """What psycopg does with a libpq before 17, whose call lasts until the server has answered, however long.

    psycopg's C holds the GIL for it, and all threads stand still; by ctypes only this one does.
    """
    # dlsym also looks into what a library is linked to: so this is the very libpq that has made the connection.
    file = sys.modules[pq.PGconn.__module__].__file__
    # PyDLL keeps the GIL, so that nobody can close the connection before its address has been read.
    get_cancel = ctypes.PyDLL(file).PQgetCancel
    get_cancel.argtypes, get_cancel.restype = [ctypes.c_void_p], ctypes.c_void_p
    request = ctypes.c_void_p(get_cancel(raw.pgconn.pgconn_ptr))
    libpq = ctypes.CDLL(file)
    said = ctypes.create_string_buffer(256)
    try:
        if not libpq.PQcancel(request, said, len(said)):
            raise psycopg.OperationalError(said.value.decode(errors="replace"))
    finally:
        libpq.PQfreeCancel(request)
