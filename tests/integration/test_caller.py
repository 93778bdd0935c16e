"""The cursor kept for one job after the other: whoever watches Django's connection sees every statement, and none can
tell that it goes past psycopg's own."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError, InternalError, OperationalError, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.transaction import TransactionManagementError
from django.db.utils import ConnectionHandler
from django.test.utils import CaptureQueriesContext
from psycopg import generators

from queue_tasks import caller, leaks
from queue_tasks.direct_cursor import DirectCursor
from tests.testapp import tasks

NAME = "/* queue_tasks: enqueue_job */"


@pytest.fixture(autouse=True)
def connection(transactional_db: None) -> Any:
    """Django's connection, and not the proxy of it; its kept cursor has run the statement before."""
    found = connections["default"]
    found.close()
    tasks.add.enqueue(0)
    tasks.add.enqueue(0)
    return found


def kept_cursor(connection: Any) -> Any:
    return vars(connection).get("_queue_tasks_kept_cursor")


def test_one_cursor_runs_one_job_after_the_other(connection: Any) -> None:
    before = kept_cursor(connection)
    ids = [tasks.add.enqueue(number).id for number in range(3)]
    assert kept_cursor(connection) is before is not None
    assert [tasks.add.get_result(one).args for one in ids] == [[0], [1], [2]]


# ------------------------------------------------------------------------------------------------------------- watchers


def test_a_wrapper_of_executions_sees_each_job(connection: Any) -> None:
    seen: list[str] = []

    def wrapper(execute: Callable[..., Any], statement: str, *rest: Any) -> Any:
        seen.append(statement)
        return execute(statement, *rest)

    with connection.execute_wrapper(wrapper):
        tasks.add.enqueue(1)
    tasks.add.enqueue(2)
    assert [NAME in statement for statement in seen] == [True]


def test_a_wrapper_of_executions_may_enqueue_too(connection: Any) -> None:
    waiting, inner = [tasks.echo.bind("inner")], []

    def wrapper(execute: Callable[..., Any], *rest: Any) -> Any:
        found = execute(*rest)
        if waiting:
            inner.append(tasks.echo.enqueue(*waiting.pop().args))
        return found

    with connection.execute_wrapper(wrapper):
        outer = tasks.echo.enqueue("outer")
    assert [tasks.echo.get_result(one.id).args for one in (outer, *inner)] == [["outer"], ["inner"]]


def test_the_log_of_queries_has_each_job(connection: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        tasks.add.enqueue(1)
        tasks.add.enqueue(2)
    assert [NAME in query["sql"] for query in queries] == [True, True]
    tasks.add.enqueue(3)
    assert len(queries) == 2


def test_a_connection_whose_cursors_somebody_else_makes_is_asked_for_each(connection: Any) -> None:
    """As django-debug-toolbar does, and Django's SimpleTestCase to refuse."""
    made: list[Any] = []
    original = connection.cursor

    def cursor(*arguments: Any) -> Any:
        made.append(original(*arguments))
        return made[-1]

    vars(connection)["cursor"] = cursor
    try:
        tasks.add.enqueue(1)
        tasks.add.enqueue(2)
    finally:
        del vars(connection)["cursor"]
    tasks.add.enqueue(3)
    assert len(made) == 2


def test_a_class_whose_cursors_somebody_else_makes_from_now_on_is_asked(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    original = type(connection).cursor

    def cursor(self: Any, *arguments: Any) -> Any:
        made.append(original(self, *arguments))
        return made[-1]

    monkeypatch.setattr(type(connection), "cursor", cursor)
    tasks.add.enqueue(1)
    assert len(made) == 1


def test_a_session_that_makes_other_cursors_from_now_on_is_asked(connection: Any) -> None:
    """As OpenTelemetry does to a connection that is open already."""
    seen: list[Any] = []

    class Traced(psycopg.ClientCursor[Any]):
        def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
            seen.append(query)
            return super().execute(query, *rest, **options)

    session: Any = connection.connection
    original, session.cursor_factory = session.cursor_factory, Traced
    try:
        tasks.add.enqueue(1)
        tasks.add.enqueue(2)
    finally:
        session.cursor_factory = original
    tasks.add.enqueue(3)
    assert [NAME in query for query in seen] == [True, True]


def test_a_method_of_django_s_cursors_that_is_replaced_sees_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Sentry does."""
    seen: list[Any] = []
    original = CursorWrapper.execute

    def execute(self: Any, statement: Any, *rest: Any) -> Any:
        seen.append(statement)
        return original(self, statement, *rest)

    monkeypatch.setattr(CursorWrapper, "execute", execute)
    tasks.add.enqueue(1)
    assert [NAME in statement for statement in seen] == [True]


def test_a_method_that_is_replaced_may_enqueue_too(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, inner = [tasks.echo.bind("inner")], []
    original = CursorWrapper.execute

    def execute(self: Any, *rest: Any) -> Any:
        found = original(self, *rest)
        if waiting:
            inner.append(tasks.echo.enqueue(*waiting.pop().args))
        return found

    monkeypatch.setattr(CursorWrapper, "execute", execute)
    outer = tasks.echo.enqueue("outer")
    assert [tasks.echo.get_result(one.id).args for one in (outer, *inner)] == [["outer"], ["inner"]]


# ---------------------------------------------------------------------------------------------------- Django's promises


def test_an_event_loop_is_not_blocked() -> None:
    async def enqueue() -> None:
        tasks.add.enqueue(1)

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(enqueue())


def test_another_thread_s_connection_is_refused(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_thread_ident", 0)
    with pytest.raises(DatabaseError, match="created in a thread can only be used in that same thread"):
        tasks.add.enqueue(1)


def test_a_broken_transaction_is_refused_and_the_next_one_is_not() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            tasks.add.enqueue(1)
    assert tasks.add.get_result(tasks.add.enqueue(2).id).args == [2]


def test_an_error_of_the_database_is_django_s(connection: Any) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("set transaction read only")
        with pytest.raises(InternalError) as caught, transaction.atomic():
            tasks.add.enqueue(1)
        assert isinstance(caught.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)
        assert kept_cursor(connection) is None
    assert tasks.add.get_result(tasks.add.enqueue(2).id).args == [2]


def test_a_savepoint_takes_its_job_with_it(connection: Any) -> None:
    with transaction.atomic():
        outer = tasks.add.enqueue(1)
        with transaction.atomic():
            inner = tasks.add.enqueue(2)
            transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("select id from procrastinate_jobs where id = any (%s)", [[int(outer.id), int(inner.id)]])
        assert cursor.fetchall() == [(int(outer.id),)]


def test_a_new_session_has_a_new_cursor(connection: Any) -> None:
    before = kept_cursor(connection)
    connection.close()
    result = tasks.add.enqueue(1)
    assert tasks.add.get_result(result.id).args == [1]
    assert kept_cursor(connection) is not before


def test_a_session_that_died_is_replaced_by_the_health_check(connection: Any) -> None:
    session: Any = connection.connection
    with psycopg.connect(session.info.dsn, autocommit=True, application_name="tests.caller") as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [session.info.backend_pid])
    connection.health_check_enabled, connection.health_check_done = True, False
    try:
        assert tasks.add.get_result(tasks.add.enqueue(1).id).args == [1]
    finally:
        connection.health_check_enabled = False
    assert connection.connection is not session


# ------------------------------------------------------------------------------------------------------ past psycopg's


def test_where_nobody_watches_the_statement_goes_past_psycopg_s_cursor(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = kept_cursor(connection).cursor.cursor
    assert isinstance(below, DirectCursor)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("psycopg's cursor runs it")

    monkeypatch.setattr(below._cursor, "execute", refuse, raising=False)
    assert tasks.add.get_result(tasks.add.enqueue(1).id).args == [1]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        assert tasks.add.get_result(tasks.add.enqueue(2).id).args == [2]


def test_a_task_that_enqueues_does_so_past_psycopg_s_cursor_and_is_watched_for_leaks(connection: Any) -> None:
    class Seeing(leaks.Session):
        def __call__(self, execute: Any, statement: Any, *rest: Any) -> Any:
            seen.append(statement)
            return super().__call__(execute, statement, *rest)

    seen: list[str] = []
    with connection.execute_wrapper(Seeing()):
        tasks.add.enqueue(1)
        assert isinstance(kept_cursor(connection).cursor.cursor, DirectCursor)
        tasks.add.enqueue(2)
    assert [NAME in statement for statement in seen] == [True, True]


def test_where_django_s_cursors_were_replaced_before_psycopg_s_runs_it(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = CursorWrapper.execute

    @functools.wraps(original)
    def execute(self: Any, statement: Any, *rest: Any) -> Any:
        found = original(self, statement, *rest)
        described.append(self.description[0].name)
        return found

    described: list[str] = []
    monkeypatch.setattr(CursorWrapper, "execute", execute)
    tasks.add.enqueue(1)
    tasks.add.enqueue(2)
    assert isinstance(kept_cursor(connection).cursor.cursor, psycopg.ClientCursor)
    assert described == ["job", "job"]


def test_where_an_object_that_passes_for_django_s_method_replaced_it_psycopg_s_runs_it(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wrapt makes them, by which many tracers work."""

    class Wrapped:
        def __init__(self, function: Any) -> None:
            self.function = function

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            return self if instance is None else functools.partial(self.function, instance)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.function, name)

    monkeypatch.setattr(CursorWrapper, "execute", Wrapped(CursorWrapper.execute))
    assert tasks.add.get_result(tasks.add.enqueue(1).id).args == [1]
    assert isinstance(kept_cursor(connection).cursor.cursor, psycopg.ClientCursor)


def test_where_the_session_is_of_another_class_its_cursor_runs_it(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Traced(psycopg.Connection[Any]):
        pass

    connection.close()
    monkeypatch.setattr(connection.Database, "connect", Traced.connect)
    assert tasks.add.get_result(tasks.add.enqueue(1).id).args == [1]
    assert isinstance(connection.connection, Traced)
    assert isinstance(kept_cursor(connection).cursor.cursor, psycopg.ClientCursor)
    connection.close()


def test_the_first_statement_of_a_transaction_begins_it(connection: Any) -> None:
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where id = %s", [int(result.id)])
        assert cursor.fetchone() == (0,)


def test_text_arrives_whatever_the_session_s_encoding_is(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("set client_encoding to latin1")
    result = tasks.echo.enqueue("größe")
    with connection.cursor() as cursor:
        cursor.execute("set client_encoding to utf8")
    assert tasks.echo.get_result(result.id).args == ["größe"]
    assert tasks.echo.get_result(tasks.echo.enqueue("größe").id).args == ["größe"]


def test_jobs_are_enqueued_within_a_pipeline(connection: Any) -> None:
    with connection.connection.pipeline():
        ids = [tasks.add.enqueue(number).id for number in range(3)]
    assert [tasks.add.get_result(one).args for one in ids] == [[0], [1], [2]]


def prepared_in(connection: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("select statement from pg_prepared_statements where name like 'queue\\_tasks%'")
        return [statement for (statement,) in cursor]


def test_nothing_is_prepared_in_a_session_unless_django_s_settings_allow_it(connection: Any) -> None:
    for number in range(3):
        tasks.add.enqueue(number)
    assert prepared_in(connection) == []


def test_the_statement_is_prepared_after_as_many_runs_as_django_s_settings_say(connection: Any) -> None:
    connection.connection.prepare_threshold = 4
    tasks.add.enqueue(1)
    assert prepared_in(connection) == []
    with transaction.atomic():
        ids = [tasks.add.enqueue(number).id for number in range(4)]
        (statement,) = prepared_in(connection)
    assert NAME in statement
    assert [tasks.add.get_result(one).args for one in ids] == [[0], [1], [2], [3]]


def test_a_statement_that_somebody_took_from_the_session_is_said_anew(connection: Any) -> None:
    connection.connection.prepare_threshold = 0
    tasks.add.enqueue(1)
    with connection.cursor() as cursor:
        cursor.execute("deallocate all")
    assert tasks.add.get_result(tasks.add.enqueue(2).id).args == [2]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("deallocate all")
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            tasks.add.enqueue(3)
    assert isinstance(caught.value.__cause__, psycopg.errors.InvalidSqlStatementName)
    assert tasks.add.get_result(tasks.add.enqueue(4).id).args == [4]


def test_a_session_that_died_is_an_error_of_django_s(connection: Any) -> None:
    session: Any = connection.connection
    with psycopg.connect(session.info.dsn, autocommit=True, application_name="tests.caller") as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [session.info.backend_pid])
    with pytest.raises(OperationalError) as caught:
        tasks.add.enqueue(1)
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    assert session.closed
    assert kept_cursor(connection) is None
    connection.close()


@pytest.fixture
def locked(connection: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session that holds the table, so that whoever enqueues waits."""
    with psycopg.connect(connection.connection.info.dsn, application_name="tests.caller") as other:
        other.execute("lock table procrastinate_jobs in access exclusive mode")
        yield other


def test_ctrl_c_ends_a_statement_that_waits_and_leaves_the_session_usable(connection: Any, locked: Any) -> None:
    session: Any = connection.connection
    waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"

    def interrupt() -> None:
        while locked.execute(waits, [session.info.backend_pid]).fetchone() != (True,):
            locked.execute("select pg_stat_clear_snapshot()")
        # By then it may not have come to wait for the socket. Between the look and the signal it must not go on.
        switching = sys.getswitchinterval()
        sys.setswitchinterval(10)
        while not sys._current_frames()[waiter].f_code.co_name.startswith(("wait", "select", "poll")):
            time.sleep(0)
        signal.raise_signal(signal.SIGINT)
        sys.setswitchinterval(switching)

    waiter = threading.get_ident()
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        tasks.add.enqueue(1)
    thread.join()
    locked.rollback()
    assert connection.connection is session
    assert tasks.add.get_result(tasks.add.enqueue(2).id).args == [2]


def test_ctrl_c_as_a_statement_is_sent_gives_the_session_up(
    connection: Any, locked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, answer = connection.connection, generators.execute

    def interrupted(libpq: Any) -> Any:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return answer(libpq)

    monkeypatch.setattr(generators, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tasks.add.enqueue(1)
    assert session.closed
    locked.rollback()
    connection.close()
    assert tasks.add.get_result(tasks.add.enqueue(2).id).args == [2]


# -------------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("use_tz", "of_django", "of_the_database"),
    [
        (True, "Asia/Kathmandu", None),
        (True, "Asia/Kathmandu", "Pacific/Chatham"),
        (False, "Asia/Kathmandu", None),
    ],
)
def test_a_time_is_what_django_reads(
    connection: Any,
    settings: Any,
    use_tz: bool,
    of_django: str,
    of_the_database: str | None,
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, of_django
    place = {**connection.settings_dict, "TIME_ZONE": of_the_database}
    there = ConnectionHandler({"default": place})["default"]
    connections["default"] = there
    try:
        with there.cursor() as cursor:
            cursor.execute("select timestamptz '2026-03-29 01:30:00.123456+00'")
            [(read,)] = cursor.fetchall()
        at = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
        found = caller.moment(there, (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    finally:
        connections["default"] = connection
        there.close()
    assert found == read
    assert found.tzinfo == read.tzinfo
    zone = ZoneInfo(of_the_database or ("UTC" if use_tz else of_django))
    assert found.replace(tzinfo=zone).astimezone(UTC) == at


def test_a_result_has_the_time_of_its_row() -> None:
    result = tasks.add.enqueue(1)
    assert tasks.add.get_result(result.id).enqueued_at == result.enqueued_at
