"""procrastinate's own tasks under our worker: everything they had, on the same rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.db import connection, transaction
from procrastinate import exceptions, jobs
from procrastinate.contrib.django import app
from procrastinate.job_context import AbortReason

from queue_tasks import TaskResult
from tests.testapp import stock_tasks as stock
from tests.testapp import tasks
from tests.waiting import wait_until
from tests.workers import drain, running_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def notes() -> Iterator[list[Any]]:
    stock.notes.clear()
    yield stock.notes
    stock.notes.clear()


def row(job_id: int | None) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select status::text, attempts, queue_name, priority, lock, queueing_lock, scheduled_at, qt_result, "
            "qt_errors, qt_started_at, qt_finished_at, args from procrastinate_jobs where id = %s",
            [job_id],
        )
        return dict(zip([column.name for column in cursor.description], cursor.fetchone(), strict=True))


def decoded(value: Any) -> Any:
    """jsonb as Django's cursor gives it."""
    import json

    return json.loads(value) if isinstance(value, str) else value


def ran(job_id: int, **arguments: Any) -> dict[str, Any]:
    drain(**arguments)
    return row(job_id)


def value(job_id: int) -> Any:
    found = ran(job_id)
    assert found["status"] == "succeeded", found
    return decoded(found["qt_result"])


# ------------------------------------------------------------------------------------------------------------ the plain


def test_a_plain_one_runs_and_its_return_value_is_kept() -> None:
    assert value(stock.stock_add.defer(a=2, b=3)) == 5


def test_a_coroutine_runs_on_its_own_queue_with_its_own_priority() -> None:
    job = stock.stock_echo.defer(x=[1, None], y="zwölf")
    assert (row(job)["queue_name"], row(job)["priority"]) == ("media", 7)
    assert value(job) == {"x": [1, None], "y": "zwölf"}


def test_it_may_be_deferred_from_async_code_in_bulk_and_by_name() -> None:
    ids = stock.stock_add.batch_defer({"a": 1}, {"a": 2})
    ids.append(async_to_sync(stock.stock_add.defer_async)(a=3))
    ids.append(app.configure_task("tests.testapp.stock_tasks.stock_add").defer(a=4))
    drain()
    assert [decoded(row(job)["qt_result"]) for job in ids] == [2, 3, 4, 5]


def test_a_deferral_that_is_rolled_back_never_runs() -> None:
    with transaction.atomic():
        stock.stock_group.defer(name="never")
        transaction.set_rollback(True)
    stock.stock_group.defer(name="after")
    assert drain().tally.ended == 1
    assert list(Group.objects.values_list("name", flat=True)) == ["after"]


@pytest.mark.parametrize("name", ["named", "once-named", "tests.old.path", "spaced:inside", "spaced:once-inside"])
def test_names_aliases_and_namespaces_are_found(name: str) -> None:
    job = app.configure_task(name, allow_unknown=True).defer()
    assert value(job) == ("inside" if name.startswith("spaced") else "named")


def test_a_name_nobody_knows_waits_for_a_worker_that_does() -> None:
    found = ran(app.configure_task("nobody:knows", allow_unknown=True).defer())
    assert (found["status"], found["attempts"]) == ("todo", 0)
    assert found["scheduled_at"] is not None


def test_a_module_is_imported_when_a_job_names_it() -> None:
    assert value(app.configure_task("tests.testapp.stock_found.found", allow_unknown=True).defer()) == "found"


@pytest.mark.parametrize("task", [stock.stock_defers, stock.stock_defers_in_a_thread])
def test_one_may_defer_others(task: Any) -> None:
    ids = value(task.defer(count=3))
    assert [row(job)["status"] for job in ids] == ["succeeded"] * 3


def test_procrastinate_s_own_clean_up_runs() -> None:
    old, young = stock.stock_add.defer(a=1), stock.stock_add.defer(a=2)
    drain()
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_events set at = at - interval '3 hours' where job_id = %s", [old])
    app.tasks["builtin:procrastinate.builtin_tasks.remove_old_jobs"].defer(max_hours=2)
    assert drain().tally.succeeded == 1
    assert row(young)["status"] == "succeeded"
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where id = %s", [old])
        assert cursor.fetchone() == (0,)


def test_the_context_is_procrastinate_s() -> None:
    job = stock.stock_context.configure(lock="L", queue="Q").defer(x=1)
    with running_worker(queues=["Q"]) as worker:
        wait_until(lambda: row(job)["status"] == "succeeded")
    assert decoded(row(job)["qt_result"]) == {
        "job": job,
        "task": "tests.testapp.stock_tasks.stock_context",
        "kwargs": {"x": 1},
        "attempts": 0,
        "worker": "test",
        "worker_id": worker.worker_id,
        "queues": ["Q"],
        "status": "doing",
        "queue": "Q",
        "lock": "L",
        "should_abort": False,
    }
    other = stock.stock_context_async.defer()
    assert value(other) == other


def test_a_plain_function_s_awaitable_is_awaited_and_may_use_the_orm() -> None:
    assert value(stock.stock_awaitable.defer()) == Group.objects.get().pk


def test_the_orm_works_in_both_kinds() -> None:
    stock.stock_group.defer(name="thread")
    stock.stock_group_async.defer(name="loop")
    assert drain().tally.succeeded == 2
    assert set(Group.objects.values_list("name", flat=True)) == {"thread", "loop"}


def test_a_value_that_is_not_json_is_not_kept_and_fails_nothing() -> None:
    assert value(stock.stock_odd_value.defer()) is None


@pytest.mark.parametrize("args", ["[]", "17", "null", '"text"', '{"nobody": 1}', '{"a": [' + "9" * 5000 + "]}"])
def test_a_row_that_is_no_call_of_its_task_fails_alone(args: str) -> None:
    good = stock.stock_add.defer(a=1)
    bad = stock.stock_add.defer(a=1)
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set args = %s::jsonb where id = %s", [args, bad])
    drain()
    assert (row(good)["status"], row(bad)["status"]) == ("succeeded", "failed")


def test_django_tasks_run_beside() -> None:
    ids = [stock.stock_add.defer(a=n) for n in range(10)]
    results: list[TaskResult[Any]] = [tasks.add.enqueue(n) for n in range(10)]
    assert drain().tally.succeeded == 20
    for number, (job, result) in enumerate(zip(ids, results, strict=True)):
        result.refresh()
        assert decoded(row(job)["qt_result"]) == result.return_value == number + 1


# -------------------------------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize("kind", ["value", "os", "exit"])
def test_without_a_strategy_a_failure_is_final(kind: str) -> None:
    found = ran(stock.stock_fail.defer(kind=kind))
    assert (found["status"], found["attempts"], len(decoded(found["qt_errors"]))) == ("failed", 1, 1)


def test_retry_true_tries_until_it_succeeds() -> None:
    job = stock.stock_retry_for_ever.defer(until=4)
    assert value(job) == 4
    assert (row(job)["attempts"], len(decoded(row(job)["qt_errors"]))) == (5, 4)


def test_a_number_is_the_number_of_retries() -> None:
    found = ran(stock.stock_retry_three_times.defer())
    assert (found["status"], found["attempts"]) == ("failed", 4)


@pytest.mark.parametrize(("kind", "attempts"), [("value", 1), ("os", 6)])
def test_only_the_exceptions_asked_for_are_retried(kind: str, attempts: int) -> None:
    found = ran(stock.stock_retry_os.defer(kind=kind))
    assert (found["status"], found["attempts"]) == ("failed", attempts)


@pytest.mark.parametrize(("attempts", "wait"), [(0, 100 + 0 + 3), (1, 100 + 10 + 9), (2, 100 + 20 + 27)])
def test_waits_are_constant_linear_and_exponential_together(attempts: int, wait: int) -> None:
    job = stock.stock_retry_later.defer()
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set attempts = %s where id = %s", [attempts, job])
    found = ran(job)
    due_in = (found["scheduled_at"] - dt.datetime.now(dt.UTC)).total_seconds()
    assert (found["status"], found["attempts"]) == ("todo", attempts + 1)
    assert wait - 20 < due_in <= wait


def test_a_decision_may_name_another_queue_priority_and_lock() -> None:
    job = stock.stock_elsewhere.defer()
    drain(queues=["here"])
    found = row(job)
    assert (found["status"], found["queue_name"], found["priority"], found["lock"]) == (
        "todo",
        "elsewhere",
        42,
        "a lock",
    )
    drain(queues=["elsewhere"])
    assert (row(job)["status"], row(job)["attempts"]) == ("failed", 2)


def test_a_decision_may_name_a_time() -> None:
    found = ran(stock.stock_retry_at.defer())
    assert found["status"] == "todo"
    assert abs(found["scheduled_at"] - dt.datetime(2090, 1, 1, tzinfo=dt.UTC)) < dt.timedelta(seconds=30)


@pytest.mark.parametrize("kind", ["queue", "lock", "priority", "raise"])
def test_a_decision_that_cannot_be_written_fails_that_job_and_no_other(kind: str) -> None:
    bad = stock.stock_unwritable.defer(kind=kind)
    good = [stock.stock_add.defer(a=n) for n in range(10)]
    drain()
    assert {row(job)["status"] for job in good} == {"succeeded"}
    assert row(bad)["status"] == "failed"
    assert len(decoded(row(bad)["qt_errors"])) == 1


# ------------------------------------------------------------------------------------------------------------- aborting


def cancel(job_id: int) -> bool:
    return bool(app.job_manager.cancel_job_by_id(job_id, abort=True))


def test_a_thread_obeys_by_should_abort(notes: list[Any]) -> None:
    with running_worker(poll_interval=60):
        job = stock.stock_until_aborted.defer()
        wait_until(lambda: notes == ["begun"])
        assert cancel(job)
        wait_until(lambda: row(job)["status"] == "aborted")
    assert notes == ["begun", AbortReason.USER_REQUEST]


def test_a_coroutine_is_cancelled() -> None:
    with running_worker(poll_interval=60) as worker:
        job = stock.stock_sleep.defer(seconds=60)
        wait_until(lambda: worker.crew.fetcher.hand.running == 1)
        assert cancel(job)
        wait_until(lambda: row(job)["status"] == "aborted")


def test_what_the_worker_s_end_interrupts_is_given_back_and_not_aborted(notes: list[Any]) -> None:
    with running_worker(grace=0.05) as worker:
        obeys, sleeps = stock.stock_until_aborted.defer(), stock.stock_sleep.defer(seconds=60)
        wait_until(lambda: worker.crew.fetcher.hand.running == 2 and notes == ["begun"])
    # It may be left behind before it has looked.
    wait_until(lambda: notes == ["begun", AbortReason.SHUTDOWN])
    for job in (obeys, sleeps):
        assert (row(job)["status"], row(job)["attempts"]) == ("todo", 0)


def test_a_waiting_job_is_cancelled_by_procrastinate_s_own_call() -> None:
    job = stock.stock_add.defer(a=1)
    assert app.job_manager.cancel_job_by_id(job)
    assert ran(job)["status"] == "cancelled"
    assert app.job_manager.get_job_status(job) == jobs.Status.CANCELLED


# ---------------------------------------------------------------------------------------------------------------- locks


def test_jobs_of_one_lock_run_one_at_a_time_in_order() -> None:
    with running_worker(poll_interval=60):
        ids = [stock.stock_locked.defer(seconds=0.02) for _ in range(5)]
        wait_until(lambda: all(row(job)["status"] == "succeeded" for job in ids))
    times = [(row(job)["qt_started_at"], row(job)["qt_finished_at"]) for job in ids]
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))


def test_a_queueing_lock_refuses_a_second_waiting_job_and_no_running_one() -> None:
    first = stock.stock_once.defer()
    with pytest.raises(exceptions.AlreadyEnqueued):
        stock.stock_once.defer()
    assert ran(first)["status"] == "succeeded"
    assert ran(stock.stock_once.defer())["status"] == "succeeded"


# ----------------------------------------------------------------------------------------------------------- middleware


def test_a_task_s_middleware_wraps_it(notes: list[Any]) -> None:
    assert value(stock.stock_wrapped.defer()) == "<value>"
    assert notes == [("before", "tests.testapp.stock_tasks.stock_wrapped", "test"), "after"]
    assert ran(stock.stock_wrapped.defer(fail=True))["status"] == "failed"
    assert notes[2:] == [("before", "tests.testapp.stock_tasks.stock_wrapped", "test"), "after"]


def test_async_middleware_wraps_a_coroutine_and_may_change_how_it_ends() -> None:
    assert value(stock.stock_wrapped_async.defer()) == "<value>"
    assert value(stock.stock_wrapped_async.defer(fail=True)) == "suppressed"


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set one of PROCRASTINATE_WORKER_DEFAULTS."""

    def put(name: str, setting: Any) -> None:
        monkeypatch.setitem(app.worker_defaults, name, setting)

    return put


def test_worker_wide_middleware_wraps_the_tasks_of_its_kind(defaults: Any, notes: list[Any]) -> None:
    existing = list(app.worker_defaults["task_middleware"])
    defaults("task_middleware", [*existing, stock.around, stock.around_async])
    assert value(stock.stock_add.defer(a=1)) == "<2>"
    assert value(stock.stock_echo.defer(x=1)) == "<{'x': 1}>"
    assert value(stock.stock_wrapped.defer()) == "<<value>>"


def test_worker_middleware_wraps_every_job_on_the_loop(defaults: Any, notes: list[Any]) -> None:
    async def measure(call_next: Any, context: Any, worker: Any) -> Any:
        notes.append((context.job.task_name.rpartition(".")[2], worker.worker_name, worker.worker_id))
        return await call_next()

    async def translate(call_next: Any, context: Any, worker: Any) -> Any:
        try:
            return await call_next()
        except ValueError as exc:
            raise OSError("translated") from exc

    defaults("worker_middleware", [measure, translate])
    ids = [stock.stock_add.defer(a=1), stock.stock_echo.defer(x=1), stock.stock_fail.defer()]
    worker = drain()
    assert sorted(note[0] for note in notes) == ["stock_add", "stock_echo", "stock_fail"]
    assert {note[1:] for note in notes} == {("test", worker.worker_id)}
    assert [row(job)["status"] for job in ids] == ["succeeded", "succeeded", "failed"]
    assert decoded(row(ids[2])["qt_errors"])[0]["exception"] == "builtins.OSError"


def test_worker_middleware_that_calls_nothing_skips_the_body(defaults: Any) -> None:
    async def skip(call_next: Any, context: Any, worker: Any) -> str:
        return "skipped"

    defaults("worker_middleware", [skip])
    assert value(stock.stock_group.defer(name="never")) == "skipped"
    assert not Group.objects.exists()


def test_worker_middleware_may_stop_the_worker(defaults: Any) -> None:
    async def once(call_next: Any, context: Any, worker: Any) -> Any:
        worker.stop()
        return await call_next()

    defaults("worker_middleware", [once])
    with running_worker() as worker:
        job = stock.stock_add.defer(a=1)
        wait_until(lambda: worker.stopping)
    assert row(job)["status"] == "succeeded"


def test_additional_context_is_each_job_s_own(defaults: Any) -> None:
    defaults("additional_context", {"who": "the test"})

    async def look(call_next: Any, context: Any, worker: Any) -> Any:
        context.additional_context["seen"] = context.additional_context.get("seen", 0) + 1
        return dict(context.additional_context)

    defaults("worker_middleware", [look])
    for _ in range(2):
        assert value(stock.stock_add.defer(a=1)) == {"who": "the test", "seen": 1}


# ------------------------------------------------------------------------------------------------------------- periodic


@pytest.fixture
def ticking() -> Iterator[str]:
    """A task that is due each second, known during the test only."""
    name = "tests.integration.tick"

    @app.periodic(cron="* * * * * *", periodic_id="each second", priority=3)
    @app.task(name=name, queue="ticks")
    async def tick(timestamp: int) -> int:
        return timestamp

    yield name
    app.tasks.pop(name)
    app.periodic_registry.periodic_tasks.pop((name, "each second"))


def test_each_tick_is_one_job_with_two_workers(ticking: str) -> None:
    def done() -> list[tuple[int, int]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "select (qt_result #>> '{}')::bigint, priority from procrastinate_jobs "
                "where status = 'succeeded' and task_name = %s order by 1",
                [ticking],
            )
            return list(cursor.fetchall())

    with running_worker(), running_worker():
        wait_until(lambda: len(done()) >= 3)
    with connection.cursor() as cursor:
        cursor.execute("select (args ->> 'timestamp')::bigint from procrastinate_jobs order by 1")
        times = [at for (at,) in cursor.fetchall()]
    assert times == list(range(times[0], times[0] + len(times)))
    assert {priority for _, priority in done()} == {3}
