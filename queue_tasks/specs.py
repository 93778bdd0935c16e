"""JobSpec, a job that is not yet enqueued: a task, its checked arguments as JSON, and the lock they come out at.

Whatever is wrong with a job is found here, before any SQL.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from django.core.signals import setting_changed
from django.dispatch import receiver

from queue_tasks import arguments, compat
from queue_tasks.conf import Options
from queue_tasks.signatures import shape_of
from queue_tasks.validation import shown, storable

if TYPE_CHECKING:
    from queue_tasks.tasks import Task

R_co = TypeVar("R_co", covariant=True)

MAX_LOCK_BYTES = 1000
"""Bytes of a lock: Postgres refuses index entries of more than about 2,700."""


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


_put_task, _put_arguments, _put_lock = (getattr(JobSpec, name).__set__ for name in ("task", "arguments", "lock"))
# Functions of a spec and a value: by them a new one is filled, which is frozen otherwise, in half the time.


def make_spec(task: Task[..., R_co], args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobSpec[R_co]:
    """Check the arguments of one job and write them as JSON.

    Raises TypeError or ValueError that names the task, the argument and the remedy.
    """
    shape = shape_of(task.func, task.takes_context)
    bound = None
    if task.lock is not None or not shape.takes(args, kwargs):
        try:
            bound = shape.signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise TypeError(f"{task.module_path}{shape.signature}: {exc}. Give the arguments the task takes.") from exc
        if task.takes_context and "context" in kwargs:
            problem = "the worker gives the argument 'context'. Leave it out."
            raise TypeError(f"{task.module_path}{shape.signature}: {problem}")
    most = _most_bytes(task.backend)
    text = arguments.encode_plainly(args, kwargs, max_bytes=most)
    if text is None:
        text = arguments.encode_arguments(task.module_path, args, kwargs, names=shape.names, max_bytes=most)
    spec: JobSpec[R_co] = object.__new__(JobSpec)
    _put_task(spec, task)
    _put_arguments(spec, text)
    _put_lock(spec, None if bound is None else _lock_of(task, bound))
    return spec


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
    if not isinstance(lock, str) or not storable(lock) or not 1 <= len(lock.encode()) <= MAX_LOCK_BYTES:
        raise ValueError(
            f"{task.module_path}: its lock came out as {shown(lock)}; expected text of 1 to {MAX_LOCK_BYTES:,} bytes. "
            "Use the id of what is locked."
        )
    return lock
