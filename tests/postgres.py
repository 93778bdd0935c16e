"""Where the tests' databases come from.

The server    DATABASE_URL when set; else TEST_POSTGRES=15|16|18 (default 18), started by `site_app.embedded_postgres`
              in a temporary folder, one for all processes of a test run, gone with the last of them.
The locale    TEST_LOCALE=icu:en-US or libc:en_US.UTF-8, by which all of their databases sort; unset: by code point.
The template  one migrated database per server, state of the schema and locale; made by the process that comes first.
The clones    one per test process, and one for each test that asks for `migrated_database`: a file copy, 30-50 ms.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres, forget_libpq_settings

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATE_LOCK = 7_110_820  # any number: the advisory lock under which a template is made

# The same in all processes of one run; xdist sets the variables for its workers.
RUN = os.environ.setdefault("QUEUE_TASKS_TEST_RUN", uuid.uuid4().hex[:8])
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "main")

LOCALE = os.environ.get("TEST_LOCALE", "").strip()

UNDISTURBED = {"autovacuum": "off"}
"""Of the tests' server: what a statement reads is counted, and a template can be cloned, with nobody else at work."""

STRICT = {"plpgsql.extra_errors": "all"}
"""A function that takes one of several rows by chance, or hides one variable by another, fails."""

# All databases of this process start with it; the guard against leaked connections looks for it.
PREFIX = f"queue_tasks_test_{RUN}_{PROCESS}"


@functools.cache
def server_url() -> str:
    """Return the URL of a database on the server, through which others are created; starts the server when needed."""
    given = os.environ.get("DATABASE_URL", "").strip()
    return given or embedded_server().start()


@functools.cache
def embedded_server() -> EmbeddedPostgres:
    """Return this process's handle on the run's own server."""
    forget_libpq_settings()
    version = os.environ.get("TEST_POSTGRES") or os.environ.get("PGSERVER_POSTGRES_VERSION") or "18"
    folder = Path(tempfile.gettempdir()) / f"queue_tasks-tests-{os.geteuid()}-{RUN}"
    return EmbeddedPostgres(folder, version=version, settings={**FORGETFUL, **UNDISTURBED, **STRICT}, temporary=True)


def url_of(database: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(server_url())._replace(path=f"/{database}"))


def execute(statement: sql.Composed) -> None:
    """Run one statement that concerns whole databases."""
    with psycopg.connect(server_url(), autocommit=True, application_name="tests.postgres") as connection:
        connection.execute(statement)


@contextlib.contextmanager
def database(name: str, template: str | None = None, *, locale: str = LOCALE, encoding: str = "") -> Iterator[str]:
    """Create a database, give its URL, and drop it with whatever is still connected to it.

    Without a template it is empty, and sorts by `locale`; one of another encoding than UTF8, by code point.
    """
    name_ = sql.Identifier(name)
    execute(sql.SQL("create database {} template {}").format(name_, made_from(template, locale, encoding)))
    try:
        yield url_of(name)
    finally:
        execute(sql.SQL("drop database if exists {} with (force)").format(name_))


def made_from(template: str | None = None, locale: str = LOCALE, encoding: str = "") -> sql.Composable:
    """Return what follows the word `template` where a database is created."""
    if template is not None:
        return sql.Identifier(template)
    if encoding:
        return sql.SQL("template0 locale_provider libc locale 'C' encoding {}").format(encoding)
    if not locale:
        return sql.Identifier("template1")
    provider, _, name = locale.partition(":")
    options = {"icu": "template0 locale_provider icu icu_locale {}", "libc": "template0 locale_provider libc locale {}"}
    if provider not in options or not name:
        msg = f"TEST_LOCALE is {locale!r}, expected icu:LOCALE or libc:LOCALE, such as icu:en-US or libc:en_US.UTF-8"
        raise ValueError(msg)
    return sql.SQL(options[provider]).format(name)


def template_database(migrate: Callable[[str], None]) -> str:
    """Return the name of the migrated template, made by `migrate(url)` when this server has none for this schema."""
    name = f"queue_tasks_template_{schema_fingerprint()}"
    with psycopg.connect(server_url(), autocommit=True, application_name="tests.postgres") as connection:
        connection.execute("select pg_advisory_lock(%s)", [TEMPLATE_LOCK])
        # datistemplate is set last: a database without it was left by a run that was interrupted.
        found = connection.execute("select datistemplate from pg_database where datname = %s", [name]).fetchone()
        if found == (True,):
            return name
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(identifier))
        connection.execute(sql.SQL("create database {} template {}").format(identifier, made_from()))
        migrate(url_of(name))
        # Nobody may connect: a template in use cannot be cloned, and a changed one would change every test.
        connection.execute(
            sql.SQL("alter database {} with is_template true allow_connections false").format(identifier)
        )
    return name


def schema_fingerprint() -> str:
    """Return a short hash of all that decides what a migrated database looks like."""
    digest = hashlib.sha256(LOCALE.encode())
    for distribution in ("Django", "procrastinate"):
        digest.update(f"{distribution} {importlib.metadata.version(distribution)}\n".encode())
    files = [
        *PROJECT.glob("sql/**/*.sql"),
        *PROJECT.glob("queue_tasks/**/*.py"),
        *PROJECT.glob("tests/testapp/**/*.py"),
    ]
    # Of the library's modules, those that take part in a migration.
    for file in sorted(path for path in files if path.suffix == ".sql" or is_about_schema(path)):
        digest.update(f"{file.relative_to(PROJECT)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def is_about_schema(path: Path) -> bool:
    """Tell whether a Python file can change what `migrate` does."""
    return "migrations" in path.parts or path.stem in {"apps", "models", "schema", "settings"}
