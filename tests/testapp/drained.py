"""Tasks for the tests of queue_tasks.testing: what a task may do to the transaction and the queue it runs in."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.db.transaction import Atomic

from queue_tasks import RetryPolicy, Snooze, task

told: list[Any] = []
"""What tasks and callbacks had to say; emptied by the tests."""

colour: ContextVar[str] = ContextVar("colour", default="none")


@task
def say(word: str) -> None:
    """Append to `told`."""
    told.append(word)


@task
async def say_async(word: str) -> None:
    """Append to `told`, on the loop."""
    told.append(word)


@task(lock="one", keep=False)
def say_locked(word: str) -> str:
    """Append to `told`, under a lock, and leave nothing."""
    told.append(word)
    return word


@task
def place() -> list[Any]:
    """The thread, and the process id of the Postgres backend."""
    return [threading.get_ident(), _backend()]


@task
async def place_async() -> list[Any]:
    """The same, as the async ORM has it."""
    await Group.objects.acount()
    return list(await sync_to_async(lambda: [threading.get_ident(), _backend()])())


def _backend() -> int:
    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


@task
def divide() -> None:
    """Leave a row, then raise what is no error of the database."""
    Group.objects.create(name="before the error")
    raise ZeroDivisionError


@task
def collide(name: str) -> None:
    """Leave a row, then raise an error of the database, outside of any block."""
    Group.objects.create(name="before the collision")
    Group.objects.create(name=name)


@task
async def collide_async(name: str) -> None:
    """The same by the async ORM."""
    await Group.objects.acreate(name="before the collision")
    await Group.objects.acreate(name=name)


@task
def collide_and_go_on(name: str) -> None:
    """Catch the database's error, as the body of a task should: around a block."""
    try:
        with transaction.atomic():
            Group.objects.create(name=name)
    except IntegrityError:
        Group.objects.create(name="after the collision")


@task
def collide_and_end(name: str) -> str:
    """Catch the database's error outside of a block, and end well."""
    try:
        Group.objects.create(name=name)
    except IntegrityError:
        return "went well"
    return "did not collide"


@task
def leave_open() -> None:
    """Enter a block and forget it."""
    Group.objects.create(name="before the block")
    Atomic("default", savepoint=True, durable=False).__enter__()
    Group.objects.create(name="in the block")


@task
def after_commit(*, fail: bool = False) -> None:
    """Leave word for after the commit, in a block and outside of one."""

    def call() -> None:
        told.append("committed")
        if fail:
            raise ValueError("after the commit")

    with transaction.atomic():
        transaction.on_commit(call)
        told.append("in the block")


@task
def enqueue_chain(length: int) -> None:
    """Enqueue a shorter chain."""
    told.append(length)
    if length:
        enqueue_chain.enqueue(length - 1)


@task(retry=RetryPolicy(max_attempts=3, wait=3600, jitter=0), takes_context=True)
def fail_an_hour_apart(context: Any) -> int:
    """Succeed on the third attempt, an hour after the second."""
    if context.attempt < 3:
        raise OSError(f"attempt {context.attempt}")
    return int(context.attempt)


@task(retry=RetryPolicy(max_attempts=10**6, wait=0, jitter=0))
def fail_for_ever() -> None:
    """Fail at once, and be tried at once."""
    raise OSError("again")


@task
def snooze_for_ever() -> None:
    """Come back in an hour, always."""
    raise Snooze(after=3600)


@task
def paint(name: str) -> str:
    """Change the context; say what it was."""
    before = colour.get()
    colour.set(name)
    return before


@task
async def sleep_long() -> None:
    """Sleep for a minute."""
    told.append("asleep")
    await asyncio.sleep(60)


@task(takes_context=True)
def progress(context: Any) -> None:
    """Tell progress three times."""
    for done in range(1, 4):
        context.progress(done, 4, "going")


@task
def interrupt() -> None:
    """Raise what is no job's to keep."""
    raise KeyboardInterrupt


@task
def resize(photo_id: int, width: int = 256, *sizes: int, **options: Any) -> None:
    """Arguments of every kind."""


@task(takes_context=True)
def told_to(context: Any, who: str) -> None:
    """A context, and an argument."""


@task
async def bridge_in_a_thread() -> list[int]:
    """Synchronous code in another thread, that calls asynchronous code, that calls synchronous code."""
    return list(await asyncio.to_thread(async_to_sync(_count)))


@task
def bridge() -> list[int]:
    """Synchronous code that calls asynchronous code, that calls the ORM; by asgiref and by asyncio."""
    return [*async_to_sync(_count)(), *asyncio.run(_sleep())]


async def _count() -> list[int]:
    return [await sync_to_async(int)(1)]


async def _sleep() -> list[int]:
    await asyncio.sleep(0)
    return [2]
