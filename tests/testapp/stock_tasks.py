"""procrastinate's own tasks, as a project that already uses it has them. Not imported by the app."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
from typing import Any

import procrastinate
from django.contrib.auth.models import Group
from procrastinate import JobContext, RetryDecision, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.exceptions import JobAborted

notes: list[Any] = []
"""What tasks and middleware say, for tests in the same process."""


@app.task
def stock_add(a: int, b: int = 1) -> int:
    return a + b


@app.task(queue="media", priority=7)
async def stock_echo(**kwargs: Any) -> dict[str, Any]:
    await asyncio.sleep(0)
    return kwargs


@app.task(name="named", aliases=["once-named", "tests.old.path"])
def stock_named() -> str:
    return "named"


@app.task(pass_context=True)
def stock_context(context: JobContext, /, **kwargs: Any) -> dict[str, Any]:
    return {
        "job": context.job.id,
        "task": context.task.name,
        "kwargs": context.job.task_kwargs,
        "attempts": context.job.attempts,
        "worker": context.worker_name,
        "worker_id": context.job.worker_id,
        "queues": list(context.worker_queues or []),
        "status": context.job.status,
        "queue": context.job.queue,
        "lock": context.job.lock,
        "should_abort": context.should_abort(),
    }


@app.task(pass_context=True)
async def stock_context_async(context: JobContext) -> int:
    return context.job.id or 0


@app.task
def stock_fail(kind: str = "value") -> None:
    raise {"value": ValueError, "os": OSError, "exit": SystemExit}[kind]("stock")


@app.task(retry=True, pass_context=True)
def stock_retry_for_ever(context: JobContext, until: int) -> int:
    if context.job.attempts < until:
        raise ValueError(f"attempt {context.job.attempts}")
    return context.job.attempts


@app.task(retry=3)
async def stock_retry_three_times() -> None:
    raise ValueError("always")


@app.task(retry=RetryStrategy(max_attempts=5, retry_exceptions={OSError}))
def stock_retry_os(kind: str) -> None:
    raise {"value": ValueError, "os": OSError}[kind]("stock")


@app.task(retry=RetryStrategy(max_attempts=5, wait=100, linear_wait=10, exponential_wait=3))
def stock_retry_later() -> None:
    raise ValueError("later")


class Elsewhere(procrastinate.BaseRetryStrategy):
    """Come back in another place, once."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision | None:
        if job.attempts:
            return None
        return RetryDecision(retry_in={"seconds": 0}, queue="elsewhere", priority=42, lock="a lock")


@app.task(retry=Elsewhere(), queue="here", priority=1)
def stock_elsewhere() -> None:
    raise ValueError("not here")


class At(procrastinate.BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision | None:
        return RetryDecision(retry_at=dt.datetime(2090, 1, 1, tzinfo=dt.UTC))


@app.task(retry=At())
def stock_retry_at() -> None:
    raise ValueError("in 2090")


class Unwritable(procrastinate.BaseRetryStrategy):
    """Decisions that the database refuses."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision | None:
        options: dict[str, Any] = {
            "queue": {"queue": "q\x00"},
            "lock": {"lock": "\ud800"},
            "priority": {"priority": 2**40},
            "raise": {},
        }
        kind = job.task_kwargs["kind"]
        if kind == "raise":
            raise ZeroDivisionError("in the strategy")
        return RetryDecision(**options[kind])


@app.task(retry=Unwritable())
def stock_unwritable(kind: str) -> None:
    raise ValueError(kind)


@app.task(pass_context=True)
def stock_until_aborted(context: JobContext) -> None:
    notes.append("begun")
    for _ in range(3000):
        if context.should_abort():
            notes.append(context.abort_reason())
            raise JobAborted
        threading.Event().wait(0.01)


@app.task
async def stock_sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "awake"


@app.task(lock="one at a time", queueing_lock=None)
async def stock_locked(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.task(queueing_lock="once")
def stock_once() -> None:
    pass


@app.task
def stock_awaitable() -> Any:
    async def later() -> int:
        group = await Group.objects.acreate(name="by an awaitable")
        return int(group.pk)

    return later()


@app.task
def stock_group(name: str) -> None:
    Group.objects.create(name=name)


@app.task
async def stock_group_async(name: str) -> None:
    await Group.objects.acreate(name=name)


@app.task
def stock_odd_value() -> Any:
    return {1, 2, 3}


def around(call_next: Any, context: JobContext, worker: Any) -> Any:
    notes.append(("before", context.job.task_name, worker.worker_name))
    try:
        return f"<{call_next()}>"
    finally:
        notes.append("after")


async def around_async(call_next: Any, context: JobContext, worker: Any) -> Any:
    notes.append(("before", context.job.task_name, worker.worker_name))
    with contextlib.suppress(KeyError):
        return f"<{await call_next()}>"
    return "suppressed"


@app.task(task_middleware=[around])
def stock_wrapped(fail: bool = False) -> str:
    if fail:
        raise ValueError("within")
    return "value"


@app.task(task_middleware=[around_async])
async def stock_wrapped_async(fail: bool = False) -> str:
    if fail:
        raise KeyError("within")
    return "value"


blueprint = procrastinate.Blueprint()


@blueprint.task(name="inside", aliases=["once-inside"])
def stock_inside() -> str:
    return "inside"


@blueprint.task(name="add")
def stock_inside_add(a: int, b: int) -> int:
    return a + b


app.add_tasks_from(blueprint, namespace="spaced")


@app.task
async def stock_defers(count: int) -> list[int]:
    return [await stock_add.defer_async(a=n) for n in range(count)]


@app.task
def stock_defers_in_a_thread(count: int) -> list[int]:
    return [stock_add.defer(a=n) for n in range(count)]
