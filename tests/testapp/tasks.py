"""Tasks for the tests: the smallest of each kind."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import signal
import threading
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, connections, transaction

from queue_tasks import Discard, Retry, RetryPolicy, Snooze, task
from queue_tasks.exceptions import JobAborted


@task
async def noop() -> None:
    """Do nothing, on the loop."""


@task
def noop_thread() -> None:
    """Do nothing, in a thread."""


@task(keep=False)
async def noop_ephemeral() -> None:
    """Do nothing and leave nothing."""


@task
def add(a: int, b: int = 1) -> int:
    """Return a + b."""
    return a + b


@task
async def signed_async(a: int, b: int = 1) -> int:
    """Return a + b, on the loop."""
    return a + b


@task(atomic=True)
def signed_atomic(a: int, b: int = 1) -> int:
    """Return a + b, in a transaction."""
    return a + b


@task
async def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what was given."""
    return {"args": args, "kwargs": kwargs}


@task
def fail(message: str = "on purpose") -> None:
    """Raise ValueError."""
    raise ValueError(message)


@task
async def fail_async(message: str = "on purpose") -> None:
    """Raise ValueError on the loop."""
    raise ValueError(message)


@task(retry=RetryPolicy(max_attempts=3, wait=0, jitter=0), takes_context=True)
def succeed_on_attempt(context: Any, wanted: int) -> int:
    """Fail until the attempt wanted."""
    if context.attempt < wanted:
        raise OSError(f"attempt {context.attempt} of {wanted}")
    return int(context.attempt)


@task(retry=RetryPolicy(max_attempts=2, wait=0, jitter=0))
def return_or_raise(letters: str, *, raises: bool) -> str:
    """The letters, as the return value or in an error at each attempt; written in ASCII as `ascii` has it."""
    said = ast.literal_eval(letters)
    if raises:
        raise ValueError(said)
    return str(said)


@task(atomic=True)
def return_atomically(letters: str) -> str:
    """The letters; written in ASCII as `ascii` has it."""
    return str(ast.literal_eval(letters))


@task(takes_context=True)
def ask_again(context: Any, times: int) -> int:
    """Raise Retry until attempt `times`."""
    if context.attempt < times:
        raise Retry(after=0)
    return int(context.attempt)


@task(takes_context=True)
def snooze_once(context: Any, group: str) -> int:
    """Raise Snooze until a group of this name exists; then the number of the attempt."""
    if not Group.objects.filter(name=group).exists():
        Group.objects.create(name=group)
        raise Snooze(after=0)
    return int(context.attempt)


@task
def snooze_until(time: str) -> None:
    """Raise Snooze until a time in ISO format."""
    raise Snooze(until=datetime.fromisoformat(time))


@task(retry=5)
def discard() -> None:
    """Raise Discard although there is a retry policy."""
    raise Discard("nobody wants it")


@task(timeout=0.2)
async def sleep_past_timeout() -> None:
    """Sleep for a minute under a timeout of 0.2 s."""
    await asyncio.sleep(60)


@task
async def sleep(seconds: float) -> str:
    """Sleep on the loop."""
    await asyncio.sleep(seconds)
    return "awake"


@task
def sleep_thread(seconds: float) -> str:
    """Sleep in a thread."""
    threading.Event().wait(seconds)
    return "awake"


@task(lock=lambda name: f"group:{Group.objects.get(name=name).pk}")
def in_group(name: str) -> str:
    """Hold the lock of a group that is looked for."""
    return name


@task(lock="locked:{key}", takes_context=True)
async def locked(context: Any, key: str, seconds: float = 0.0) -> str:
    """Sleep under a lock."""
    await asyncio.sleep(seconds)
    return str(context.job_id)


@task
def create_group(name: str) -> int:
    """Insert a row by the ORM, from a thread."""
    return int(Group.objects.create(name=name).pk)


@task
async def create_group_async(name: str) -> int:
    """Insert a row by the async ORM."""
    return int((await Group.objects.acreate(name=name)).pk)


@task
def backend_pid() -> int:
    """The process id of the Postgres backend this thread's connection has."""
    with connection.cursor() as cursor:
        cursor.execute("show server_version")
        return int(connection.connection.info.backend_pid)


@task(takes_context=True)
def report_progress(context: Any) -> str:
    """Tell progress, then wait to be released by an abort or for 30 s."""
    context.progress(1, 4, "a quarter")
    for _ in range(3000):
        if context.should_abort():
            return "aborted"
        threading.Event().wait(0.01)
    return "not aborted"


@task
def return_unstorable() -> object:
    """Return what JSON cannot hold."""
    return object()


@task(takes_context=True)
async def context_facts(context: Any) -> dict[str, Any]:
    """What the context says."""
    return {
        "job_id": context.job_id,
        "attempt": context.attempt,
        "result_id": context.task_result.id,
        "deadline": context.deadline.isoformat() if context.deadline else None,
        "should_abort": context.should_abort(),
    }


@task(takes_context=True)
def obey(context: Any) -> str:
    """Raise JobAborted as soon as it is told to stop, or return after 30 s."""
    for _ in range(3000):
        if context.should_abort():
            raise JobAborted
        threading.Event().wait(0.01)
    return "not told"


@task(retry=RetryPolicy(max_attempts=5, wait=0))
def throw_with_retry(name: str) -> None:
    """Raise an error of tests.testapp.hostile under a policy of five attempts."""
    from tests.testapp import hostile

    raise hostile._make(name)


@task
def backend_pid_of(alias: str, seconds: float = 0.0) -> int:
    """The process id of the backend of another alias of DATABASES, held for a while."""
    with connections[alias].cursor() as cursor:
        cursor.execute("select pg_backend_pid(), pg_sleep(%s)", [seconds])
        return int(cursor.fetchone()[0])


@task
async def backend_pid_async(seconds: float = 0.0) -> int:
    """The process id of the backend that the async ORM's thread has, held for a while."""

    def look() -> int:
        with connection.cursor() as cursor:
            cursor.execute("select pg_backend_pid(), pg_sleep(%s)", [seconds])
            return int(cursor.fetchone()[0])

    return await sync_to_async(look)()


@task
def count_on(alias: str) -> int:
    """Ask another database, of any vendor."""
    with connections[alias].cursor() as cursor:
        cursor.execute("select 40 + 2")
        return int(cursor.fetchone()[0])


@task
def leave_open(how: str, group: str) -> str:
    """Leave a transaction open on this thread's connection, after writing in it."""
    if how == "atomic":
        transaction.atomic().__enter__()
    elif how == "nested":
        transaction.atomic().__enter__()
        transaction.atomic().__enter__()
    elif how in ("autocommit", "committed"):
        transaction.set_autocommit(False)
    else:
        with connection.cursor() as cursor:
            cursor.execute("begin")
    Group.objects.create(name=group)
    if how == "aborted":
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("select no_such_column")
    if how == "committed":
        transaction.commit()
    if how in ("atomic", "nested"):
        transaction.on_commit(lambda: Group.objects.create(name=f"{group} on commit"))
    return threading.current_thread().name


@task
def thread_facts() -> dict[str, Any]:
    """Where this runs, and what its connection is like."""
    connection.ensure_connection()
    return {
        "thread": threading.current_thread().name,
        "in_atomic_block": connection.in_atomic_block,
        "autocommit": connection.get_autocommit(),
    }


@task
def create_group_slowly(name: str, seconds: float) -> None:
    """Insert a row, taking some time."""
    threading.Event().wait(seconds)
    Group.objects.create(name=name)


@task
def wait_for_group(name: str) -> str:
    """Wait until a group of this name exists; at most 30 s."""
    for _ in range(3000):
        if Group.objects.filter(name=name).exists():
            return "seen"
        threading.Event().wait(0.01)
    return "waited in vain"


@task
async def wait_for_group_async(name: str) -> str:
    """The same, on the loop."""
    for _ in range(3000):
        if await Group.objects.filter(name=name).aexists():
            return "seen"
        await asyncio.sleep(0.01)
    return "waited in vain"


@task
async def kill_the_worker() -> None:
    """End the process as the kernel would, short of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@task
def run_sql(*statements: str) -> Any:
    """Run statements on this thread's connection, and give the first value of the last."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


@task
async def run_sql_async(*statements: str) -> Any:
    """The same, from a coroutine."""
    return await sync_to_async(run_sql.func)(*statements)


@task
def set_on(alias: str, setting: str, value: str) -> str:
    """Change a setting of another database's session for good; its value then."""
    with connections[alias].cursor() as cursor:
        cursor.execute("select set_config(%s, %s, false)", [setting, value])
        return cursor.fetchone()[0]


@task
def setting_on(alias: str, setting: str) -> str:
    """The value of a setting of another database's session."""
    with connections[alias].cursor() as cursor:
        cursor.execute("select current_setting(%s)", [setting])
        return cursor.fetchone()[0]


@task(takes_context=True)
def tell_tick(context: Any) -> str | None:
    """Return the tick of the schedule that the job is for."""
    tick = context.scheduled_for
    return None if tick is None else str(tick.isoformat())


@task(redact=["card"])
def secretive(card: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Pay with a card that nobody may see; without options it fails, and says the card's number."""
    if options is None:
        raise ValueError(f"the card {card} is refused")
    return {"card": card, "paid": True}


@task(takes_context=True)
def count_running(context: Any) -> int:
    """How many jobs of its own queue run at this moment, itself included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from procrastinate_jobs "
            "where status = 'doing' and queue_name = (select queue_name from procrastinate_jobs where id = %s)",
            [context.job_id],
        )
        return int(cursor.fetchone()[0])
