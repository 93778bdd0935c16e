"""Looking at the jobs that wait, by task and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connections

from queue_tasks import arguments, compat, results, tasks
from queue_tasks.exceptions import ArgumentsNotStorable, ArgumentsOutOfRange
from queue_tasks.results import JobRow, TaskResult
from queue_tasks.signatures import signature
from queue_tasks.statements import WAITING_JOBS


def waiting_jobs(
    database: str, alias: str, task: compat.Task[..., Any] | None, wanted: Mapping[str, Any]
) -> list[TaskResult[Any]]:
    """The jobs of one database that wait, oldest first, whose arguments are the wanted ones.

    Those of procrastinate's own tasks, which have no TaskResult, are left out.
    alias: the entry of TASKS for tasks that are not declared here.
    Raises TypeError when the task has no argument of a wanted name.
    SQL: sql/queries/waiting_jobs.sql
    """
    if task is not None:
        require_arguments(task, wanted)
    with connections[database].cursor() as cursor:
        cursor.execute(WAITING_JOBS, {"task_name": None if task is None else task.module_path})
        rows = cursor.fetchall()
    found = []
    for row in (JobRow(*row) for row in rows):
        known = tasks.declared.get(row.task_name)
        try:
            result = results.from_row(row, alias if known is None else known.backend)
        except compat.TaskResultDoesNotExist:
            continue
        if matches(result, wanted):
            found.append(result)
    return found


def require_arguments(task: compat.Task[..., Any], wanted: Mapping[str, Any]) -> None:
    """Raise TypeError when the task can have no argument of a wanted name."""
    shape = signature(task.func, takes_context=task.takes_context)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in shape.parameters.values()):
        return
    unknown = wanted.keys() - shape.parameters.keys()
    if unknown:
        raise TypeError(
            f"{task.module_path}{shape} has no argument {', '.join(sorted(map(repr, unknown)))}, "
            "so no job of it can have one."
        )


def matches(result: TaskResult[Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the job's arguments, however they were passed, have the wanted values."""
    if not wanted:
        return True
    found = arguments_of(result)
    return all(name in found and _same(value, found[name]) for name, value in wanted.items())


def arguments_of(result: TaskResult[Any]) -> dict[str, Any]:
    """Name -> value of all arguments the task will be called with, defaults among them."""
    shape = signature(result.task.func, takes_context=result.task.takes_context)
    try:
        bound = shape.bind(*result.args, **result.kwargs)
    except TypeError:
        # Enqueued by SQL, or before the function was changed: it will fail when it runs.
        return dict(result.kwargs)
    bound.apply_defaults()
    found = dict(bound.arguments)
    for name, parameter in shape.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(found.pop(name))
    return found


def _same(wanted: Any, found: Any) -> bool:
    if wanted == found:
        return True
    try:
        # As it would come back: a tuple as a list.
        return bool(arguments.decode(arguments.encode_value("enqueued", "value", wanted)) == _plain(found))
    except (ArgumentsNotStorable, ArgumentsOutOfRange):
        # Such as mock.ANY, which has said already that it is not equal.
        return False


def _plain(value: Any) -> Any:
    # *args of the signature come as a tuple.
    return list(value) if isinstance(value, tuple) else value
