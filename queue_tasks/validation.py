"""What a task may be declared as: the checks of `@task`, of `using()`, and of what a backend is given.

In: a task, whose fields may hold anything. Out: nothing, or InvalidTask, which names the task, what was found and what
is expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import TYPE_CHECKING, Any, cast

from queue_tasks import compat
from queue_tasks.conf import LONGEST
from queue_tasks.retry import RetryPolicy
from queue_tasks.signatures import signature

if TYPE_CHECKING:
    from queue_tasks.tasks import Task

MAX_NAME_LENGTH = 128
"""Characters of a task's or a queue's name: the width of procrastinate's columns."""

MAX_MEMORY = 2**60
"""Bytes: more than any machine has, and less than what overflows."""

RUN_BEFORE = datetime(9000, 1, 1, tzinfo=UTC)
"""Jobs are not scheduled for later: that is where parked jobs are (queue_tasks_parked_until_v1)."""


def validate(task: compat.Task[..., Any]) -> None:
    """Check what Django takes for granted of any task: types, the widths of names, a body that can be found and run.

    Raises InvalidTask.
    """
    function = task.func
    name = getattr(function, "__qualname__", None)
    if not inspect.isfunction(function) or not (name or "").isidentifier():
        # Django's words, for Django's tests; a method or a lambda cannot be found again by its path.
        raise compat.InvalidTask(f"Task function must be defined at a module level. Found: {name or repr(function)}.")
    _refuse(task, _problems(task))


def validate_options(task: Task[..., Any]) -> None:
    """Check our own options, each by itself, against the function, and those that need each other.

    Raises InvalidTask.
    """
    _refuse(task, _option_problems(task))


def _refuse(task: compat.Task[..., Any], problems: Iterable[str]) -> None:
    """Raise InvalidTask for the first."""
    for problem in problems:
        raise compat.InvalidTask(f"{task.module_path}: {problem}")


def _problems(task: compat.Task[..., Any]) -> Iterator[str]:
    path = task.module_path
    if len(path) > MAX_NAME_LENGTH:
        yield (
            f"its dotted path is {len(path)} characters long; expected at most {MAX_NAME_LENGTH}. "
            "Move the function to a module with a shorter path."
        )
    if inspect.isgeneratorfunction(task.func) or inspect.isasyncgenfunction(task.func):
        yield "it is a generator, whose body a call does not run. Return the values as a list."
    # What the types promise is found out here.
    priority, queue, run_after = cast("tuple[Any, Any, Any]", (task.priority, task.queue_name, task.run_after))
    if isinstance(priority, bool) or not isinstance(priority, (int, float)) or not float(priority).is_integer():
        yield (
            f"priority must be a whole number between {compat.TASK_MIN_PRIORITY} and {compat.TASK_MAX_PRIORITY}. "
            f"Found: {priority!r}."
        )
    if not isinstance(queue, str) or not 1 <= len(queue) <= MAX_NAME_LENGTH or not storable(queue):
        yield (
            f"queue_name={shown(queue)}; expected text of 1 to {MAX_NAME_LENGTH} characters, "
            "without NUL or lone surrogates."
        )
    if run_after is not None:
        yield from _run_after_problems(run_after)


def _run_after_problems(run_after: Any) -> Iterator[str]:
    if not isinstance(run_after, datetime):
        yield f"run_after={run_after!r}; expected an aware datetime, or a timedelta from now."
        return
    # Naive ones are Django's to judge: they are right where USE_TZ is False.
    last = RUN_BEFORE if run_after.utcoffset() is not None else RUN_BEFORE.replace(tzinfo=None)
    if run_after >= last:
        yield f"run_after={run_after!r}; expected before {RUN_BEFORE:%Y-%m-%d}."


def _option_problems(task: Task[..., Any]) -> Iterator[str]:
    # The fields' types say what is right; here it is found out.
    retry, timeout, lock, keep = cast("tuple[Any, Any, Any, Any]", (task.retry, task.timeout, task.lock, task.keep))
    if retry is not None and not isinstance(retry, RetryPolicy):
        yield f"retry={retry!r}; expected None, a number of attempts (1 or more), or a RetryPolicy."
    yield from _place_problems(task)
    if timeout is not None:
        right = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if not right or not 0 < timeout <= LONGEST:
            yield f"timeout={timeout!r}; expected more than 0 seconds, or a timedelta."
    yield from _atomic_problems(task)
    yield from _redact_problems(task)
    if isinstance(lock, str):
        yield from _lock_problems(task, lock)
    elif lock is not None and not callable(lock):
        yield f"lock={lock!r}; expected a format string over the arguments, or a callable."
    if keep is None or keep is False:
        return
    if not isinstance(keep, timedelta) or not 0 <= keep.total_seconds() <= LONGEST:
        yield f"keep={keep!r}; expected a timedelta of 0 or more, None (the default) or False (delete on success)."


def _place_problems(task: Task[..., Any]) -> Iterator[str]:
    kind = "a coroutine function" if task.is_async else "a plain function"
    possible = ("async",) if task.is_async else ("thread", "process")
    if task.executor not in (None, *possible):
        named = " or ".join(map(repr, possible))
        yield f"executor={task.executor!r}; {kind} runs in the {named} executor."
    limit: Any = task.memory_limit
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= MAX_MEMORY:
        yield f"memory_limit={limit!r}; expected a whole number of bytes, 1 or more."
    if task.executor != "process":
        yield f"memory_limit={limit!r}; only executor='process' can limit a body's memory."


def _atomic_problems(task: Task[..., Any]) -> Iterator[str]:
    atomic: Any = task.atomic
    if not isinstance(atomic, bool):
        yield f"atomic={atomic!r}; expected True or False."
    elif atomic and task.is_async:
        yield (
            "atomic=True; a coroutine function cannot be atomic: Django's transactions are of one thread and one "
            "connection, which coroutines do not have. Make it a plain function: its body runs in a thread."
        )


def _redact_problems(task: Task[..., Any]) -> Iterator[str]:
    names: Any = task.redact
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        yield f"redact={names!r}; expected a list of names of arguments."
        return
    yield from (f"redact names {problem}" for problem in _unknown(task, names, names))


def _lock_problems(task: Task[..., Any], lock: str) -> Iterator[str]:
    """A lock that names what is no argument is told where it is written, not at the first enqueue."""
    try:
        named = [name for _, name, _, _ in Formatter().parse(lock) if name is not None]
    except ValueError as exc:
        yield f"lock={lock!r} is not a format string: {exc}. Write {{{{ for a brace."
        return
    arguments = [name.replace("[", ".").split(".")[0] for name in named]
    yield from (f"lock={lock!r} names {problem}" for problem in _unknown(task, named, arguments))


def _unknown(task: Task[..., Any], named: Sequence[str], arguments: Sequence[str]) -> Iterator[str]:
    """What is wrong with names of arguments that the function does not take. named: each as it is written."""
    parameters = signature(task.func, takes_context=task.takes_context).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = ", ".join(parameters) or "none"
    for written, argument in zip(named, arguments, strict=True):
        if argument not in parameters:
            yield f"{written!r}, which is not an argument; the arguments are: {known}."


def storable(text: str) -> bool:
    """Whether Postgres can hold the text."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def shown(value: object) -> str:
    """A value as a message shows it, however long it is."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text):,} characters)"  # noqa: PLR2004 - for a message
