"""Declaring tasks: `@task`, the Task it returns, and JobSpec, a job that is not yet enqueued.

A Task is Django's own, with our options beside. Validation happens here, before any SQL.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from string import Formatter
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
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils import timezone
from django.utils.module_loading import import_string

from queue_tasks import arguments, compat
from queue_tasks.conf import LONGEST, Options, seconds
from queue_tasks.exceptions import TaskNotFound
from queue_tasks.retry import RetryPolicy

if TYPE_CHECKING:
    from queue_tasks.results import TaskResult

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F_contra = TypeVar("F_contra", contravariant=True)

MAX_NAME_LENGTH = 128
"""Characters of a task's or a queue's name: the width of procrastinate's columns."""

MAX_LOCK_BYTES = 1000
"""Bytes of a lock: Postgres refuses index entries of more than about 2,700."""

MAX_MEMORY = 2**60
"""Bytes: more than any machine has, and less than what overflows."""

RUN_BEFORE = datetime(9000, 1, 1, tzinfo=UTC)
"""Jobs are not scheduled for later: that is where parked jobs are (queue_tasks_parked_until_v1)."""

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
        validate(self)
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


@dataclass(frozen=True, slots=True)
class JobSpec(Generic[R_co]):
    """A job not yet enqueued: a task and its checked arguments; the unit of everything that takes several."""

    task: Task[..., R_co]
    arguments: str = field(repr=False)
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


def make_spec(task: compat.Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobSpec[Any]:
    """Check the arguments of one job and write them as JSON.

    Raises TypeError or ValueError that names the task, the argument and the remedy.
    """
    own = task if isinstance(task, Task) else adopt(task)
    shape = _shape(own.func, own.takes_context)
    bound = None
    if own.lock is not None or not shape.takes(args, kwargs):
        try:
            bound = shape.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise TypeError(f"{own.module_path}{shape.signature}: {exc}. Give the arguments the task takes.") from exc
        if own.takes_context and "context" in kwargs:
            problem = "the worker gives the argument 'context'. Leave it out."
            raise TypeError(f"{own.module_path}{shape.signature}: {problem}")
    most = _most_bytes(own.backend)
    text = arguments.encode_plainly(args, kwargs, max_bytes=most)
    if text is None:
        text = arguments.encode_arguments(own.module_path, args, kwargs, names=shape.names, max_bytes=most)
    return JobSpec(own, text, None if bound is None else _lock_of(own, bound))


_most: dict[str, int] = {}
"""max_argument_bytes of each backend's options, until the settings change."""


def _most_bytes(backend: str) -> int:
    found = _most.get(backend)
    if found is None:
        options = getattr(compat.task_backends[backend], "settings", None) or Options()
        found = _most[backend] = options.max_argument_bytes
    return found


@receiver(setting_changed)
def _forget_options(*, setting: str, **_kwargs: Any) -> None:
    # As Django's own handler of backends does; tests change settings.
    if setting == "TASKS":
        _most.clear()


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


@lru_cache(maxsize=4096)
def signature(func: Callable[..., Any], *, takes_context: bool) -> inspect.Signature:
    """The parameters a job of this function takes: those of the function, without the context."""
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415 - new in 3.14

        # A name that only type checkers import must not fail here.
        shape = inspect.signature(func, annotation_format=annotationlib.Format.FORWARDREF)
    else:
        shape = inspect.signature(func)
    if not takes_context:
        return shape
    return shape.replace(parameters=list(shape.parameters.values())[1:])


class _Shape:
    """What a function's jobs may be given, so that the usual call is judged without `inspect`."""

    def __init__(self, shape: inspect.Signature) -> None:
        self.signature = shape
        parameters = shape.parameters.values()
        positional = [one for one in parameters if one.kind <= one.POSITIONAL_OR_KEYWORD]
        self.names = [one.name for one in positional]
        """Of the positional parameters, in order."""
        self._any_number = any(one.kind is one.VAR_POSITIONAL for one in parameters)
        # Where each name stands among the positional ones; those that only a name can give stand behind all.
        places = {one.name: place for place, one in enumerate(positional)}
        self._named = {
            one.name: places.get(one.name, sys.maxsize)
            for one in parameters
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        }
        self._required = [
            (one.name, places.get(one.name, sys.maxsize))
            for one in parameters
            if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        ]
        # Of calls that name nothing.
        self._fewest = max((place + 1 for _, place in self._required), default=0)
        self._most = sys.maxsize if self._any_number else len(positional)

    def takes(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether the arguments fit for certain; False: `inspect` has to judge."""
        given = len(args)
        if not kwargs:
            return self._fewest <= given <= self._most
        if given > len(self.names) and not self._any_number:
            return False
        # A name that is not known stands nowhere, one that is given by place too stands among those.
        for name in kwargs:
            if self._named.get(name, -1) < given:
                return False
        for name, place in self._required:  # noqa: SIM110 - `all` would make a generator for each job
            if place >= given and name not in kwargs:
                return False
        return True


@lru_cache(maxsize=4096)
def _shape(func: Callable[..., Any], takes_context: bool) -> _Shape:  # noqa: FBT001 - by position, a cache answers faster
    return _Shape(signature(func, takes_context=takes_context))


def _lock_of(task: Task[..., Any], bound: inspect.BoundArguments) -> str | None:
    if task.lock is None:
        return None
    if callable(task.lock):
        lock: Any = task.lock(*bound.args, **bound.kwargs)
    else:
        bound.apply_defaults()
        values = dict(bound.arguments)
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                values.update(values.pop(name))
        try:
            lock = task.lock.format(**values)
        except KeyError as exc:
            names = ", ".join(values) or "none"
            raise ValueError(
                f"{task.module_path}: lock={task.lock!r} names {exc}, which is not an argument; "
                f"the arguments are: {names}."
            ) from exc
        except (IndexError, AttributeError, ValueError, TypeError) as exc:
            raise ValueError(
                f"{task.module_path}: lock={task.lock!r} cannot be filled in with these arguments: {exc}."
            ) from exc
    if not isinstance(lock, str) or not _storable(lock) or not 1 <= len(lock.encode()) <= MAX_LOCK_BYTES:
        raise ValueError(
            f"{task.module_path}: its lock came out as {_short(lock)}; expected text of 1 to {MAX_LOCK_BYTES:,} bytes. "
            "Use the id of what is locked."
        )
    return lock


def _from_now(delay: timedelta) -> datetime:
    try:
        return timezone.now() + delay
    except OverflowError as exc:
        raise ValueError(f"run_after={delay!r} is beyond the calendar; expected before {RUN_BEFORE:%Y-%m-%d}.") from exc


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


def validate(task: compat.Task[..., Any]) -> None:
    """Check what Django does not know of or takes for granted: our options, types, the widths of names.

    Raises InvalidTask.
    """
    function = task.func
    name = getattr(function, "__qualname__", None)
    if not inspect.isfunction(function) or not (name or "").isidentifier():
        # Django's words, for Django's tests; a method or a lambda cannot be found again by its path.
        raise compat.InvalidTask(f"Task function must be defined at a module level. Found: {name or repr(function)}.")
    path = task.module_path
    for problem in _problems(task, path):
        raise compat.InvalidTask(f"{path}: {problem}")


def _problems(task: compat.Task[..., Any], path: str) -> list[str]:
    problems = []
    if len(path) > MAX_NAME_LENGTH:
        problems.append(
            f"its dotted path is {len(path)} characters long; expected at most {MAX_NAME_LENGTH}. "
            "Move the function to a module with a shorter path."
        )
    if inspect.isgeneratorfunction(task.func) or inspect.isasyncgenfunction(task.func):
        problems.append("it is a generator, whose body a call does not run. Return the values as a list.")
    # What the types promise is found out here.
    priority, queue = cast("tuple[Any, Any]", (task.priority, task.queue_name))
    if isinstance(priority, bool) or not isinstance(priority, (int, float)) or not float(priority).is_integer():
        problems.append(
            f"priority must be a whole number between {compat.TASK_MIN_PRIORITY} and {compat.TASK_MAX_PRIORITY}. "
            f"Found: {priority!r}."
        )
    if not isinstance(queue, str) or not 1 <= len(queue) <= MAX_NAME_LENGTH or not _storable(queue):
        problems.append(
            f"queue_name={_short(queue)}; expected text of 1 to {MAX_NAME_LENGTH} characters, "
            "without NUL or lone surrogates."
        )
    problems.extend(_run_after_problems(task.run_after))
    if isinstance(task, Task):
        problems.extend(_option_problems(task))
    return problems


def _run_after_problems(run_after: Any) -> list[str]:
    if run_after is None:
        return []
    if not isinstance(run_after, datetime):
        return [f"run_after={run_after!r}; expected an aware datetime, or a timedelta from now."]
    # Naive ones are Django's to judge: they are right where USE_TZ is False.
    last = RUN_BEFORE if run_after.utcoffset() is not None else RUN_BEFORE.replace(tzinfo=None)
    if run_after >= last:
        return [f"run_after={run_after!r}; expected before {RUN_BEFORE:%Y-%m-%d}."]
    return []


def _option_problems(task: Task[..., Any]) -> list[str]:
    # The fields' types say what is right; here it is found out.
    retry, timeout, lock, keep = cast("tuple[Any, Any, Any, Any]", (task.retry, task.timeout, task.lock, task.keep))
    problems = []
    if retry is not None and not isinstance(retry, RetryPolicy):
        problems.append(f"retry={retry!r}; expected None, a number of attempts (1 or more), or a RetryPolicy.")
    problems.extend(_place_problems(task))
    if timeout is not None:
        right = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if not right or not 0 < timeout <= LONGEST:
            problems.append(f"timeout={timeout!r}; expected more than 0 seconds, or a timedelta.")
    problems.extend(_atomic_problems(task))
    problems.extend(_redact_problems(task))
    if isinstance(lock, str):
        problems.extend(_lock_problems(task, lock))
    elif lock is not None and not callable(lock):
        problems.append(f"lock={lock!r}; expected a format string over the arguments, or a callable.")
    if keep is None or keep is False:
        return problems
    if not isinstance(keep, timedelta) or not 0 <= keep.total_seconds() <= LONGEST:
        problems.append(
            f"keep={keep!r}; expected a timedelta of 0 or more, None (the default) or False (delete on success)."
        )
    return problems


def _atomic_problems(task: Task[..., Any]) -> list[str]:
    atomic: Any = task.atomic
    if not isinstance(atomic, bool):
        return [f"atomic={atomic!r}; expected True or False."]
    if atomic and task.is_async:
        problem = (
            "atomic=True; a coroutine function cannot be atomic: Django's transactions are of one thread and one "
            "connection, which coroutines do not have. Make it a plain function: its body runs in a thread."
        )
        return [problem]
    return []


def _redact_problems(task: Task[..., Any]) -> list[str]:
    names: Any = task.redact
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        return [f"redact={names!r}; expected a list of names of arguments."]
    parameters = signature(task.func, takes_context=task.takes_context).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    known = ", ".join(parameters) or "none"
    return [
        f"redact names {name!r}, which is not an argument; the arguments are: {known}."
        for name in names
        if name not in parameters
    ]


def _place_problems(task: Task[..., Any]) -> list[str]:
    problems = []
    kind = "a coroutine function" if task.is_async else "a plain function"
    possible = ("async",) if task.is_async else ("thread", "process")
    if task.executor not in (None, *possible):
        named = " or ".join(map(repr, possible))
        problems.append(f"executor={task.executor!r}; {kind} runs in the {named} executor.")
    limit: Any = task.memory_limit
    if limit is not None:
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= MAX_MEMORY:
            problems.append(f"memory_limit={limit!r}; expected a whole number of bytes, 1 or more.")
        if task.executor != "process":
            problems.append(f"memory_limit={limit!r}; only executor='process' can limit a body's memory.")
    return problems


def _lock_problems(task: Task[..., Any], lock: str) -> list[str]:
    """A lock that names what is no argument is told where it is written, not at the first enqueue."""
    parameters = signature(task.func, takes_context=task.takes_context).parameters
    try:
        named = [name for _, name, _, _ in Formatter().parse(lock) if name is not None]
    except ValueError as exc:
        return [f"lock={lock!r} is not a format string: {exc}. Write {{{{ for a brace."]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    known = ", ".join(parameters) or "none"
    return [
        f"lock={lock!r} names {name!r}, which is not an argument; the arguments are: {known}."
        for name in named
        if name.replace("[", ".").split(".")[0] not in parameters
    ]


def _storable(text: str) -> bool:
    """Whether Postgres can hold the text."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text):,} characters)"  # noqa: PLR2004 - for a message


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
