"""Whether the worker of this host is alive, for the health check of a container.

Called by   docker-compose.yml, inside a worker's container
Exit codes  0 a worker of this host has sent a heartbeat lately, 1 none has, or the database cannot be asked
"""

from __future__ import annotations

import os
import socket
import sys

import psycopg

OLDEST_HEARTBEAT = 15  # seconds; a healthy worker sends one every 2


def main() -> int:
    """Ask the database; returns the exit code."""
    host = socket.gethostname()
    try:
        with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=4) as connection:
            row = connection.execute(
                "select count(*) from procrastinate_workers"
                " where qt_host = %s and last_heartbeat > now() - make_interval(secs => %s)",
                [host, OLDEST_HEARTBEAT],
            ).fetchone()
    except (KeyError, psycopg.Error) as problem:
        print(f"the database cannot be asked: {problem!r}", file=sys.stderr)
        return 1
    if row is None or row[0] == 0:
        print(f"no worker on {host} has sent a heartbeat within {OLDEST_HEARTBEAT} s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
