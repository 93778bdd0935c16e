"""PostgresBackend: Django's task framework on our rows. The web side's door; it never imports the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from queue_tasks import compat, results, tasks, validation
from queue_tasks.checks import check_backend
from queue_tasks.conf import Options, queues_problem
from queue_tasks.enqueue import enqueue_job
from queue_tasks.exceptions import OptionsInvalid
from queue_tasks.results import TaskResult
from queue_tasks.specs import make_spec

MOST_VALID = 1000
"""Tasks of which a backend remembers that it has checked them."""


class PostgresBackend(compat.BaseTaskBackend):
    """Jobs are rows, enqueued on Django's connection in the caller's transaction.

    Django makes one instance for each thread or async context, so it holds nothing but settings,
    and which tasks fit them.
    """

    task_class = tasks.Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        problem = queues_problem(params.get("QUEUES", []))
        if problem:
            raise ImproperlyConfigured(f'TASKS["{alias}"]["QUEUES"] {problem}')
        self._valid: dict[int, compat.Task[..., Any]] = {}

    @cached_property
    def settings(self) -> Options:
        """The options, read at first use. Raises ImproperlyConfigured naming each wrong one."""
        try:
            return Options.read(self.options)
        except OptionsInvalid as exc:
            raise ImproperlyConfigured(f'TASKS["{self.alias}"]: {exc}') from exc

    def validate_task(self, task: compat.Task[..., Any]) -> None:
        """Check a task as it is declared and as it is enqueued. Raises InvalidTask."""
        validation.validate(task)
        if isinstance(task, tasks.Task):
            validation.validate_options(task)
        if self.queues and task.queue_name not in self.queues:
            # Django's own words, and what to do.
            raise compat.InvalidTask(
                f"Queue {task.queue_name!r} is not valid for backend. {task.module_path} names it, and "
                f'TASKS["{self.alias}"]["QUEUES"] has: {", ".join(sorted(self.queues))}. Add it there; '
                '"QUEUES": [] allows any name.'
            )
        super().validate_task(task)

    def enqueue(self, task: compat.Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[Any]:
        """Enqueue one job, in the caller's transaction; its result.

        Raises InvalidTask, TypeError or ValueError before any SQL, so that the transaction stays usable.
        SQL: sql/queries/enqueue_job.sql
        """
        self._validate_once(task)
        return enqueue_job(self.settings.database, make_spec(tasks.adopt(task), args, kwargs))

    def _validate_once(self, task: compat.Task[..., Any]) -> None:
        """As `validate_task`, for a task that is enqueued again and again."""
        if self._valid.get(id(task)) is task:
            return
        self.validate_task(task)
        # A task does not change, nor does this backend. A time is of one job, and of the settings of the moment.
        if task.run_after is None:
            if len(self._valid) >= MOST_VALID:
                self._valid.clear()
            self._valid[id(task)] = task

    def get_result(self, result_id: str) -> TaskResult[Any]:
        """The result of a job, by id. Raises TaskResultDoesNotExist.

        SQL: sql/queries/get_job.sql
        """
        return results.read(result_id, alias=self.alias, database=self.settings.database)

    async def aget_result(self, result_id: str) -> TaskResult[Any]:
        """See `get_result`."""
        return await results.aread(result_id, alias=self.alias, database=self.settings.database)

    def check(self, **_kwargs: Any) -> list[checks.CheckMessage]:
        """System checks of this backend's settings."""
        return check_backend(self.alias, self.options)
