"""The socket underneath a connection of psycopg."""

from __future__ import annotations

import contextlib
import os
import socket

import psycopg


def cut(connection: psycopg.Connection[object] | psycopg.AsyncConnection[object]) -> None:
    """End both directions of a connection's socket: whoever waits for it is told that it has ended."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
