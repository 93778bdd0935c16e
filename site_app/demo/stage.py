"""Where the demo plays: a database and a folder of its own, made afresh, so that nothing of `make run` is touched."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from site_app.demo.pictures import SCENES
from site_app.embedded_postgres import database_url
from site_app.processes import PROJECT
from site_app.sql import read_sql

SQL = Path(__file__).parent / "sql"
DATABASE = os.environ.get("SITE_DEMO_DATABASE") or "queue_tasks_demo"


class DemoError(Exception):
    """Something that must be true is not; the message says what was found."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The places of one demo."""

    database_url: str
    version: str
    """Of Postgres."""
    embedded: bool
    folder: Path
    """pictures/, media/, logs/"""
    gallery_limit: int
    """Photos the site takes: those of the demo and not one more."""

    @property
    def pictures(self) -> Path:
        """The photographs to upload."""
        return self.folder / "pictures"

    @property
    def media(self) -> Path:
        """The site's own files."""
        return self.folder / "media"

    @property
    def logs(self) -> Path:
        """What the programs say."""
        return self.folder / "logs"

    @property
    def env(self) -> dict[str, str]:
        """The environment of the programs."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "site_app.settings",
            "DATABASE_URL": self.database_url,
            "SITE_MEDIA_ROOT": str(self.media),
            "SITE_GALLERY_LIMIT": str(self.gallery_limit),
            "SITE_SCHEDULES": "0",
            "PYTHONUNBUFFERED": "1",
        }


@contextmanager
def stage(*, photos: int) -> Iterator[Stage]:
    """An empty database and empty folders; the database is dropped at the end, the pictures stay to be looked at.

    photos: how many the visitor has; 0: those of pictures.py.
    """
    embedded = not os.environ.get("DATABASE_URL", "").strip()
    server = database_url()
    folder = Path(os.environ.get("SITE_DEMO_FOLDER") or PROJECT / ".cache" / "demo")
    with psycopg.connect(server, autocommit=True, application_name="site_app demo") as connection:
        take_turn(connection)
        make_folders(folder)
        try:
            create_database(connection)
            version = str(connection.info.server_version // 10000)
            yield Stage(database_of(server), version, embedded, folder, photos or len(SCENES))
        finally:
            drop_database(connection)


def take_turn(connection: psycopg.Connection) -> None:
    """Be the only demo with this database, until the connection ends; two would drop it under each other's feet."""
    if connection.execute(read_sql(SQL / "take_turn.sql"), {"database": DATABASE}).fetchone() != (True,):
        raise DemoError(
            f"Another demo is running in the database {DATABASE}. Wait until it has ended, or name another one: "
            "SITE_DEMO_DATABASE=queue_tasks_demo_2 SITE_DEMO_FOLDER=/tmp/demo_2"
        )


def make_folders(folder: Path) -> None:
    """Empty folders."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("pictures", "media", "logs"):
        (folder / name).mkdir(parents=True)


def create_database(connection: psycopg.Connection) -> None:
    """An empty database. Raises DemoError when the account may not make one."""
    drop_database(connection)
    try:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise DemoError(
            f"The demo needs a database of its own, and {connection.info.user} may not create one here. "
            f"Allow it (alter role {connection.info.user} createdb) or unset DATABASE_URL to use an embedded Postgres."
        ) from error


def drop_database(connection: psycopg.Connection) -> None:
    """Drop the demo's database with whatever is connected to it."""
    connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(DATABASE)))


def database_of(server: str) -> str:
    """The URL of the demo's database on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{DATABASE}"))


def since(began: float) -> float:
    """Seconds since then."""
    return time.monotonic() - began
