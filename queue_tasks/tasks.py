"""Declaring tasks: `@task`, the Task it returns, and finding a Task again by its name.

A Task is Django's own, with our options beside.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone
from django.utils.module_loading import import_string

from queue_tasks import compat, validation
from queue_tasks.conf import Options, seconds
from queue_tasks.exceptions import TaskNotFound
from queue_tasks.retry import RetryPolicy
from queue_tasks.specs import JobSpec, make_spec

if TYPE_CHECKING:
    from queue_tasks.results import TaskResult

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F_contra = TypeVar("F_contra", contravariant=True)

declared: dict[str, Task[..., Any]] = {}
"""Every task declared in this process, by its dotted path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(compat.Task, Generic[P, R_co]):  # type: ignore[type-arg]  # generic only in the stubs
    """Django's Task with the options of this library. Made by `@task`, never by hand."""

    retry: RetryPolicy | None = None
    """When a failed attempt is tried again; None: never. An int is that many attempts with the default waits."""

    timeout: float | None = None
    """Seconds one attempt may take; None: no limit."""

    executor: Literal["async", "thread", "process"] | None = None
    """Where the body runs: "async" for coroutine functions, "thread" or "process" for others; None: async or thread."""

    memory_limit: int | None = None
    """Bytes of memory one attempt may take, in a process; None: no limit."""

    atomic: bool = False
    """Whether body, follow-up jobs, return value and the job's end are one transaction: effects exactly once."""

    # Not compared: a job's row knows what the lock came out as, not how it was written.
    lock: str | Callable[..., str] | None = field(default=None, compare=False)
    """Jobs of one lock run one at a time, in order: a format string over the arguments, or a callable of them."""

    keep: timedelta | Literal[False] | None = None
    """How long a finished job's row stays; None: the backend's default; False: deleted when it succeeds, no history."""

    redact: Sequence[str] = ()
    """Names of arguments whose values are shown nowhere: on the dashboard, by the command, in errors."""

    def __post_init__(self) -> None:
        # The field's types are what they become here; @task says what may be given.
        retry: Any = self.retry
        timeout: Any = self.timeout
        if isinstance(retry, int) and not isinstance(retry, bool) and retry >= 1:
            object.__setattr__(self, "retry", RetryPolicy(max_attempts=retry))
        if isinstance(timeout, timedelta):
            object.__setattr__(self, "timeout", timeout.total_seconds())
        if isinstance(self.redact, list):
            object.__setattr__(self, "redact", tuple(self.redact))
        # Before Django's own checks, which take the types for granted; and whatever backend the task has.
        validation.validate(self)
        validation.validate_options(self)
        # Not super(): a dataclass with slots is a new class, which zero-argument super() does not know.
        compat.Task.__post_init__(self)
        known = declared.get(self.module_path)
        if known is None or known.func is not self.func:
            declared[self.module_path] = self

    @property
    def is_async(self) -> bool:
        """Whether the body is a coroutine function."""
        return inspect.iscoroutinefunction(self.func)

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        lock: str | Callable[..., str] | None = None,
    ) -> Task[P, R_co]:
        """The same task with other values for the jobs enqueued through it.

        run_after: the earliest the job runs: an aware datetime, or a timedelta from now.
        """
        given = {"priority": priority, "queue_name": queue_name, "backend": backend, "lock": lock}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if run_after is not None:
            changes["run_after"] = _from_now(run_after) if isinstance(run_after, timedelta) else run_after
        return replace(self, **changes)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> JobSpec[R_co]:
        """A job of this task that is not yet enqueued, its arguments checked.

        Raises TypeError or ValueError naming the argument that does not fit or cannot be stored.
        """
        return make_spec(self, args, kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R_co]:
        """Enqueue one job, in the caller's transaction."""
        return cast("TaskResult[R_co]", self.get_backend().enqueue(self, list(args), kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskResult[R_co]:
        """Enqueue one job from async code, on the connection that async ORM calls here use."""
        return cast("TaskResult[R_co]", await self.get_backend().aenqueue(self, list(args), kwargs))

    def get_result(self, result_id: str) -> TaskResult[R_co]:
        """The result of a job of this task, by id.

        Raises TaskResultDoesNotExist, or TaskResultMismatch when the job is of another task.
        """
        return cast("TaskResult[R_co]", compat.Task.get_result(self, result_id))

    async def aget_result(self, result_id: str) -> TaskResult[R_co]:
        """See `get_result`."""
        return cast("TaskResult[R_co]", await compat.Task.aget_result(self, result_id))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the body here and now, without a job."""
        return cast("R_co", compat.Task.call(self, *args, **kwargs))

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the body here and now from async code, without a job."""
        return cast("R_co", await compat.Task.acall(self, *args, **kwargs))


def adopt(task: compat.Task[..., Any]) -> Task[..., Any]:
    """The task as one of ours: itself, or the same with our default options if plain Django made it."""
    if isinstance(task, Task):
        return task
    # Not by calling Task, which declares: this one may be what using() made of the declared one.
    own: Task[..., Any] = object.__new__(Task)
    for option in fields(Task):
        default = None if option.default is MISSING else option.default
        object.__setattr__(own, option.name, getattr(task, option.name, default))
    return own


def _from_now(delay: timedelta) -> datetime:
    try:
        return timezone.now() + delay
    except OverflowError as exc:
        raise ValueError(
            f"run_after={delay!r} is beyond the calendar; expected before {validation.RUN_BEFORE:%Y-%m-%d}."
        ) from exc


def find_task(name: str) -> compat.Task[..., Any]:
    """The Django task of a dotted path, importing its module if need be and allowed.

    Raises TaskNotFound when nothing is there, or something that is not a task, or when a row may not have it imported.
    """
    if name in declared:
        return declared[name]
    module = name.rpartition(".")[0]
    if module and not may_be_imported(module):
        raise TaskNotFound(
            name,
            f'its module "{module}" is not imported yet and belongs to no app of INSTALLED_APPS, nor to the project, '
            "and no other code is imported because a row names it; if it is yours, import it in an AppConfig.ready()",
            declared,
        )
    try:
        found = import_string(name)
    except Exception as exc:
        # Whatever a module raises as it is imported: the job cannot run here.
        raise TaskNotFound(name, str(exc) or repr(exc), declared) from exc
    if not isinstance(found, compat.Task):
        raise TaskNotFound(name, f"it is {type(found).__name__}, not a task", declared)
    return found


def may_be_imported(module: str) -> bool:
    """Whether a row may have the module imported: it is of the project or of an app, or imported already."""
    if module in sys.modules:
        return True
    homes = {app.name for app in apps.get_app_configs()}
    project, dot, _ = (getattr(settings, "SETTINGS_MODULE", None) or "").partition(".")
    if dot:
        homes.add(project)
    return any(module == home or module.startswith(f"{home}.") for home in homes)


def home_of_jobs() -> str:
    """The alias of the database that jobs live in, where nobody names one: of the only entry of TASKS that is ours.

    Of several, that of "default".
    """
    entries = {name: getattr(compat.task_backends[name], "settings", None) for name in compat.task_backends.settings}
    ours = {name: options for name, options in entries.items() if isinstance(options, Options)}
    options = next(iter(ours.values())) if len(ours) == 1 else ours.get(compat.DEFAULT_TASK_BACKEND_ALIAS)
    return DEFAULT_DB_ALIAS if options is None else options.database


def keep_seconds(task: compat.Task[..., Any], default: timedelta | None) -> float | None:
    """How long a succeeded job of the task stays: seconds, None for ever, 0 for deleted at once."""
    keep = task.keep if isinstance(task, Task) else None
    if keep is False:
        return 0.0
    chosen = default if keep is None else keep
    return None if chosen is None else max(seconds(chosen), 0.001)


class TaskOptions(TypedDict, total=False):
    """What @task takes besides `takes_context`; see the fields of Task."""

    priority: int
    queue_name: str
    backend: str
    retry: RetryPolicy | int | None
    timeout: float | timedelta | None
    executor: Literal["async", "thread", "process"] | None
    memory_limit: int | None
    atomic: bool
    lock: str | Callable[..., str] | None
    keep: timedelta | Literal[False] | None
    redact: Sequence[str]


class Declare(Protocol):
    """What `@task(...)` gives: a decorator that keeps the function's signature."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class DeclareWithContext(Protocol):
    """What `@task(takes_context=True)` gives: jobs do not pass the first parameter."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(*, takes_context: Literal[True], **options: Unpack[TaskOptions]) -> DeclareWithContext: ...
@overload
def task(*, takes_context: Literal[False] = ..., **options: Unpack[TaskOptions]) -> Declare: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a task: bare, or with options (the fields of Task).

    takes_context: the first parameter, named `context`, is given the TaskContext.
    Raises InvalidTask when an option does not fit the function, TypeError when there is no such option.
    """
    if "run_after" in options:
        raise TypeError("run_after belongs to a job, not to a task: use task.using(run_after=...).enqueue(...).")
    known = {option.name for option in fields(Task)} - {"func", "run_after"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"@task has no option {', '.join(unknown)}. Its options: {', '.join(sorted(known))}.")
    if function is not None and not callable(function):
        raise TypeError(f"@task got {function!r}; it is written over a function: @task or @task(queue_name=...).")
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
