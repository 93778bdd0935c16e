"""Enqueueing: a job exists if and only if the caller's transaction commits, and comes back as it was given."""

from __future__ import annotations

import copy
import gc
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed
from typing import Any, cast

import hypothesis
import psycopg
import pytest
from django.contrib.auth.models import Group
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.db import IntegrityError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from queue_tasks import (
    JobSpec,
    TaskResult,
    aenqueue_many,
    aenqueue_stream,
    compat,
    enqueue,
    enqueue_many,
    enqueue_stream,
    task,
)
from queue_tasks.tasks import find_task
from tests.testapp import tasks


def rows(columns: str = "task_name") -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"select {columns} from procrastinate_jobs order by id")  # noqa: S608 - of this file
        return [row[0] if len(row) == 1 else row for row in cursor.fetchall()]


@pytest.fixture
def listener(dsn: str) -> Iterator[Callable[[], list[str]]]:
    """The channels notified so far, as another session hears them."""
    with psycopg.connect(dsn, autocommit=True, application_name="tests.listener") as session:
        for channel in ("procrastinate_any_queue_v1", "procrastinate_queue_v1#default", "queue_tasks_scheduled"):
            session.execute(f'listen "{channel}"')

        def heard() -> list[str]:
            # Notifications of committed transactions arrive with the answer to the next statement.
            session.execute("select 1")
            return [notice.channel for notice in session.notifies(timeout=0)]

        yield heard


# -------------------------------------------------------------------------------------------------------- transactions


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_a_job_enqueued_in_autocommit_is_there_at_once_and_told(self, listener):
        tasks.add.enqueue(1)
        assert rows() == ["tests.testapp.tasks.add"]
        assert sorted(listener()) == ["procrastinate_any_queue_v1", "procrastinate_queue_v1#default"]

    def test_a_job_is_told_when_its_transaction_commits_and_not_before(self, listener):
        with transaction.atomic():
            tasks.add.enqueue(1)
            assert listener() == []
        assert len(listener()) == 2

    def test_a_rolled_back_transaction_leaves_no_job_no_event_and_no_notification(self, listener):
        with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
            tasks.add.enqueue(1)
            tasks.add.using(run_after=timedelta(hours=1)).enqueue(2)
            enqueue_many(tasks.add.bind(i) for i in range(10))
            raise RuntimeError
        with connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from procrastinate_jobs union all select count(*) from procrastinate_events"
            )
            assert cursor.fetchall() == [(0,), (0,)]
        assert listener() == []

    def test_a_thousand_jobs_in_one_transaction_are_told_once(self, listener):
        with transaction.atomic():
            enqueue_many(tasks.add.bind(i) for i in range(1500))
        assert len(listener()) == 2

    def test_a_job_enqueued_in_a_rolled_back_savepoint_is_gone_and_the_outer_one_stays(self):
        with transaction.atomic():
            tasks.add.enqueue(1)
            with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
                tasks.fail.enqueue()
                with transaction.atomic():
                    tasks.noop.enqueue()
                raise RuntimeError
            tasks.discard.enqueue()
        assert rows() == ["tests.testapp.tasks.add", "tests.testapp.tasks.discard"]

    def test_a_job_can_be_enqueued_after_an_error_was_caught_in_the_same_transaction(self):
        Group.objects.create(name="taken")
        with transaction.atomic():
            with pytest.raises(IntegrityError), transaction.atomic():
                Group.objects.create(name="taken")
            tasks.add.enqueue(1)
        assert rows() == ["tests.testapp.tasks.add"]

    def test_a_job_enqueued_on_commit_is_there_after_the_commit(self):
        with transaction.atomic():
            transaction.on_commit(lambda: tasks.add.enqueue(1))
            assert rows() == []
        assert rows() == ["tests.testapp.tasks.add"]

    @pytest.mark.parametrize(
        "arguments", [[object()], [float("nan")], ["\x00"], ["\ud800"], [10**5000], [], [1, 2, 3], ["x" * 2_000_000]]
    )
    def test_refused_arguments_send_no_sql_and_leave_the_transaction_usable(self, arguments, django_assert_num_queries):
        with transaction.atomic():
            Group.objects.create(name="before")
            with django_assert_num_queries(0):
                with pytest.raises((TypeError, ValueError)):
                    tasks.add.enqueue(*arguments)
                with pytest.raises((TypeError, ValueError)):
                    enqueue_many([tasks.add.bind(*arguments)])
            tasks.add.enqueue(1)
        assert rows() == ["tests.testapp.tasks.add"]
        assert Group.objects.filter(name="before").exists()

    def test_a_refused_job_among_many_sends_none_of_its_thousand(self, django_assert_num_queries):
        def specs() -> Iterator[Any]:
            for number in range(10):
                yield tasks.add.bind(number)
            yield tasks.add.bind(float("nan"))  # type: ignore[arg-type]

        with django_assert_num_queries(0), pytest.raises(ValueError, match="is nan"):
            enqueue_many(specs())
        assert rows() == []


# --------------------------------------------------------------------------------------------------------------- views


def enqueue_view(request: HttpRequest) -> HttpResponse:
    assert isinstance(request, (WSGIRequest, ASGIRequest))
    result = tasks.add.enqueue(1)
    if "fail" in request.GET:
        raise RuntimeError("the view fails")
    return HttpResponse(result.id)


async def async_enqueue_view(request: HttpRequest) -> HttpResponse:
    result = await tasks.add.aenqueue(1)
    await Group.objects.acreate(name="from the view")
    results = await aenqueue_many([tasks.add.bind(2), tasks.add.bind(3)])
    if "fail" in request.GET:
        raise RuntimeError("the view fails")
    return HttpResponse(",".join(one.id for one in [result, *results]))


@transaction.non_atomic_requests
async def non_atomic_async_view(request: HttpRequest) -> HttpResponse:
    return await async_enqueue_view(request)


urlpatterns = [
    path("sync/", enqueue_view),
    path("async/", async_enqueue_view),
    path("async-autocommit/", non_atomic_async_view),
]


@pytest.fixture
def atomic_requests(settings: Any) -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls(__name__)
class TestViews:
    def test_a_request_enqueues(self):
        response = Client().get("/sync/")
        assert tasks.add.get_result(response.content.decode()).args == [1]

    @pytest.mark.usefixtures("atomic_requests")
    def test_a_failed_request_leaves_no_job_under_atomic_requests(self):
        client = Client(raise_request_exception=False)
        assert client.get("/sync/?fail").status_code == 500
        assert rows() == []
        assert client.get("/sync/").status_code == 200
        assert rows() == ["tests.testapp.tasks.add"]

    def test_without_atomic_requests_a_job_enqueued_before_the_failure_stays(self):
        assert Client(raise_request_exception=False).get("/sync/?fail").status_code == 500
        assert rows() == ["tests.testapp.tasks.add"]

    async def test_an_async_view_enqueues_under_asgi(self):
        response = await AsyncClient().get("/async/")
        ids = response.content.decode().split(",")
        assert [(await tasks.add.aget_result(job_id)).args for job_id in ids] == [[1], [2], [3]]

    async def test_a_sync_view_enqueues_under_asgi(self):
        response = await AsyncClient().get("/sync/")
        assert (await tasks.add.aget_result(response.content.decode())).args == [1]

    def test_an_async_view_enqueues_under_wsgi(self):
        assert Client().get("/async/").content.count(b",") == 2
        assert len(rows()) == 3

    @pytest.mark.usefixtures("atomic_requests")
    async def test_an_async_view_exempt_from_atomic_requests_enqueues(self):
        assert (await AsyncClient().get("/async-autocommit/")).status_code == 200


# -------------------------------------------------------------------------------------------------- what a job's row is


@pytest.mark.django_db
class TestRow:
    def test_every_value_of_a_job_is_in_its_row(self):
        later = timezone.now() + timedelta(hours=1)
        changed = tasks.locked.using(priority=-7, queue_name="media", run_after=later)
        result = changed.enqueue("a", seconds=1.5)
        columns = (
            "id, task_name, queue_name, priority, lock, scheduled_at, status::text, attempts, args::text, qt_ephemeral"
        )
        [row] = rows(columns)
        assert row[:5] == (int(result.id), "tests.testapp.tasks.locked", "media", -7, "locked:a")
        assert row[5:8] == (later, "todo", 0)
        assert json.loads(row[8]) == {"args": ["a"], "kwargs": {"seconds": 1.5}}
        assert row[9] is False

    def test_an_ephemeral_task_makes_ephemeral_jobs_without_events(self):
        tasks.noop_ephemeral.enqueue()
        assert rows("qt_ephemeral") == [True]
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from procrastinate_events")
            assert cursor.fetchone() == (0,)

    @pytest.mark.parametrize(
        "run_after",
        [
            timedelta(hours=1),
            datetime(2100, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
            datetime(2100, 1, 1, tzinfo=fixed(timedelta(hours=5, minutes=45))),
            datetime(8999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ],
    )
    def test_a_job_may_be_scheduled_by_an_aware_time_or_a_timedelta(self, run_after):
        later = tasks.add.using(run_after=run_after)
        result = later.enqueue(1)
        assert rows("scheduled_at") == [later.run_after]
        assert tasks.add.get_result(result.id).task.run_after == later.run_after

    @pytest.mark.parametrize("run_after", [timedelta(0), timedelta(days=-1), datetime(1970, 1, 1, tzinfo=UTC)])
    def test_a_job_whose_time_has_come_is_ready_at_once(self, run_after):
        later = tasks.add.using(run_after=run_after)
        result = later.enqueue(1)
        assert rows("scheduled_at") == [None]
        assert later.get_result(result.id) == result

    @pytest.mark.parametrize("name", ["q", "q" * 128, "ä" * 128, "日" * 128, "a b'c\"d\\e%f{}#,", "default\n"])
    def test_a_queue_may_have_any_name_of_128_characters(self, name):
        result = tasks.add.using(queue_name=name).enqueue(1)
        assert rows("queue_name") == [name]
        assert tasks.add.get_result(result.id).task.queue_name == name

    def test_a_task_may_have_a_path_of_128_characters(self, monkeypatch):
        name = "long_" + "ä" * (128 - len(f"{__name__}.long_"))

        def body() -> None: ...

        monkeypatch.setattr(body, "__module__", __name__)
        monkeypatch.setattr(body, "__qualname__", name)
        body.__name__ = name
        declared = task(body)
        monkeypatch.setitem(globals(), name, declared)
        result = declared.enqueue()
        assert len(declared.module_path) == 128
        assert declared.get_result(result.id) == result

    @pytest.mark.parametrize("priority", [-100, 0, 100, 5.0])
    def test_a_priority_is_stored_as_a_whole_number(self, priority):
        tasks.add.using(priority=priority).enqueue(1)
        assert rows("priority") == [priority]

    def test_jobs_of_mixed_options_go_in_one_statement(self, django_assert_num_queries):
        specs = [
            tasks.add.using(priority=5.0).bind(1),  # type: ignore[arg-type]
            tasks.add.using(run_after=timedelta(hours=1), queue_name="ä").bind(2),
            tasks.locked.using(lock="x").bind("a"),
            tasks.noop_ephemeral.bind(),
        ]
        with django_assert_num_queries(1):
            enqueue_many(specs)
        assert rows("lock") == [None, None, "x", None]

    def test_the_time_of_enqueueing_is_that_of_the_statement_not_of_the_transaction(self):
        with connection.cursor() as cursor:
            cursor.execute("select now(), pg_sleep(0.01)")
            began = cursor.fetchone()[0]
        assert tasks.add.enqueue(1).enqueued_at > began


# ----------------------------------------------------------------------------------------------------------- arguments


def storable_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


storable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | storable_text(),
    lambda inner: st.lists(inner) | st.dictionaries(storable_text(), inner),
    max_leaves=10,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down: 1 and 1.0 and True are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.django_db
class TestArguments:
    @hypothesis.settings(
        max_examples=200,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        args=st.lists(storable, max_size=3), kwargs=st.dictionaries(storable_text(), storable, max_size=3)
    )
    def test_whatever_is_accepted_comes_back_equal_and_of_the_same_types_from_postgres(self, args, kwargs):
        result = tasks.echo.enqueue(*args, **kwargs)
        found = tasks.echo.get_result(result.id)
        assert same(found.args, args)
        assert same(found.kwargs, kwargs)
        assert found == result

    @pytest.mark.parametrize(
        "value",
        [
            1e16,
            1e22,
            1e23,
            -1e300,
            1.797e308,
            5e-324,
            2.2250738585072014e-308,
            0.1,
            10**4300 - 1,
            2**63,
            "\u2028",
            "\\u0000",
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_numbers_and_texts_at_the_edge_come_back(self, value):
        result = tasks.echo.enqueue(value)
        assert same(tasks.echo.get_result(result.id).args, [value])

    def test_negative_zero_comes_back_as_zero(self):
        assert tasks.echo.get_result(tasks.echo.enqueue(-0.0).id).args == [0.0]

    def test_what_is_64_deep_can_be_stored(self):
        value: Any = []
        for _ in range(63):
            value = [value]
        assert tasks.echo.get_result(tasks.echo.enqueue(value).id).args == [value]

    def test_tuples_come_back_as_lists_in_the_first_result_too(self):
        result = tasks.echo.enqueue((1, (2, 3)))
        assert result.args == [[1, [2, 3]]]
        assert tasks.echo.get_result(result.id) == result

    def test_a_megabyte_fits(self):
        text = "é" * 500_000
        assert tasks.echo.get_result(tasks.echo.enqueue(text).id).args == [text]

    def test_the_limit_of_size_is_that_of_the_backends_options(self, settings):
        options = {"max_argument_bytes": 100}
        settings.TASKS = {
            "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": [], "OPTIONS": options}
        }
        tasks.echo.enqueue("x" * 70)
        with pytest.raises(ValueError, match="but max_argument_bytes is 100"):
            tasks.echo.enqueue("x" * 80)


# ----------------------------------------------------------------------------------------------------------------- many


@pytest.mark.django_db
class TestMany:
    @pytest.mark.parametrize("form", [list, tuple, iter, lambda specs: (spec for spec in specs)])
    def test_any_iterable_will_do(self, form):
        results = enqueue_many(form([tasks.add.bind(1), tasks.add.bind(2)]))
        assert [result.args for result in results] == [[1], [2]]

    def test_nothing_sends_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert enqueue_many([]) == []

    @pytest.mark.parametrize(("count", "statements"), [(1, 1), (1000, 1), (1001, 2), (2500, 3)])
    def test_one_statement_is_sent_for_each_thousand(self, count, statements, django_assert_num_queries):
        with django_assert_num_queries(statements):
            enqueue_many(tasks.add.bind(number) for number in range(count))
        assert len(rows()) == count

    def test_results_come_in_order_and_are_those_of_the_rows(self):
        results = enqueue_many(tasks.add.bind(number) for number in range(1200))
        assert [result.args for result in results] == [[number] for number in range(1200)]
        assert [int(result.id) for result in results] == rows("id")
        assert tasks.add.get_result(results[777].id) == results[777]

    def test_jobs_of_one_task_have_each_its_lock_and_arguments(self):
        texts = ["a", "b\nc", "é\\n", '"', "\u2028", "a"]
        results = enqueue_many(tasks.locked.bind(text) for text in texts)
        assert [result.args for result in results] == [[text] for text in texts]
        assert [tasks.locked.get_result(result.id) for result in results] == results
        assert rows("lock") == [f"locked:{text}" for text in texts]

    @pytest.mark.parametrize("count", [1, 2])
    def test_jobs_of_one_task_are_stored_as_its_options_say(self, count):
        later = timezone.now() + timedelta(hours=1)
        task_later = tasks.noop_ephemeral.using(queue_name="media", priority=7, run_after=later)
        results = enqueue_many(task_later.bind() for _ in range(count))
        found = rows("queue_name, priority, lock, scheduled_at, qt_ephemeral, qt_meta is not null")
        assert found == [("media", 7, None, later, True, True)] * count
        assert [tasks.noop_ephemeral.get_result(result.id).task.run_after for result in results] == [later] * count
        past = tasks.add.using(run_after=timezone.now() - timedelta(hours=1))
        enqueue_many(past.bind(number) for number in range(count))
        assert rows("scheduled_at")[count:] == [None] * count

    def test_a_job_among_many_is_stored_as_one_by_itself(self):
        def stored() -> list[Any]:
            return rows("to_jsonb(procrastinate_jobs) - '{id,qt_enqueued_at}'::text[]")

        def specs() -> list[Any]:
            return [tasks.add.bind(1), tasks.add.bind(2, b=3)]

        for spec in specs():
            enqueue_many([spec])
        enqueue_many(specs())
        enqueue_many([tasks.add.bind(1), tasks.noop.bind(), tasks.add.bind(2, b=3)])
        by_itself, alike, mixed = (found := stored())[:2], found[2:4], [found[4], found[6]]
        assert by_itself == alike == mixed

    def test_jobs_of_several_tasks_may_be_mixed(self):
        results = enqueue_many([tasks.add.bind(1), tasks.fail.bind("no"), tasks.noop.bind()])
        assert [result.task.name for result in results] == ["add", "fail", "noop"]

    def test_jobs_of_several_tasks_have_each_what_is_theirs_in_any_order(self):
        kinds = [
            tasks.add,
            tasks.locked.using(queue_name="ä", priority=-5),
            tasks.noop_ephemeral,
            tasks.echo.using(run_after=timedelta(days=1)),
        ]
        arguments: list[tuple[Any, ...]] = [(1,), ("a'b\n",), (), ({"x": [None]},)]
        order = [int(digit) % 4 for digit in str(7**1400)]
        results = enqueue_many(cast("Any", kinds[which]).bind(*arguments[which]) for which in order)
        columns = "task_name, queue_name, priority, lock, args -> 'args', qt_ephemeral, scheduled_at is not null, id"
        expected = [
            ("tests.testapp.tasks.add", "default", 0, None, [1], False, False),
            ("tests.testapp.tasks.locked", "ä", -5, "locked:a'b\n", ["a'b\n"], False, False),
            ("tests.testapp.tasks.noop_ephemeral", "default", 0, None, [], True, False),
            ("tests.testapp.tasks.echo", "default", 0, None, [{"x": [None]}], False, True),
        ]
        found = rows(columns)
        assert set(order) == {0, 1, 2, 3}
        assert [(*row[:4], json.loads(row[4]), *row[5:7]) for row in found] == [expected[which] for which in order]
        assert [row[7] for row in found] == [int(result.id) for result in results]

    def test_a_task_that_does_not_fit_is_refused_wherever_it_comes(self, settings):
        settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": ["default", "media"]}}
        wrong = tasks.add.using(queue_name="media").bind(2)
        settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": ["default"]}}
        with pytest.raises(compat.InvalidTask):
            enqueue_many([*[tasks.add.bind(1)] * 1001, wrong])
        assert len(rows()) == 1000

    def test_long_arguments_are_sent_in_smaller_statements(self, monkeypatch, django_assert_num_queries):
        monkeypatch.setattr(enqueue, "CHUNK_BYTES", 1000)
        with django_assert_num_queries(5):
            enqueue_many(tasks.echo.bind("x" * 300) for _ in range(13))
        assert len(rows()) == 13

    @pytest.mark.parametrize("wrong", [tasks.add, tasks.add.func, None, (1,)])
    def test_what_is_not_bound_is_refused(self, wrong):
        with pytest.raises(TypeError, match=r"expected jobs as task.bind\(...\) makes them"):
            enqueue_many([wrong])

    def test_the_iterable_is_read_a_thousand_at_a_time(self):
        seen: list[int] = []

        def specs() -> Iterator[Any]:
            for number in range(1500):
                seen.append(len(rows()) if number == 1200 else 0)
                yield tasks.add.bind(number)

        enqueue_many(specs())
        assert max(seen) == 1000

    def test_jobs_for_another_backend_are_given_to_it(self, settings):
        settings.TASKS = {
            "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": []},
            "now": {"BACKEND": f"{compat.FRAMEWORK}.backends.immediate.ImmediateBackend"},
        }
        results = enqueue_many([tasks.add.bind(1), tasks.add.using(backend="now").bind(2, b=3), tasks.add.bind(4)])
        assert [result.args for result in results] == [[1], [2], [4]]
        assert results[1].return_value == 5
        assert len(rows()) == 2

    def test_a_wrong_queue_is_refused_before_anything_is_sent(self, settings, django_assert_num_queries):
        specs = [tasks.add.bind(1), tasks.add.using(queue_name="media").bind(2)]
        settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": ["default"]}}
        with django_assert_num_queries(0), pytest.raises(compat.InvalidTask):
            enqueue_many(specs)


@pytest.mark.django_db
class TestStream:
    def test_it_tells_how_many_there_were(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            assert enqueue_stream(tasks.add.bind(number) for number in range(2500)) == 2500
        assert rows("(args->'args'->>0)::integer") == list(range(2500))
        assert enqueue_stream([]) == 0

    def test_no_more_than_a_chunk_of_it_is_in_memory(self):
        living: list[int] = []

        def specs() -> Iterator[Any]:
            for number in range(5001):
                if number and number % 1000 == 0:
                    gc.collect()
                    found = [one for one in gc.get_objects() if type(one) in (TaskResult, JobSpec)]
                    living.append(sum(one.task is tasks.echo for one in found))
                    del found
                yield tasks.echo.bind(number)

        assert enqueue_stream(specs()) == 5001
        assert len(living) == 5
        assert max(living) <= 2 * 1000 + 1, living

    def test_a_job_that_is_refused_ends_it_and_those_of_earlier_chunks_stay(self):
        specs = (tasks.add.bind(number if number < 1500 else float("nan")) for number in range(2000))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="is nan"):
            enqueue_stream(specs)
        assert len(rows()) == 1000

    def test_what_is_not_bound_is_refused(self):
        with pytest.raises(TypeError, match=r"expected jobs as task.bind\(...\) makes them"):
            enqueue_stream([tasks.add])  # type: ignore[list-item]


@pytest.mark.django_db
class TestNewResults:
    """What is known of a job just enqueued is filled in when somebody looks."""

    def test_it_equals_what_is_read_back_whatever_is_looked_at_first(self):
        for look in ("args", "kwargs", "status", "errors", "worker_ids", "progress", "is_finished", "attempts"):
            result = tasks.add.enqueue(1, b=2)
            getattr(result, look)
            assert result == tasks.add.get_result(result.id)

    def test_its_lists_are_its_own(self):
        first, second = enqueue_many([tasks.add.bind(1), tasks.add.bind(1)])
        first.args.append(2)
        first.worker_ids.append("1")
        assert (second.args, second.worker_ids) == ([1], [])
        assert first.args is first.args

    def test_what_a_refresh_has_read_stays(self):
        result = tasks.add.enqueue(1)
        with connection.cursor() as cursor:
            cursor.execute("update procrastinate_jobs set status = 'doing', qt_started_at = now()")
        result.refresh()
        assert (result.status, result.args) == (compat.TaskResultStatus.RUNNING, [1])
        assert result.started_at is not None

    def test_it_can_be_copied_and_shown(self):
        result = tasks.add.enqueue(1)
        assert copy.copy(result) == result == copy.deepcopy(result)
        assert copy.deepcopy(tasks.add.enqueue(5)).args == [5]
        found = tasks.add.get_result(result.id)
        assert copy.copy(found) == found == copy.deepcopy(found)
        assert "args=[7]" in repr(tasks.add.enqueue(7))

    def test_what_it_does_not_have_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="'TaskResult' object has no attribute 'colour'"):
            _ = tasks.add.enqueue(1).colour  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="has not finished"):
            _ = tasks.add.enqueue(1).return_value


@pytest.mark.django_db(transaction=True)
class TestAsync:
    async def test_a_stream_can_be_enqueued_from_async_code(self):
        assert await aenqueue_stream(tasks.add.bind(number) for number in range(1001)) == 1001

    async def test_a_job_can_be_enqueued_from_async_code(self):
        result = await tasks.add.using(priority=3).aenqueue(1, b=2)
        assert await tasks.add.aget_result(result.id) == result

    async def test_many_can_be_enqueued_from_async_code(self):
        results = await aenqueue_many(tasks.add.bind(number) for number in range(1001))
        assert [result.args for result in results] == [[number] for number in range(1001)]

    async def test_what_is_refused_is_refused_from_async_code_too(self):
        with pytest.raises(TypeError, match="Unsupported type"):
            await tasks.add.aenqueue(object())  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- Django's own options


@pytest.fixture
def other_connection(dsn: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[..., None]]:
    """Give Django another connection to the same database, "other", with these OPTIONS.

    Without Django's test case, which allows no alias that it did not find when it began.
    """

    def make(**options: Any) -> None:
        place = {**connections["default"].settings_dict}
        place["OPTIONS"] = {**place.get("OPTIONS", {}), **options}
        connections.settings["other"] = place
        connections["other"] = connections.create_connection("other")

    with django_db_blocker.unblock():
        yield make
        connections["other"].close()
        cast("Any", connections["other"]).close_pool()
        del connections["other"]
        del connections.settings["other"]
        with connection.cursor() as cursor:
            cursor.execute("truncate procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers")
        connection.close()


class TestConnections:
    @pytest.mark.parametrize(
        "options", [{"server_side_binding": True}, {"pool": True}, {"pool": {"min_size": 1, "max_size": 2}}], ids=str
    )
    def test_jobs_are_enqueued_and_read_whatever_djangos_connection_is(self, options, other_connection, settings):
        other_connection(**options)
        settings.TASKS = {
            "default": {
                "BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": [], "OPTIONS": {"database": "other"}
            }
        }  # fmt: skip
        results = enqueue_many(
            [
                tasks.add.bind(1),
                tasks.locked.using(queue_name="ä", run_after=timedelta(hours=1), priority=5).bind("a'b"),
                tasks.noop_ephemeral.bind(),
            ]
        )
        assert [find_task(result.task.module_path).get_result(result.id) for result in results] == results
        assert results[1].cancel()
        assert results[1].retry()

    def test_jobs_of_several_backends_and_databases_keep_their_order(self, other_connection, settings):
        other_connection()
        backend = "queue_tasks.backend.PostgresBackend"
        settings.TASKS = {
            "default": {"BACKEND": backend, "QUEUES": []},
            "elsewhere": {"BACKEND": backend, "QUEUES": [], "OPTIONS": {"database": "other"}},
        }
        there = tasks.add.using(backend="elsewhere")
        with CaptureQueriesContext(connections["default"]) as here, CaptureQueriesContext(connections["other"]) as away:
            results = enqueue_many((there if number % 2 else tasks.add).bind(number) for number in range(100))
        assert [result.args for result in results] == [[number] for number in range(100)]
        assert [result.backend for result in results[:2]] == ["default", "elsewhere"]
        assert (len(here), len(away)) == (1, 1)
        assert there.get_result(results[1].id) == results[1]


# ------------------------------------------------------------------------------------------------------------- signals


@pytest.mark.django_db
class TestSignals:
    @pytest.fixture
    def heard(self) -> Iterator[list[tuple[Any, Any]]]:
        found: list[tuple[Any, Any]] = []

        def receive(sender: Any, task_result: Any, **_rest: Any) -> None:
            found.append((sender, task_result))

        compat.task_enqueued.connect(receive)
        yield found
        compat.task_enqueued.disconnect(receive)

    def test_each_job_is_told_with_its_result_after_it_was_inserted(self, heard):
        result = tasks.add.enqueue(1)
        many = enqueue_many([tasks.add.bind(2), tasks.add.bind(3)])
        assert [told for _, told in heard] == [result, *many]
        assert {sender for sender, _ in heard} == {type(tasks.add.get_backend())}

    def test_each_job_of_a_stream_is_told(self, heard):
        enqueue_stream(tasks.add.bind(number) for number in range(3))
        assert [told.args for _, told in heard] == [[0], [1], [2]]

    @pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
    def test_django_logs_each_job_at_debug_when_nobody_else_hears(self, level, caplog):
        with caplog.at_level(level, logger=compat.FRAMEWORK):
            ids = [result.id for result in enqueue_many([tasks.add.bind(1), tasks.add.bind(2)])]
        logged = [record.getMessage().split()[1] for record in caplog.records if record.name == compat.FRAMEWORK]
        assert logged == ([f"id={one}" for one in ids] if level == logging.DEBUG else [])

    def test_a_refused_job_is_not_told(self, heard):
        with pytest.raises(TypeError):
            tasks.add.enqueue(object())  # type: ignore[arg-type]
        assert heard == []
