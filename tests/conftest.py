"""What every test may use: databases, and the guards that fail a test which leaves something behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import dj_database_url
import hypothesis
import psycopg
import pytest
from asgiref.sync import SyncToAsync
from django.core.management import call_command
from django.db import connections
from django.test import TestCase, TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests import postgres
from tests.waiting import wait_until

# A shell starts what it runs in the background deaf to Ctrl-C, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine with too much to do is no fault of an example.
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tests")

# Filled in by `migrate`, and changed by no test.
CONSTANT_TABLES = ["django_migrations", "django_content_type", "auth_permission"]

USED_TABLES = """
    select quote_ident(t.relname) from pg_class t
    where t.relkind = 'r' and t.relnamespace = 'public'::regnamespace and t.relname <> all (%s)
        and (
            pg_relation_size(t.oid) > 0 or exists (
                select from pg_sequence s join pg_depend d on d.objid = s.seqrelid
                where d.refobjid = t.oid and d.deptype in ('a', 'i') and pg_sequence_last_value(s.seqrelid) is not null
            )
        )
"""

# ----------------------------------------------------------------------------------------------------------- databases


def point_django_at(url: str) -> None:
    """Make Django's default connection use another database from now on."""
    connection = connections["default"]
    connection.close()
    place = dj_database_url.parse(url)
    for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):
        connection.settings_dict[name] = connections.settings["default"][name] = place[name]
    options = {**connection.settings_dict.get("OPTIONS", {}), **place.get("OPTIONS", {})}
    connection.settings_dict["OPTIONS"] = connections.settings["default"]["OPTIONS"] = options


@pytest.fixture(scope="session")
def template_database(django_db_blocker: DjangoDbBlocker) -> str:
    """The name of the migrated template; cloned, never connected to."""

    def migrate(url: str) -> None:
        with django_db_blocker.unblock():
            point_django_at(url)
            call_command("migrate", verbosity=0, interactive=False)
            connections["default"].close()

    return postgres.template_database(migrate)


@pytest.fixture(scope="session")
def django_db_setup(template_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """pytest-django's database: this process's clone."""
    with postgres.database(postgres.PREFIX, template_database) as url:
        with django_db_blocker.unblock():
            point_django_at(url)
        yield
        with django_db_blocker.unblock():
            connections.close_all()


@pytest.fixture(scope="session")
def dsn(django_db_setup: None) -> str:
    """The URL of the database that Django's tests use in this process."""
    return postgres.url_of(postgres.PREFIX)


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database for one test."""
    with postgres.database(f"{postgres.PREFIX}_{short_name(request)}") as url:
        yield url


@pytest.fixture
def migrated_database(request: pytest.FixtureRequest, template_database: str) -> Iterator[str]:
    """The URL of a migrated database for one test."""
    with postgres.database(f"{postgres.PREFIX}_{short_name(request)}_m", template_database) as url:
        yield url


def short_name(request: pytest.FixtureRequest) -> str:
    """A name for a test's database; one test of a process runs at a time, so a hint is enough."""
    return "".join(letter for letter in request.node.name.lower() if letter.isascii() and letter.isalnum())[5:21]


@pytest.fixture(autouse=True)
def _living_connection() -> None:
    """Begin with a connection that lives: a test that ends sessions, its own too, fails alone if it fails."""
    for connection in connections.all(initialized_only=True):
        raw = connection.connection
        if raw is not None and not connection.in_atomic_block and raw.closed:
            connection.close()


@pytest.fixture(scope="session", autouse=True)
def _no_flush() -> Iterator[None]:
    """Keep Django's flush away from the clone: `_empty_tables` does in a tenth of the time what tests need of it.

    For the whole session: pytest-django's own fixture for marked tests begins before all of ours, and ends after them.
    """
    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined] # what the stubs leave out

    def flush_others(case: TransactionTestCase) -> None:
        if set(case._databases_names(include_mirrors=False)) != {"default"}:  # type: ignore[attr-defined]
            flush(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush_others)
        yield


@pytest.fixture(autouse=True)
def _empty_tables(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that commits, empty the tables it has used: also those that Django does not manage.

    Django's flush empties all of its own, and fills in permissions and content types again. Requested before what the
    test asks for, so it ends after that.
    """
    if not is_transactional(request):
        yield
        return
    url = request.getfixturevalue("dsn")
    yield
    with psycopg.connect(url, autocommit=True, application_name="tests.conftest") as connection:
        connection.execute("set lock_timeout = '20s'")  # a session left open by the test would hold it up for ever
        used = connection.execute(USED_TABLES, [CONSTANT_TABLES]).fetchall()
        if used:
            connection.execute(f"truncate {', '.join(name for (name,) in used)} restart identity cascade".encode())


def is_transactional(request: pytest.FixtureRequest) -> bool:
    """Tell whether the test may commit in the shared clone."""
    marker = request.node.get_closest_marker("django_db")
    marked = marker is not None and bool(marker.kwargs.get("transaction", bool(marker.args and marker.args[0])))
    of_django = isinstance(request.cls, type) and issubclass(request.cls, TransactionTestCase)
    committing = of_django and not issubclass(request.cls, TestCase)
    return marked or committing or bool({"transactional_db", "live_server"} & set(request.fixturenames))


# -------------------------------------------------------------------------------------------------------------- guards

LEFT_FOR = float(os.environ.get("QUEUE_TASKS_TEST_LEFT_FOR", "15"))  # seconds what ends by itself may need for it


@pytest.fixture(scope="session")
def _sessions_of_ours() -> Iterator[Callable[[], dict[int, str]]]:
    """Look for the library's sessions on this process's databases: process id -> what it is and does."""
    with psycopg.connect(postgres.server_url(), autocommit=True, application_name="tests.guard") as connection:

        def look() -> dict[int, str]:
            found = connection.execute(
                "select pid, application_name || ' on ' || datname || ', ' || coalesce(state, '') || ': ' || query "
                "from pg_stat_activity where application_name like 'queue\\_tasks%%' and starts_with(datname, %s)",
                [postgres.PREFIX],
            )
            return dict(found.fetchall())

        yield look


@pytest.fixture(autouse=True)
def _no_connection_left(request: pytest.FixtureRequest, _empty_tables: None) -> Iterator[None]:
    """Fail a test that leaves a connection of the library open."""
    names = set(request.fixturenames)
    uses_database = request.node.get_closest_marker("django_db") is not None or bool(
        {"db", "transactional_db", "dsn", "fresh_database", "migrated_database"} & names
    )
    if not uses_database:
        yield
        return
    look = request.getfixturevalue("_sessions_of_ours")
    before = look()
    yield

    def left() -> dict[int, str]:
        return {pid: session for pid, session in look().items() if pid not in before}

    # The server closes its side a moment after the client did.
    if left():
        wait_until(lambda: not left(), timeout=LEFT_FOR, message=f"the test left connections: {left()}")


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread which would keep the process alive."""
    before = set(threading.enumerate())
    yield

    def left() -> list[threading.Thread]:
        # asgiref keeps one thread for all synchronous code of a process; it is nobody's to end.
        kept = set(SyncToAsync.single_thread_executor._threads)
        return [thread for thread in threading.enumerate() if not thread.daemon and thread not in before | kept]

    if left():
        wait_until(lambda: not left(), timeout=LEFT_FOR, message=f"the test left threads: {left()}")
