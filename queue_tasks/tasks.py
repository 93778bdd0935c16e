"""Declaring tasks: `@task`, the Task it returns, and JobSpec, a job that is not yet enqueued.

A Task is Django's own, with our options beside. Validation happens here, before any SQL.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

from django.utils import timezone
from django.utils.module_loading import import_string

from queue_tasks import arguments, compat
from queue_tasks.conf import Options, seconds
from queue_tasks.exceptions import TaskNotFound
from queue_tasks.retry import RetryPolicy

if TYPE_CHECKING:
    from queue_tasks.results import TaskResult

P = ParamSpec("P")
R = TypeVar("R")

MAX_NAME_LENGTH = 128
"""Characters of a task's or a queue's name: the width of procrastinate's columns."""

declared: dict[str, Task[..., Any]] = {}
"""Every task declared in this process, by its dotted path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(compat.Task, Generic[P, R]):
    """Django's Task with the options of this library. Made by `@task`, never by hand."""

    retry: RetryPolicy | None = None
    """When a failed attempt is tried again; None: never. An int is that many attempts with the default waits."""

    timeout: float | None = None
    """Seconds one attempt may take; None: no limit."""

    executor: Literal["async", "thread"] | None = None
    """Where the body runs: "async" for coroutine functions, "thread" for others; None: implied."""

    lock: str | Callable[..., str] | None = None
    """Jobs of one lock run one at a time, in order: a format string over the arguments, or a callable of them."""

    keep: timedelta | Literal[False] | None = None
    """How long a finished job's row stays; None: the backend's default; False: deleted when it succeeds, no history."""

    def __post_init__(self) -> None:
        if isinstance(self.retry, int) and not isinstance(self.retry, bool):
            object.__setattr__(self, "retry", RetryPolicy(max_attempts=self.retry))
        if isinstance(self.timeout, timedelta):
            object.__setattr__(self, "timeout", self.timeout.total_seconds())
        # Not super(): a dataclass with slots is a new class, which zero-argument super() does not know.
        compat.Task.__post_init__(self)
        known = declared.get(self.module_path)
        if known is None or known.func is not self.func:
            declared[self.module_path] = self

    @property
    def is_async(self) -> bool:
        """Whether the body is a coroutine function."""
        return inspect.iscoroutinefunction(self.func)

    def using(  # noqa: PLR0913 - one name for each thing that can be changed
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        lock: str | Callable[..., str] | None = None,
    ) -> Task[P, R]:
        """The same task with other values for the jobs enqueued through it.

        run_after: the earliest the job runs: an aware datetime, or a timedelta from now.
        """
        given = {"priority": priority, "queue_name": queue_name, "backend": backend, "lock": lock}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if run_after is not None:
            changes["run_after"] = timezone.now() + run_after if isinstance(run_after, timedelta) else run_after
        return replace(self, **changes)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> JobSpec[R]:
        """A job of this task that is not yet enqueued, its arguments checked.

        Raises TypeError or ValueError naming the argument that does not fit or cannot be stored.
        """
        return make_spec(self, args, kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]:
        """Enqueue one job, in the caller's transaction."""
        return cast("TaskResult[R]", self.get_backend().enqueue(self, args, kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R]:
        """Enqueue one job from async code, on the connection that async ORM calls here use."""
        return cast("TaskResult[R]", await self.get_backend().aenqueue(self, args, kwargs))

    def get_result(self, result_id: str) -> TaskResult[R]:
        """The result of a job of this task, by id.

        Raises TaskResultDoesNotExist, or TaskResultMismatch when the job is of another task.
        """
        return cast("TaskResult[R]", compat.Task.get_result(self, result_id))

    async def aget_result(self, result_id: str) -> TaskResult[R]:
        """See `get_result`."""
        return cast("TaskResult[R]", await compat.Task.aget_result(self, result_id))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body here and now, without a job."""
        return cast("R", compat.Task.call(self, *args, **kwargs))

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body here and now from async code, without a job."""
        return cast("R", await compat.Task.acall(self, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class JobSpec(Generic[R]):
    """A job not yet enqueued: a task and its checked arguments; the unit of everything that takes several."""

    task: Task[..., R]
    arguments: str
    """`{"args": [...], "kwargs": {...}}` as JSON text."""
    lock: str | None

    @property
    def args(self) -> list[Any]:
        """The positional arguments as they will come back."""
        return cast("list[Any]", arguments.decode(self.arguments)["args"])

    @property
    def kwargs(self) -> dict[str, Any]:
        """The named arguments as they will come back."""
        return cast("dict[str, Any]", arguments.decode(self.arguments)["kwargs"])


def make_spec(task: compat.Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobSpec[Any]:
    """Check the arguments of one job and write them as JSON.

    Raises TypeError or ValueError that names the task, the argument and the remedy.
    """
    own = adopt(task)
    shape = signature(own.func, takes_context=own.takes_context)
    try:
        bound = shape.bind(*args, **kwargs)
    except TypeError as exc:
        raise TypeError(f"{own.module_path}{shape}: {exc}. Give the arguments the task takes.") from exc
    names = [name for name, parameter in shape.parameters.items() if parameter.kind <= parameter.POSITIONAL_OR_KEYWORD]
    options = getattr(own.get_backend(), "settings", None) or Options()
    text = arguments.encode_arguments(
        own.module_path, args, kwargs, names=names, max_bytes=options.max_argument_bytes
    )
    return JobSpec(own, text, _lock_of(own, bound))


def adopt(task: compat.Task) -> Task[..., Any]:
    """The task as one of ours: itself, or the same with our default options if plain Django made it."""
    if isinstance(task, Task):
        return task
    values = {field.name: getattr(task, field.name) for field in fields(task)}
    return Task(**values)


@lru_cache(maxsize=4096)
def signature(func: Callable[..., Any], *, takes_context: bool) -> inspect.Signature:
    """The parameters a job of this function takes: those of the function, without the context."""
    shape = inspect.signature(func)
    if not takes_context:
        return shape
    return shape.replace(parameters=list(shape.parameters.values())[1:])


def _lock_of(task: Task[..., Any], bound: inspect.BoundArguments) -> str | None:
    if task.lock is None:
        return None
    if callable(task.lock):
        lock = task.lock(*bound.args, **bound.kwargs)
    else:
        bound.apply_defaults()
        try:
            lock = task.lock.format(**bound.arguments)
        except (KeyError, IndexError, AttributeError) as exc:
            names = ", ".join(bound.arguments) or "none"
            raise ValueError(
                f"{task.module_path}: lock={task.lock!r} names {exc}, which is not an argument; the arguments are: {names}."
            ) from exc
    if not isinstance(lock, str) or not lock or "\x00" in lock:
        raise ValueError(f"{task.module_path}: its lock came out as {lock!r}; expected text of 1 or more characters.")
    return lock


def find_task(name: str) -> compat.Task:
    """The Django task of a dotted path, importing it if need be.

    Raises TaskNotFound when nothing is there, or something that is not a task.
    """
    if name in declared:
        return declared[name]
    try:
        found = import_string(name)
    except (ImportError, ValueError) as exc:
        raise TaskNotFound(name, str(exc), declared) from exc
    if not isinstance(found, compat.Task):
        raise TaskNotFound(name, f"it is {type(found).__name__}, not a task", declared)
    return found


def validate(task: compat.Task) -> None:
    """Check what Django does not know of: our options, and the widths of names. Raises InvalidTask."""
    path = task.module_path
    if len(path) > MAX_NAME_LENGTH:
        raise compat.InvalidTask(f"{path} is {len(path)} characters long; a task's dotted path may have {MAX_NAME_LENGTH}.")
    if not 1 <= len(task.queue_name) <= MAX_NAME_LENGTH or "\x00" in task.queue_name:
        raise compat.InvalidTask(
            f"{path}: queue_name {task.queue_name!r} is {len(task.queue_name)} characters long; "
            f"expected 1 to {MAX_NAME_LENGTH}, without NUL."
        )
    if isinstance(task, Task):
        for problem in _option_problems(task):
            raise compat.InvalidTask(f"{path}: {problem}")


def _option_problems(task: Task[..., Any]) -> list[str]:
    problems = []
    if task.retry is not None and not isinstance(task.retry, RetryPolicy):
        problems.append(f"retry={task.retry!r}; expected None, a number of attempts, or a RetryPolicy.")
    implied = "async" if task.is_async else "thread"
    if task.executor not in (None, implied):
        kind = "a coroutine function" if task.is_async else "a plain function"
        problems.append(f"executor={task.executor!r}; {kind} runs in the {implied!r} executor.")
    if task.timeout is not None:
        if not isinstance(task.timeout, (int, float)) or not 0 < task.timeout < float("inf"):
            problems.append(f"timeout={task.timeout!r}; expected more than 0 seconds, or a timedelta.")
        elif not task.is_async:
            problems.append(
                f"timeout={task.timeout!r}; only a coroutine function can be stopped at a timeout. "
                "Make it async, or give the limit to the calls it makes."
            )
    if task.lock is not None and not callable(task.lock) and not isinstance(task.lock, str):
        problems.append(f"lock={task.lock!r}; expected a format string over the arguments, or a callable.")
    if task.keep is not None and task.keep is not False and not isinstance(task.keep, timedelta):
        problems.append(f"keep={task.keep!r}; expected a timedelta, None (the default) or False (delete on success).")
    return problems


def keep_seconds(task: compat.Task, default: timedelta | None) -> float | None:
    """How long a succeeded job of the task stays: seconds, None for ever, 0 for deleted at once."""
    keep = task.keep if isinstance(task, Task) else None
    if keep is False:
        return 0.0
    chosen = default if keep is None else keep
    return None if chosen is None else max(seconds(chosen), 0.001)


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: Literal[True],
    retry: RetryPolicy | int | None = ...,
    timeout: float | timedelta | None = ...,
    executor: Literal["async", "thread"] | None = ...,
    lock: str | Callable[..., str] | None = ...,
    keep: timedelta | Literal[False] | None = ...,
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...


@overload
def task(
    *,
    priority: int = ...,
    queue_name: str = ...,
    backend: str = ...,
    takes_context: Literal[False] = ...,
    retry: RetryPolicy | int | None = ...,
    timeout: float | timedelta | None = ...,
    executor: Literal["async", "thread"] | None = ...,
    lock: str | Callable[..., str] | None = ...,
    keep: timedelta | Literal[False] | None = ...,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a task: bare, or with options (the fields of Task).

    takes_context: the first parameter, named `context`, is given the TaskContext.
    Raises InvalidTask when an option does not fit the function, TypeError when there is no such option.
    """
    if "run_after" in options:
        raise TypeError("run_after belongs to a job, not to a task: use task.using(run_after=...).enqueue(...).")
    known = {field.name for field in fields(Task)} - {"func", "run_after"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"@task has no option {', '.join(unknown)}. Its options: {', '.join(sorted(known))}.")
    values: dict[str, Any] = {
        "priority": compat.DEFAULT_TASK_PRIORITY,
        "queue_name": compat.DEFAULT_TASK_QUEUE_NAME,
        "backend": compat.DEFAULT_TASK_BACKEND_ALIAS,
        "takes_context": False,
        "run_after": None,
        **options,
    }

    def declare(func: Callable[..., Any]) -> Task[..., Any]:
        return Task(func=func, **values)

    return declare if function is None else declare(function)
