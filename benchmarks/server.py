"""The Postgres that is measured on: the embedded server, with the settings Postgres ships, and our statements."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from site_app.embedded_postgres import EmbeddedPostgres, forget_libpq_settings

SQL = Path(__file__).parent / "sql"

SHOWN = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
)
"""Settings that decide about speed; all are as Postgres ships them."""


@functools.cache
def statement(name: str) -> str:
    """The text of benchmarks/sql/NAME.sql."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


class Server:
    """One server for a whole run."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres

    def url(self, database: str) -> str:
        """The URL of a database."""
        return self._postgres.url_of(database)

    def libpq(self, database: str) -> dict[str, str]:
        """The same as the environment variables that every client of Postgres reads."""
        parts = urlsplit(self.url(database))
        return {
            "PGHOST": unquote(parts.hostname or ""),
            "PGPORT": str(parts.port),
            "PGUSER": parts.username or "",
            "PGDATABASE": database,
        }

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A session in autocommit mode."""
        return psycopg.connect(self.url(database), autocommit=True, application_name="benchmarks")

    def rows(self, database: str, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run benchmarks/sql/NAME.sql in a session of its own; what it gives."""
        with self.connect(database) as connection:
            # Without parameters a file may hold several statements.
            cursor = connection.execute(statement(name).encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, database: str, name: str, **parameters: Any) -> Any:
        """The first column of the first row."""
        return self.rows(database, name, **parameters)[0][0]

    def for_database(self, name: str, database: str, template: str = "template1") -> None:
        """Run benchmarks/sql/server/NAME.sql, which concerns a whole database."""
        text = sql.SQL(statement(f"server/{name}"))
        with self.connect("postgres") as connection:
            connection.execute(
                text.format(database=sql.Identifier(database), template=sql.Identifier(template)), prepare=False
            )

    def log_size(self) -> int:
        """Bytes of the server's log so far."""
        return self._postgres.log.stat().st_size

    def logged_since(self, size: int) -> str:
        """What the server's log has got since it had that size."""
        with self._postgres.log.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")

    @property
    def postgres_version(self) -> str:
        """Major version, as the embedded server names its binaries."""
        return self._postgres.version

    def describe(self) -> str:
        """Version and settings, in one sentence."""
        with self.connect("postgres") as connection:
            found = {name: connection.execute(b"select current_setting(%s)", [name]).fetchone() for name in SHOWN}
            version = connection.execute(b"show server_version").fetchone()
        settings = ", ".join(f"{name} {value[0]}" for name, value in found.items() if value)
        return f"Postgres {version[0] if version else '?'} on a local socket, settings as shipped: {settings}"


@contextmanager
def running() -> Iterator[Server]:
    """A server of this run alone; nothing of it is left."""
    forget_libpq_settings()
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        EmbeddedPostgres(Path(folder) / "pg", temporary=True, settings={"log_line_prefix": "%d "}) as postgres,
    ):
        yield Server(postgres)
