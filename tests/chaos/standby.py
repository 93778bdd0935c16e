"""A standby of a server of the tests, and its promotion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from site_app.embedded_postgres import SUPERUSER, EmbeddedPostgres
from site_app.embedded_postgres.accounts import run_as
from site_app.embedded_postgres.binaries import binaries_for
from site_app.embedded_postgres.folders import make_folder
from tests.waiting import wait_until


@contextmanager
def standby_of(primary: EmbeddedPostgres, folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server in this folder that follows another one, from now on; ended, and its folder removed, at the end."""
    standby = EmbeddedPostgres(folder, version=primary.version, settings=primary.settings, temporary=True)
    make_folder(folder, standby.account)
    binaries = binaries_for(standby.version, folder, standby.account)
    source = [f"--host={primary.socket_folder()}", f"--username={SUPERUSER}", f"--port={primary.settings['port']}"]
    run_as(
        standby.account,
        # -R writes down whom to follow; the copy's own settings (its socket) are written when it is started.
        [str(binaries / "pg_basebackup"), *source, "--pgdata", str(standby.data), "-R", "--checkpoint=fast"],
        what=f"no copy of {primary!r} could be made in {folder}",
    )
    with standby:
        yield standby


def promote(standby: EmbeddedPostgres) -> None:
    """Make it the primary; on return it takes writes."""
    with psycopg.connect(standby.url, autocommit=True, application_name="chaos promote") as connection:
        connection.execute("select pg_promote()")
        wait_until(lambda: connection.execute("select pg_is_in_recovery()").fetchone() == (False,), 30)
