"""Jobs that are not enqueued yet: arguments that fit the function and can be stored, and the lock they come out at."""

import re

import pytest

from queue_tasks import compat, task
from queue_tasks.conf import Options
from tests.testapp import tasks

# Functions at module level: what Django demands of a task.


def plain(a, b=1): ...


def with_anything(*args, **kwargs): ...


def context_and_anything(context, **kwargs): ...


# ---------------------------------------------------------------------------------------------------------------- bind


def test_a_bound_job_has_its_task_and_arguments():
    spec = tasks.add.bind(1, b=2)
    assert spec.task is tasks.add
    assert (spec.args, spec.kwargs, spec.lock) == ([1], {"b": 2}, None)


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"a": 2}, "multiple values for argument 'a'"),
        ((1,), {"c": 2}, "got an unexpected keyword argument 'c'"),
    ],
)
def test_arguments_that_do_not_fit_the_function_are_refused_with_its_signature(args, kwargs, problem):
    with pytest.raises(TypeError, match=re.escape(problem)) as refusal:
        tasks.add.bind(*args, **kwargs)
    assert "tests.testapp.tasks.add(a: 'int', b: 'int' = 1)" in str(refusal.value)


def test_the_context_is_no_argument_of_a_job():
    spec = tasks.ask_again.bind(3)
    assert spec.args == [3]
    with pytest.raises(TypeError, match="unexpected keyword argument 'context'"):
        tasks.ask_again.bind(3, context=1)  # type: ignore[call-arg]


def test_the_context_cannot_be_slipped_in_among_any_names():
    greedy = task(takes_context=True)(context_and_anything)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the worker gives the argument 'context'"):
        greedy.bind(context=1)


def test_a_refused_argument_is_named():
    with pytest.raises(TypeError, match=re.escape('tests.testapp.tasks.add: argument "a": Unsupported type')):
        tasks.add.bind(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape("tests.testapp.tasks.echo: argument 1: Unsupported type")):
        tasks.echo.bind(1, object())


# ---------------------------------------------------------------------------------------------------------------- lock


def test_a_lock_is_formatted_with_the_arguments_and_their_defaults():
    assert task(lock="{a}-{b}")(plain).bind(5).lock == "5-1"
    assert task(lock="{a[id]}")(plain).bind({"id": 7}).lock == "7"
    assert task(lock="{{}}")(plain).bind(5).lock == "{}"
    assert task(lock="{x}")(with_anything).bind(x=3).lock == "3"


def test_a_lock_may_be_a_callable_of_the_arguments():
    assert task(lock=lambda a, b=1: f"{a}/{b}")(plain).bind(2, b=3).lock == "2/3"


@pytest.mark.parametrize(
    ("lock", "problem"),
    [
        (lambda a, b=1: "", "came out as ''; expected text of 1 to 1,000 bytes"),
        (lambda a, b=1: None, "came out as None; expected text"),
        (lambda a, b=1: 5, "came out as 5; expected text"),
        (lambda a, b=1: "a\x00", "expected text"),
        (lambda a, b=1: "\ud800", "expected text"),
        (lambda a, b=1: "é" * 501, "expected text of 1 to 1,000 bytes"),
        ("{a.name}", "cannot be filled in with these arguments: 'int' object has no attribute 'name'"),
        ("{a:%Y}", "cannot be filled in with these arguments"),
    ],
)
def test_a_lock_that_postgres_cannot_hold_is_refused(lock, problem):
    with pytest.raises(ValueError, match=re.escape(problem)) as refusal:
        task(lock=lock)(plain).bind(1)
    assert str(refusal.value).startswith(f"{__name__}.plain: ")


def test_a_lock_of_any_names_that_names_none_of_the_given_is_refused():
    with pytest.raises(ValueError, match="names 'x', which is not an argument; the arguments are: args, y"):
        task(lock="{x}")(with_anything).bind(y=3)


# ---------------------------------------------------------------------------------------------------------------- size


def test_the_defaults_of_options_serve_a_task_of_another_backend(settings):
    settings.TASKS = {
        "default": {"BACKEND": "queue_tasks.backend.PostgresBackend"},
        "now": {"BACKEND": f"{compat.FRAMEWORK}.backends.immediate.ImmediateBackend"},
    }
    here = task(backend="now")(plain)
    with pytest.raises(ValueError, match=f"{Options().max_argument_bytes:,}"):
        here.bind("x" * Options().max_argument_bytes)
