"""Telling the world: Django's task signals, sent robustly, so that a receiver's error never reaches a job."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.dispatch import Signal
from django.utils.log import RequireDebugFalse, RequireDebugTrue

from queue_tasks import compat, results, tasks
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome
from queue_tasks.results import JobRow, TaskResult

logger = logging.getLogger("queue_tasks")

_OWN_RECEIVERS = {id(signal): len(signal.receivers) for signal in (compat.task_started, compat.task_finished)}
"""Django's own logging of its signals: safe on the loop, and nothing to send for when its logger is silent."""

_framework_logger = logging.getLogger(compat.FRAMEWORK)


def signal_is_heard(signal: Signal, *, failed: bool = False) -> bool:
    """Whether sending the signal would have any effect. failed: for a job that did, which Django logs as an error."""
    level = logging.ERROR if failed else logging.INFO
    return len(signal.receivers) > _OWN_RECEIVERS[id(signal)] or log_is_heard(level)


def log_is_heard(level: int) -> bool:
    """Whether a line that Django writes of a task at this level would reach anybody.

    Where its own logging is left as it is, the level is INFO, and the one handler for it prints in DEBUG only: to make
    a line for each job costs more than the rest of what a worker does, and nobody reads it.
    """
    if not _framework_logger.isEnabledFor(level):
        return False
    place: logging.Logger | None = _framework_logger
    found = False
    while place is not None:
        for handler in place.handlers:
            found = True
            if level >= handler.level and not _is_deaf(handler):
                return True
        place = place.parent if place.propagate else None
    # Without any handler logging has a last resort.
    return not found and logging.lastResort is not None and level >= logging.lastResort.level


def _is_deaf(handler: logging.Handler) -> bool:
    """Whether it drops whatever it is given; of filters that are not Django's nobody knows."""
    if isinstance(handler, logging.NullHandler):
        return True
    refuser = RequireDebugFalse if settings.DEBUG else RequireDebugTrue
    return any(type(each) is refuser for each in handler.filters)


def send(signal: Signal, backend: type, result: TaskResult[Any]) -> None:
    """Send a signal from the thread this is called in. Never raises."""
    try:
        signal.send_robust(sender=backend, task_result=result)
    except BaseException:  # what send_robust lets through, such as SystemExit
        logger.exception("A receiver of a task signal raised; the job goes on.")


async def asend(signal: Signal, backend: type, result: TaskResult[Any]) -> None:
    """Send a signal from the loop; receivers that are plain functions run in the caller's thread-sensitive thread."""
    if len(signal.receivers) <= _OWN_RECEIVERS[id(signal)]:
        # Only Django's own logging: not worth a thread.
        send(signal, backend, result)
    else:
        await signal.asend_robust(sender=backend, task_result=result)


def result_of_running(job: FetchedJob, worker_id: int) -> TaskResult[Any]:
    """The result of a job while it runs, from the row that was fetched."""
    return results.from_row(_row(job, "doing", worker_id, job.attempts), _alias(job))


async def announce_finished(job: FetchedJob, outcome: Outcome, error: str | None, status: str, worker_id: int) -> None:
    """Send `task_finished` for a job that has, after its row is written.

    Within an except block of the error, as receivers expect: `sys.exc_info()` then says what failed.
    """
    spent = job.attempts + 1
    earlier = (job.errors or "")[1:-1].strip()
    errors = "[" + ",".join(text for text in (earlier, error) if text) + "]"
    row = _row(job, status, worker_id, spent, outcome.result, errors, datetime.now(UTC))
    try:
        result = results.from_row(row, _alias(job))
    except compat.TaskResultDoesNotExist:
        # Not a Django task: procrastinate's have no signals.
        return
    backend = type(result.task.get_backend())
    if len(compat.task_finished.receivers) <= _OWN_RECEIVERS[id(compat.task_finished)]:
        _send_finished(backend, result, outcome.error)
    else:
        await sync_to_async(_send_finished, thread_sensitive=True)(backend, result, outcome.error)


def _send_finished(backend: type, result: TaskResult[Any], error: BaseException | None) -> None:
    if error is None:
        send(compat.task_finished, backend, result)
        return
    try:
        raise error  # noqa: TRY301 - to be in its except block is the point
    except BaseException:  # noqa: BLE001 - the same
        send(compat.task_finished, backend, result)


def _row(
    job: FetchedJob,
    status: str,
    worker_id: int,
    attempts: int,
    result: str | None = None,
    errors: str | None = None,
    finished_at: datetime | None = None,
) -> JobRow:
    return JobRow(
        id=job.id,
        queue_name=job.queue_name,
        task_name=job.task_name,
        priority=job.priority,
        lock=job.lock,
        status=status,
        scheduled_at=None,
        attempts=attempts,
        worker_id=worker_id,
        args=job.args,
        enqueued_at=job.enqueued_at,
        started_at=job.started_at,
        attempted_at=job.attempted_at,
        finished_at=finished_at,
        result=result,
        errors=job.errors if errors is None else errors,
        meta=job.meta,
    )


def _alias(job: FetchedJob) -> str:
    """The TASKS entry the job's task belongs to."""
    known = tasks.declared.get(job.task_name)
    return known.backend if known is not None else compat.DEFAULT_TASK_BACKEND_ALIAS
