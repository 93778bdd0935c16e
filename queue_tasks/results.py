"""Reading what became of a job: TaskResult, and waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.utils import timezone

from queue_tasks import compat, control
from queue_tasks.arguments import decode
from queue_tasks.caller import moment, rows
from queue_tasks.conf import Options
from queue_tasks.connections import MARGIN, Deadline, connect, connect_synchronously, within
from queue_tasks.database_errors import StatementRefused, is_of_the_schema, outdated
from queue_tasks.exceptions import TaskNotFound, WaitTimeout
from queue_tasks.following import Looks
from queue_tasks.specs import JobSpec
from queue_tasks.statements import GET_JOB
from queue_tasks.tasks import adopt, find_task

R_co = TypeVar("R_co", covariant=True)

CHANNEL = "queue_tasks_finished"
"""Notified when jobs finish; the payload is their ids separated by commas, or *."""

STATUS = {
    "todo": compat.TaskResultStatus.READY,
    "doing": compat.TaskResultStatus.RUNNING,
    "succeeded": compat.TaskResultStatus.SUCCESSFUL,
    "failed": compat.TaskResultStatus.FAILED,
    "cancelled": compat.TaskResultStatus.FAILED,
    "aborted": compat.TaskResultStatus.FAILED,
    "aborting": compat.TaskResultStatus.RUNNING,
}
"""Django's status of each of procrastinate's."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running task has come, as it told by `context.progress`."""

    done: float
    total: float | None = None
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """The part that is done, 0 to 1; None when the total is not known."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(compat.TaskResult, Generic[R_co]):  # type: ignore[misc, type-arg]  # the stubs are not of this Django
    """Django's TaskResult of one job, which can also be waited for, cancelled and retried.

    id: the job row's id, as text.
    """

    progress: Progress | None = field(default=None, compare=False)
    """How far the task has come; as of the last refresh."""

    # All that the result of a job just enqueued is made of: the other fields are found out when somebody looks at them.
    _spec: JobSpec[R_co] | None = field(init=False, default=None, repr=False, compare=False)
    _row_id: int | None = field(init=False, default=None, repr=False, compare=False)
    _microseconds: int | None = field(init=False, default=None, repr=False, compare=False)
    """Since 1970."""

    if TYPE_CHECKING:

        @property
        def return_value(self) -> R_co:
            """What the task returned, as JSON has it. Raises ValueError when the job has not succeeded."""

    else:

        def __getattr__(self, name: str) -> Any:
            # Only called for what is not set: the fields that ready() leaves out.
            find = _OF_A_NEW_JOB.get(name)
            if find is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            value = find(self)
            object.__setattr__(self, name, value)
            return value

    def refresh(self) -> None:
        """Read the job anew. Raises TaskResultDoesNotExist when it was deleted."""
        self._take(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See `refresh`."""
        self._take(await self.task.get_backend().aget_result(self.id))

    def wait(self, timeout: float | timedelta | None = None) -> TaskResult[R_co]:
        """Wait until the job has finished, and give the refreshed result.

        timeout: seconds or a timedelta; None: for ever.
        Raises TimeoutError (WaitTimeout), and TaskResultDoesNotExist when other sessions cannot see the job: it was
        enqueued in a transaction that is not committed yet, or deleted as `keep=False` asks. SchemaOutdated when the
        database was not migrated since an upgrade of the code.
        """
        limit, options = _seconds(timeout), self._options
        database, patience = options.listen_database or options.database, options.statement_timeout
        connection, direct = connect_synchronously(database, "wait", statement_timeout=patience)
        with connection, _on_our_schema(options.database):
            looks = self._looks(limit, hears=direct)
            with within(connection, patience + MARGIN):
                for statement in looks.first:
                    connection.execute(statement)
            while True:
                with within(connection, patience + MARGIN):
                    answers = [connection.execute(*question).fetchall() for question in looks.questions]
                if self._look(looks, answers):
                    return self
                for notice in connection.notifies(timeout=looks.pause()):
                    if _concerns(notice.payload, self.id):
                        break

    async def await_result(self, timeout: float | timedelta | None = None) -> TaskResult[R_co]:  # noqa: ASYNC109 - the contract
        """See `wait`; from async code."""
        limit, options = _seconds(timeout), self._options
        database, patience = options.listen_database or options.database, options.statement_timeout
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[None] = loop.create_future()

        def hear(_channel: str, payload: str) -> None:
            if _concerns(payload, self.id) and not heard.done():
                heard.set_result(None)

        line = await connect(database, "wait", statement_timeout=patience, durable=False, hear=hear)
        try:
            with _on_our_schema(options.database):
                looks = self._looks(limit, hears=line.direct)
                with Deadline(line, patience + MARGIN):
                    for statement in looks.first:
                        await line.rows(statement)
                while True:
                    # What is said from now on may not be in the row yet.
                    heard = loop.create_future()
                    with Deadline(line, patience + MARGIN):
                        answers = [await line.rows(*question) for question in looks.questions]
                    if self._look(looks, answers):
                        return self
                    await line.listen(looks.pause(), until=heard)
        finally:
            await line.close()

    def cancel(self) -> bool:
        """Cancel the job if it has not started; whether it was."""
        options = self._options
        return bool(control.cancel([int(self.id)], database=options.database, keep=options.keep))

    def retry(self) -> bool:
        """Make the finished job ready to run once more; whether it was."""
        return bool(control.retry([int(self.id)], database=self._options.database))

    @property
    def _options(self) -> Options:
        return cast("Options", cast("Any", self.task.get_backend()).settings)

    def _looks(self, limit: float, *, hears: bool) -> Looks:
        return Looks((GET_JOB, {"id": int(self.id)}), [CHANNEL], hears=hears, limit=limit)

    def _look(self, looks: Looks, answers: Sequence[Sequence[tuple[Any, ...]]]) -> bool:
        """Take what a look has shown; whether the job has finished."""
        self._take(from_row(_require(looks.note(answers), self.id), self.backend))
        if not self.is_finished and looks.given_up:
            raise WaitTimeout(self.id, looks.limit, self.status)
        return self.is_finished

    def _take(self, newer: compat.TaskResult[..., Any]) -> None:
        for name in (*compat.TASK_REFRESH_ATTRS, "progress"):
            object.__setattr__(self, name, getattr(newer, name))


_OF_A_NEW_JOB: dict[str, Callable[[Any], Any]] = {
    "task": lambda new: new._spec.task,  # noqa: SLF001 - the class's own, as in the next ones
    "id": lambda new: str(new._row_id),  # noqa: SLF001
    "backend": lambda new: new.task.backend,
    "enqueued_at": lambda new: moment(connections[new._options.database], new._microseconds),  # noqa: SLF001
    "args": lambda new: new._spec.args,  # noqa: SLF001
    "kwargs": lambda new: new._spec.kwargs,  # noqa: SLF001
    "status": lambda _: compat.TaskResultStatus.READY,
    "started_at": lambda _: None,
    "finished_at": lambda _: None,
    "last_attempted_at": lambda _: None,
    "errors": lambda _: [],
    "worker_ids": lambda _: [],
    "progress": lambda _: None,
    "_return_value": lambda _: None,
}
"""What is known of a job that was just enqueued, by the names of a result's fields."""


_put_spec, _put_row_id, _put_microseconds = (
    getattr(TaskResult, name).__set__ for name in ("_spec", "_row_id", "_microseconds")
)
# Functions of a result and a value: by them a new result is filled, which is frozen otherwise, in half the time.


def ready(spec: JobSpec[R_co], row_id: int, microseconds: int) -> TaskResult[R_co]:
    """The result of a job just enqueued: its row's id, and when that was, since 1970.

    Most callers never look at it, or at its id only: all that can be found out later is, at the first look.
    """
    result: TaskResult[R_co] = object.__new__(TaskResult)
    _put_spec(result, spec)
    _put_row_id(result, row_id)
    _put_microseconds(result, microseconds)
    return result


def ready_many(specs: Sequence[JobSpec[R_co]], row_ids: Sequence[int], microseconds: int) -> list[TaskResult[R_co]]:
    """As `ready`, for the jobs of one statement; a field at a time for all of them, which takes half the time."""
    results: list[TaskResult[R_co]] = [object.__new__(TaskResult) for _ in specs]
    known = ((_put_spec, specs), (_put_row_id, row_ids), (_put_microseconds, repeat(microseconds)))
    for put, values in known:
        # A deque of no length only drains the map.
        deque(map(put, results, values), maxlen=0)
    return results


@dataclass(frozen=True, slots=True)
class JobRow:
    """One row of sql/queries/get_job.sql."""

    id: int
    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    status: str
    scheduled_at: datetime | None
    attempts: int
    worker_id: int | None
    args: str
    enqueued_at: datetime | None
    started_at: datetime | None
    attempted_at: datetime | None
    finished_at: datetime | None
    result: str | None
    errors: str | None
    meta: str | None


def read(result_id: str, *, alias: str, database: str) -> TaskResult[Any]:
    """The result of one job, read on Django's connection. Raises TaskResultDoesNotExist.

    SQL: sql/queries/get_job.sql
    """
    if not _is_id(result_id):
        raise compat.TaskResultDoesNotExist(f"{result_id!r} is not the id of a job; expected a whole number as text.")
    found = rows(database, GET_JOB, {"id": int(result_id)})
    return from_row(_require(found, result_id), alias)


async def aread(result_id: str, *, alias: str, database: str) -> TaskResult[Any]:
    """See `read`; from async code."""
    return await sync_to_async(read, thread_sensitive=True)(result_id, alias=alias, database=database)


def from_row(row: JobRow, alias: str) -> TaskResult[Any]:
    """The result of a job's row. Raises TaskResultDoesNotExist when the job is not of a Django task."""
    try:
        declared = find_task(row.task_name)
    except TaskNotFound as exc:
        raise compat.TaskResultDoesNotExist(f"Job {row.id} has no result to show here. {exc}") from exc
    meta = decode(row.meta) if row.meta else {}
    errors = decode(row.errors) if row.errors else []
    envelope = decode(row.args)
    if not isinstance(envelope, dict) or not envelope.keys() <= {"args", "kwargs"}:
        raise compat.TaskResultDoesNotExist(
            f"Job {row.id} was not enqueued as a Django task: its arguments are not of the form "
            '{"args": [...], "kwargs": {...}}. Look at it with: manage.py queue show ' + str(row.id)
        )
    result: TaskResult[Any] = TaskResult(
        task=_task_as_enqueued(declared, row, meta, alias),
        id=str(row.id),
        status=STATUS[row.status],
        enqueued_at=_moment(row.enqueued_at),
        started_at=_moment(row.started_at),
        last_attempted_at=_moment(row.attempted_at if row.started_at else None),
        finished_at=_moment(row.finished_at),
        args=envelope.get("args", []),
        kwargs=envelope.get("kwargs", {}),
        backend=alias,
        errors=_task_errors(row, errors),
        worker_ids=_worker_ids(row, errors),
        progress=Progress(**meta["progress"]) if "progress" in meta else None,
    )
    if row.status == "succeeded" and row.result is not None:
        object.__setattr__(result, "_return_value", decode(row.result))
    return result


def _task_as_enqueued(
    declared: compat.Task[..., Any], row: JobRow, meta: Mapping[str, Any], alias: str
) -> compat.Task[..., Any]:
    """The task with the values `using()` had given it."""
    changes: dict[str, Any] = {"priority": row.priority, "queue_name": row.queue_name, "backend": alias}
    if "run_after" in meta:
        changes["run_after"] = _moment(datetime.fromisoformat(meta["run_after"]))
    own = adopt(declared)
    changes = {name: value for name, value in changes.items() if getattr(own, name) != value}
    if not changes:
        return own
    try:
        return replace(own, **changes)
    except compat.InvalidTask:
        # The queue of an old job may no longer be declared: its result can be read all the same.
        return own


def _task_errors(row: JobRow, errors: list[dict[str, Any]]) -> list[compat.TaskError]:
    found = [
        compat.TaskError(exception_class_path=error.get("exception", ""), traceback=error.get("traceback", ""))
        for error in errors
    ]
    own = "queue_tasks.exceptions."
    if row.status == "cancelled":
        name = f"{own}JobCancelled"
        found.append(compat.TaskError(exception_class_path=name, traceback=f"{name}: cancelled before it ran\n"))
    elif row.status == "aborted" and not found:
        name = f"{own}JobAborted"
        found.append(compat.TaskError(exception_class_path=name, traceback=f"{name}: told to stop\n"))
    elif row.status == "failed" and not found:
        name = f"{own}QueueTasksError"
        text = f"{name}: failed under a stock procrastinate worker, which keeps no errors\n"
        found.append(compat.TaskError(exception_class_path=name, traceback=text))
    return found


def _worker_ids(row: JobRow, errors: list[dict[str, Any]]) -> list[str]:
    """The worker of each attempt, oldest first; "unknown" for attempts of which nothing was kept."""
    workers = [str(error.get("worker_id", "unknown")) for error in errors]
    if row.status in ("doing", "succeeded"):
        workers.append(str(row.worker_id) if row.worker_id is not None else "unknown")
    spent = row.attempts + (row.status == "doing")
    return ["unknown"] * (spent - len(workers)) + workers


def _require(found: Sequence[tuple[Any, ...]], result_id: str) -> JobRow:
    if not found:
        raise compat.TaskResultDoesNotExist(
            f"Job {result_id} does not exist here: its transaction is not committed, "
            "or it was deleted (keep=False deletes a job when it succeeds)."
        )
    return JobRow(*found[0])


def _is_id(text: object) -> bool:
    # As str() writes a bigint: int() takes "007" too, which is nobody's id.
    return isinstance(text, str) and bool(re.fullmatch(r"[1-9][0-9]{0,18}", text)) and int(text) < 2**63


def _moment(value: datetime | None) -> datetime | None:
    """A time as Django would read it from a column: naive, in the current time zone, when USE_TZ is False."""
    if value is None or settings.USE_TZ or value.utcoffset() is None:
        return value
    return timezone.make_naive(value)


@contextlib.contextmanager
def _on_our_schema(database: str) -> Iterator[None]:
    try:
        yield
    except StatementRefused as exc:
        if is_of_the_schema(exc):
            raise outdated(exc, database) from exc
        raise


def _concerns(payload: str, result_id: str) -> bool:
    return payload == "*" or result_id in payload.split(",")


def _seconds(timeout: float | timedelta | None) -> float:
    if timeout is None:
        return float("inf")
    return timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)


def json_text(value: object) -> str:
    """Compact JSON of a plain value of our own."""
    return json.dumps(value, separators=(",", ":"))
