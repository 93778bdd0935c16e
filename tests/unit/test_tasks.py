"""Declaring tasks: what @task takes, what it refuses and how it says so, and jobs that are not enqueued yet."""

import copy
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from queue_tasks import RetryPolicy, Task, compat, task
from queue_tasks.exceptions import TaskNotFound
from queue_tasks.specs import make_spec
from queue_tasks.tasks import adopt, declared, find_task, keep_seconds
from tests import testapp
from tests.testapp import tasks

# Functions at module level: what Django demands of a task.


def plain(a, b=1): ...


async def coroutine(a): ...


def with_context(context, a): ...


def context_last(a, context): ...


def generator():
    yield


async def async_generator():
    yield


anonymous = lambda: None  # noqa: E731


class Holder:
    def method(self): ...


def refused(func: Callable[..., Any], **options: Any) -> str:
    with pytest.raises(compat.InvalidTask) as refusal:
        task(**options)(func)
    return str(refusal.value)


# ------------------------------------------------------------------------------------------------------------- options


def test_a_bare_decorator_gives_a_task_with_safe_defaults():
    declared_task = task(plain)
    assert isinstance(declared_task, compat.Task)
    assert (declared_task.priority, declared_task.queue_name, declared_task.backend) == (0, "default", "default")
    assert (declared_task.retry, declared_task.timeout, declared_task.lock, declared_task.keep) == (None,) * 4
    assert declared_task.run_after is None
    assert declared_task.takes_context is False


def test_options_are_kept():
    policy = RetryPolicy(max_attempts=3)
    declared_task = task(
        queue_name="media",
        priority=10,
        retry=policy,
        timeout=30,
        executor="async",
        lock="a:{a}",
        keep=timedelta(days=1),
    )(coroutine)
    assert (declared_task.queue_name, declared_task.priority, declared_task.retry) == ("media", 10, policy)
    assert (declared_task.timeout, declared_task.executor) == (30, "async")
    assert (declared_task.lock, declared_task.keep) == ("a:{a}", timedelta(days=1))


def test_a_number_of_attempts_is_a_policy_with_the_default_waits():
    assert task(retry=4)(plain).retry == RetryPolicy(max_attempts=4)


def test_a_timeout_may_be_a_timedelta():
    assert task(timeout=timedelta(minutes=1))(coroutine).timeout == 60.0


def test_the_body_can_still_be_called():
    assert tasks.add.call(1, b=2) == 3


def test_django_finds_the_name_and_path_of_a_task():
    assert tasks.add.name == "add"
    assert tasks.add.module_path == "tests.testapp.tasks.add"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retry": 0}, "retry=0; expected None, a number of attempts (1 or more), or a RetryPolicy"),
        ({"retry": True}, "retry=True; expected None"),
        ({"retry": 2.0}, "retry=2.0; expected None"),
        ({"executor": "async"}, "executor='async'; a plain function runs in the 'thread' or 'process' executor"),
        ({"executor": "gpu"}, "executor='gpu'; a plain function runs in the 'thread' or 'process' executor"),
        ({"executor": "process", "memory_limit": 0}, "memory_limit=0; expected a whole number of bytes, 1 or more"),
        ({"executor": "process", "memory_limit": 1e6}, "memory_limit=1000000.0; expected a whole number of bytes"),
        ({"executor": "process", "memory_limit": True}, "memory_limit=True; expected a whole number of bytes"),
        ({"executor": "process", "memory_limit": 2**80}, "expected a whole number of bytes"),
        ({"memory_limit": 2**20}, "memory_limit=1048576; only executor='process' can limit a body's memory"),
        ({"timeout": 0}, "timeout=0; expected more than 0 seconds, or a timedelta"),
        ({"timeout": -1}, "timeout=-1; expected more than 0 seconds"),
        ({"timeout": float("nan")}, "timeout=nan; expected more than 0 seconds"),
        ({"timeout": float("inf")}, "timeout=inf; expected more than 0 seconds"),
        ({"timeout": True}, "timeout=True; expected more than 0 seconds"),
        ({"timeout": "5"}, "timeout='5'; expected more than 0 seconds"),
        ({"lock": 5}, "lock=5; expected a format string over the arguments, or a callable"),
        ({"lock": "a:{c}"}, "lock='a:{c}' names 'c', which is not an argument; the arguments are: a, b"),
        ({"lock": "a:{}"}, "lock='a:{}' names '', which is not an argument"),
        ({"lock": "a:{0}"}, "lock='a:{0}' names '0', which is not an argument"),
        ({"lock": "a:{a"}, "lock='a:{a' is not a format string"),
        ({"keep": True}, "keep=True; expected a timedelta of 0 or more, None (the default) or False"),
        ({"keep": 3600}, "keep=3600; expected a timedelta"),
        ({"keep": timedelta(-1)}, "expected a timedelta of 0 or more"),
        ({"keep": timedelta.max}, "expected a timedelta of 0 or more"),
        ({"priority": 101}, "priority must be a whole number between -100 and 100."),
        ({"priority": -101}, "priority must be a whole number between -100 and 100."),
        ({"priority": 1.5}, "priority must be a whole number between -100 and 100. Found: 1.5"),
        ({"priority": True}, "priority must be a whole number between -100 and 100. Found: True"),
        ({"priority": "5"}, "priority must be a whole number between -100 and 100. Found: '5'"),
        ({"priority": float("nan")}, "priority must be a whole number between -100 and 100. Found: nan"),
        ({"queue_name": ""}, "queue_name=''; expected text of 1 to 128 characters"),
        ({"queue_name": "q" * 129}, "expected text of 1 to 128 characters"),
        ({"queue_name": "a\x00"}, "without NUL or lone surrogates"),
        ({"queue_name": "\ud800"}, "without NUL or lone surrogates"),
        ({"queue_name": None}, "queue_name=None; expected text"),
        ({"queue_name": 5}, "queue_name=5; expected text"),
        ({"takes_context": True}, "does not have a first argument of 'context'"),
    ],
)
def test_a_wrong_option_is_refused_where_the_task_is_declared(options, problem):
    assert problem in refused(plain, **options)


@pytest.mark.parametrize("func", [anonymous, Holder.method, Holder, len, "plain"])
def test_what_cannot_be_found_again_by_its_path_is_refused(func):
    if callable(func):
        assert "Task function must be defined at a module level." in refused(func)
    else:
        with pytest.raises(TypeError, match="it is written over a function"):
            task(func)


def test_a_function_within_a_function_is_refused():
    def inner(): ...

    assert "Task function must be defined at a module level." in refused(inner)


@pytest.mark.parametrize("func", [generator, async_generator])
def test_a_generator_is_refused_since_its_body_would_never_run(func):
    assert "is a generator" in refused(func)


def test_a_coroutine_function_does_not_run_in_threads():
    assert "a coroutine function runs in the 'async' executor" in refused(coroutine, executor="thread")


def test_a_path_longer_than_its_column_is_refused_with_its_length(monkeypatch):
    monkeypatch.setattr(plain, "__module__", "m" * 130)
    assert "its dotted path is 136 characters long; expected at most 128" in refused(plain)


def test_context_must_be_the_first_parameter():
    assert "does not have a first argument of 'context'" in refused(context_last, takes_context=True)
    assert task(takes_context=True)(with_context).takes_context


def test_an_unknown_option_is_a_type_error_that_lists_the_known_ones():
    with pytest.raises(
        TypeError, match=r"@task has no option colour, size\. Its options: atomic, backend, executor, keep, lock"
    ):
        task(colour="red", size=1)  # type: ignore[call-overload]


def test_run_after_belongs_to_a_job():
    with pytest.raises(TypeError, match=r"use task.using\(run_after=...\)"):
        task(run_after=timezone.now())  # type: ignore[call-overload]


def test_an_unknown_backend_is_refused():
    with pytest.raises(compat.task_backends.exception_class):
        task(backend="elsewhere")(plain)


def test_a_coroutine_function_cannot_be_atomic_and_is_told_what_can():
    async def stir() -> None: ...

    stir.__qualname__ = "stir"
    options: Any = {"atomic": "yes"}
    with pytest.raises(compat.InvalidTask, match=r"a coroutine function cannot be atomic: .* Make it a plain function"):
        task(atomic=True)(stir)
    with pytest.raises(compat.InvalidTask, match=r"atomic='yes'; expected True or False"):
        task(**options)(plain)
    assert task(atomic=True)(plain).atomic


# --------------------------------------------------------------------------------------------------------------- using


def test_using_changes_a_copy():
    later = datetime(2030, 1, 1, tzinfo=UTC)
    changed = tasks.add.using(priority=7, queue_name="media", run_after=later, lock="x")
    assert (changed.priority, changed.queue_name, changed.run_after, changed.lock) == (7, "media", later, "x")
    assert (tasks.add.priority, tasks.add.queue_name, tasks.add.run_after, tasks.add.lock) == (0, "default", None, None)
    assert changed.func is tasks.add.func
    assert isinstance(changed, Task)


def test_using_keeps_our_options():
    assert tasks.discard.using(priority=1).retry == RetryPolicy(max_attempts=5)


def test_a_timedelta_is_counted_from_now():
    before = timezone.now()
    run_after = tasks.add.using(run_after=timedelta(hours=1)).run_after
    assert before + timedelta(hours=1) <= run_after <= timezone.now() + timedelta(hours=1)


@pytest.mark.parametrize(
    ("run_after", "problem"),
    [
        (datetime(2030, 1, 1), "run_after must be an aware datetime"),  # noqa: DTZ001
        (5, "run_after=5; expected an aware datetime, or a timedelta from now"),
        ("2030-01-01", "expected an aware datetime"),
        (datetime(9000, 1, 1, tzinfo=UTC), "expected before 9000-01-01"),
        (datetime.max.replace(tzinfo=UTC), "expected before 9000-01-01"),
    ],
)
def test_a_wrong_time_is_refused(run_after, problem):
    with pytest.raises(compat.InvalidTask, match=re.escape(problem)):
        tasks.add.using(run_after=run_after)


def test_a_timedelta_beyond_the_calendar_is_refused():
    with pytest.raises(ValueError, match="is beyond the calendar; expected before 9000-01-01"):
        tasks.add.using(run_after=timedelta.max)


@pytest.mark.parametrize("changes", [{"priority": 101}, {"queue_name": "q" * 129}, {"lock": "{nothing}"}])
def test_using_checks_what_it_changes(changes):
    with pytest.raises(compat.InvalidTask):
        tasks.add.using(**changes)


# ---------------------------------------------------------------------------------------------------------------- find


def test_a_task_is_found_by_its_path():
    assert find_task("tests.testapp.tasks.add") is tasks.add


def test_the_declared_task_is_found_and_not_what_using_made_of_it():
    tasks.add.using(priority=9)
    assert declared["tests.testapp.tasks.add"] is tasks.add


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests.testapp.tasks.ad", r'Did you mean "tests.testapp.tasks'),
        ("tests.no_such_module.task", "No module named 'tests.no_such_module'"),
        ("tests.testapp.tasks", "it is module, not a task"),
        ("os.getcwd", "it is builtin_function_or_method, not a task"),
        ("nodots", "doesn't look like a module path"),
        ("", "doesn't look like a module path"),
        (".", "cannot be imported"),
        ("..x", "cannot be imported"),
    ],
)
def test_a_name_that_is_no_task_is_told_why_and_what_to_do(name, reason):
    with pytest.raises(TaskNotFound, match=re.escape(reason)) as refusal:
        find_task(name)
    assert "keep the old name until its jobs are done" in str(refusal.value)


def test_a_module_that_breaks_as_it_is_imported_is_a_task_not_found(tmp_path, monkeypatch):
    (tmp_path / "broken_module_of_a_test.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.setattr(testapp, "__path__", [*testapp.__path__, str(tmp_path)])
    with pytest.raises(TaskNotFound, match="no licence"):
        find_task("tests.testapp.broken_module_of_a_test.task")


# --------------------------------------------------------------------------------------------- tasks of Django's making


def django_task(**values: Any) -> compat.Task:
    """What plain `django.tasks.task` gives on a Django that has no task_class."""
    defaults: dict[str, Any] = {
        "priority": 0, "queue_name": "default", "backend": "default", "takes_context": False, "run_after": None
    }  # fmt: skip
    return compat.Task(func=plain, **{**defaults, **values})


def test_a_plain_django_task_is_adopted_with_default_options():
    own = adopt(django_task(priority=3))
    assert isinstance(own, Task)
    assert (own.priority, own.retry, own.keep, own.func) == (3, None, None, plain)
    assert make_spec(adopt(django_task()), (1,), {"b": 2}).args == [1]


def test_what_using_made_of_a_django_task_is_not_taken_for_its_declaration():
    declared.pop(f"{__name__}.plain", None)
    adopt(django_task(priority=3))
    assert f"{__name__}.plain" not in declared


def test_our_own_task_is_adopted_as_it_is():
    assert adopt(tasks.add) is tasks.add


# ---------------------------------------------------------------------------------------------------------------- rest


def test_a_task_can_be_copied_and_compared():
    assert copy.copy(tasks.add) == tasks.add
    assert tasks.add.using(priority=1) == tasks.add.using(priority=1) != tasks.add


def test_a_task_knows_whether_it_is_async():
    assert tasks.noop.is_async
    assert not tasks.add.is_async


@pytest.mark.parametrize(
    ("keep", "default", "expected"),
    [
        (None, timedelta(days=7), 604_800.0),
        (None, None, None),
        (timedelta(hours=1), None, 3600.0),
        (False, timedelta(days=7), 0.0),
    ],
)
def test_how_long_a_row_stays(keep, default, expected):
    assert keep_seconds(task(keep=keep)(plain), default) == expected


def test_a_row_kept_for_no_time_is_not_ephemeral():
    assert 0 < keep_seconds(task(keep=timedelta(0))(plain), None) < 1


def test_every_option_of_the_decorator_is_documented_at_its_field():
    source = inspect.getsource(Task)
    for name in ("retry", "timeout", "executor", "lock", "keep"):
        assert re.search(rf'    {name}: .*\n    """', source), name
