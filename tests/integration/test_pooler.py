"""PgBouncer: web side and worker through a pool of transactions, LISTEN on a direct connection or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction
from pytest_django import DjangoDbBlocker

from queue_tasks import control, enqueue_many
from queue_tasks.compat import TaskResultStatus
from queue_tasks.conf import Options
from queue_tasks.connections import WorkerConnection
from queue_tasks.worker import listener
from tests.aliases import alias_of, django_at
from tests.pooler import PgBouncer, needs_pgbouncer
from tests.roles.test_listener import Ears
from tests.testapp import tasks
from tests.waiting import PATIENCE, await_until, wait_until
from tests.workers import running_worker

pytestmark = needs_pgbouncer


@pytest.fixture
def database(migrated_database: str) -> str:
    """What the pools lead to."""
    return migrated_database


@pytest.fixture
def pooler(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[PgBouncer]:
    """Django's default alias leads through it."""
    with PgBouncer(database, size=4) as pooler, django_at(pooler.url, django_db_blocker):
        yield pooler


@pytest.fixture
def direct(database: str, pooler: PgBouncer) -> Iterator[None]:
    """The alias "direct"."""
    with alias_of("direct", database):
        yield


@pytest.fixture
def elsewhere(fresh_database: str) -> Iterator[None]:
    """The alias of another database."""
    with alias_of("elsewhere", fresh_database):
        yield


@pytest.fixture
def sessions(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The alias of a pool of sessions."""
    with PgBouncer(database, mode="session", size=10) as pooler, alias_of("sessions", pooler.url):
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "ECHO_WITHIN", 0.3)


async def test_a_pooler_is_noticed_and_no_setting_is_left_in_its_sessions(pooler: PgBouncer, database: str) -> None:
    before = """
        select current_setting('statement_timeout'), current_setting('synchronous_commit'),
            current_setting('transaction_isolation')
    """
    async with await psycopg.AsyncConnection.connect(pooler.url, autocommit=True) as plain:
        clean = await (await plain.execute(before)).fetchall()
        connection = WorkerConnection("default", "test", statement_timeout=3, durable=False)
        for _ in range(5):
            assert await connection.rows(before) == [("3s", "off", "read committed")]
            assert await (await plain.execute(before)).fetchall() == clean
        assert not (await connection.open()).direct
        await connection.close()


async def test_nothing_is_prepared_through_a_pooler(pooler: PgBouncer) -> None:
    connection = WorkerConnection("default", "test", statement_timeout=3)
    for number in range(10):
        assert await connection.rows(
            "select %(n)s::int, (select count(*) from pg_prepared_statements)", {"n": number}
        ) == [(number, 0)]
    await connection.close()


async def test_a_lock_statement_and_what_it_guards_are_one_transaction(pooler: PgBouncer) -> None:
    connection = WorkerConnection("default", "test", statement_timeout=3)
    held = "select count(*)::int from pg_locks where locktype = 'advisory' and objid = 77 and pid = pg_backend_pid()"
    assert await connection.rows(held, under="select pg_advisory_xact_lock(77)") == [(1,)]
    assert await connection.rows(held) == [(0,)]
    await connection.close()


async def test_a_refused_statement_ends_its_transaction_through_a_pooler(pooler: PgBouncer) -> None:
    connection = WorkerConnection("default", "test", statement_timeout=3)
    line = await connection.open()
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await connection.rows("select 1 / 0")
        assert await connection.rows("select 1") == [(1,)]
    assert await connection.open() is line
    await connection.close()


async def test_a_listener_finds_out_that_it_cannot_hear_and_says_so_once(
    pooler: PgBouncer, impatient: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "TRY_AGAIN_EVERY", 0.1)
    ears = Ears(Options())
    deaf = threading.Event()
    ears.listener._on_deaf = deaf.set
    tries: list[int] = []
    monkeypatch.setattr(ears.listener, "_listen", counted(ears.listener._listen, tries))
    async with ears.listener:
        await await_until(lambda: len(tries) > 2)
        assert deaf.is_set()
        assert not ears.listener.hears
    assert not ears.listening
    assert caplog.text.count("LISTEN does not work through database 'default'") == 1
    assert "listen_database" in caplog.text


def counted(method, tries: list[int]):
    async def call(*arguments):
        tries.append(1)
        return await method(*arguments)

    return call


async def test_a_pool_of_sessions_is_listened_through(database: str, sessions: None) -> None:
    async with Ears(Options.read({"database": "sessions"})) as ears:
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("select pg_notify('queue_tasks_scheduled', '')")
        await await_until(lambda: ears.scheduled)


async def test_a_listen_database_that_leads_elsewhere_is_said(
    pooler: PgBouncer, impatient: None, elsewhere: None, caplog: pytest.LogCaptureFixture
) -> None:
    ears = Ears(Options.read({"listen_database": "elsewhere"}))
    deaf = threading.Event()
    ears.listener._on_deaf = deaf.set
    async with ears.listener:
        await await_until(deaf.is_set)
    assert "it does not lead where the jobs are" in caplog.text


def test_jobs_are_enqueued_run_awaited_and_cancelled_through_a_pooler(pooler: PgBouncer, impatient: None) -> None:
    with running_worker(poll_interval=0.2) as worker:
        assert not worker.listening
        results = enqueue_many([tasks.add.bind(1, b=number) for number in range(30)] + [tasks.backend_pid_async.bind()])
        with transaction.atomic():
            later = tasks.noop.using(queue_name="other", run_after=timedelta(hours=1)).enqueue()
        assert [result.wait(PATIENCE).return_value for result in results[:30]] == [1 + number for number in range(30)]
        assert results[30].wait(PATIENCE).status == TaskResultStatus.SUCCESSFUL
        assert control.cancel([int(later.id)]) == [int(later.id)]
        failed = tasks.succeed_on_attempt.enqueue(2)
        assert failed.wait(PATIENCE).return_value == 2
        awaited = async_to_sync(tasks.add.enqueue(1).await_result)(PATIENCE)
        assert awaited.return_value == 2


def test_with_a_direct_connection_a_worker_behind_a_pooler_is_woken_at_once_and_holds_its_lock(
    pooler: PgBouncer, direct: None, database: str
) -> None:
    with running_worker(poll_interval=60, listen_database="direct") as worker:
        assert worker.listening
        for _ in range(5):
            wait_until(partial(ended, database, tasks.noop.enqueue().id))
        with psycopg.connect(database, autocommit=True) as db:
            assert db.execute("select qt_locked from procrastinate_workers").fetchall() == [(True,)]


def ended(url: str, job_id: str) -> bool:
    with psycopg.connect(url, autocommit=True) as db:
        return db.execute("select status = 'succeeded' from procrastinate_jobs where id = %s", [job_id]).fetchone() == (
            True,
        )


def test_a_result_is_awaited_by_the_direct_connection(pooler: PgBouncer, direct: None, database: str, settings) -> None:
    settings.TASKS = {
        "default": {
            "BACKEND": "queue_tasks.backend.PostgresBackend",
            "QUEUES": [],
            "OPTIONS": {"listen_database": "direct"},
        }
    }
    with running_worker(poll_interval=60, listen_database="direct"):
        result = tasks.wait_for_group.enqueue("go")
        wait_until(lambda: listens(database))
        waiting = threading.Thread(target=result.wait, args=(PATIENCE,))
        waiting.start()
        wait_until(lambda: listens(database, "queue_tasks wait"))
        tasks.create_group.enqueue("go").wait(PATIENCE)
        waiting.join(PATIENCE)
        assert result.is_finished
    connections.close_all()


def listens(url: str, name: str = "queue_tasks listen") -> bool:
    with psycopg.connect(url, autocommit=True) as db:
        found = db.execute(
            "select from pg_stat_activity where application_name = %s and datname = current_database()", [name]
        )
        return bool(found.fetchall())


def test_a_pooler_that_is_killed_and_comes_back_delays_jobs_and_no_more(pooler: PgBouncer, impatient: None) -> None:
    with running_worker(poll_interval=0.2) as worker:
        assert tasks.noop_thread.enqueue().wait(PATIENCE).status == TaskResultStatus.SUCCESSFUL
        for _ in range(2):
            pooler.kill()
            pooler.start()
            connection.close()
            result = tasks.run_sql.enqueue("select 7")
            assert result.wait(PATIENCE).return_value == 7
        assert worker.tally.lost == 0
