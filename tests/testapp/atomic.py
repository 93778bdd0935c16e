"""Atomic tasks for the tests: each does one thing right or wrong. Their effects are groups; follow-ups are jobs."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, connection, connections, transaction

from queue_tasks import Discard, Retry, RetryPolicy, Snooze, task
from tests.testapp import tasks

TRIES = RetryPolicy(max_attempts=3, wait=0, jitter=0)


def effect(name: str) -> None:
    """Insert a group, whose name may be there once, and enqueue a follow-up."""
    Group.objects.create(name=name)
    tasks.add.enqueue(20)


@task(atomic=True)
def once(name: str) -> dict[str, Any]:
    """Have an effect."""
    effect(name)
    return {"made": name}


@task(atomic=True, keep=False)
def once_ephemeral(name: str) -> None:
    """Have an effect and leave no row."""
    effect(name)


@task(atomic=True, lock="one:{key}")
def once_locked(key: str, name: str) -> str:
    """Have an effect under a lock."""
    effect(name)
    return name


@task(atomic=True, retry=TRIES, takes_context=True)
def succeed_on_attempt(context: Any, name: str, wanted: int) -> int:
    """Have an effect, and raise until the attempt wanted."""
    effect(name)
    if context.attempt < wanted:
        raise OSError(f"attempt {context.attempt}")
    return int(context.attempt)


@task(atomic=True, retry=TRIES)
def end_with(kind: str, name: str) -> Any:
    """Have an effect, and end in one of the ways that are no success."""
    effect(name)
    if kind == "unstorable":
        return object()
    raise {"retry": Retry(after=600), "snooze": Snooze(after=600), "discard": Discard("no use"), "exit": SystemExit(3)}[
        kind
    ]


@task(atomic=True, retry=TRIES)
def send(statement: str, name: str) -> None:
    """Have an effect before and after a statement sent as SQL."""
    effect(f"{name} before")
    with connection.cursor() as cursor:
        cursor.execute(statement)
    effect(f"{name} after")


@task(atomic=True)
def call(what: str, name: str) -> None:
    """Have an effect, and call what Django refuses within a transaction."""
    effect(name)
    if what == "durable":
        with transaction.atomic(durable=True):
            pass
    else:
        {"commit": transaction.commit, "autocommit": lambda: transaction.set_autocommit(True)}[what]()


@task(atomic=True)
def use_other(statement: str, name: str) -> list[Any]:
    """Have an effect, and run a statement in another database."""
    effect(name)
    with connections["other"].cursor() as cursor:
        cursor.execute(statement)
        return [list(row) for row in cursor.fetchall()] if cursor.description else []


@task
def change_other(name: str) -> None:
    """Insert a group in another database; not atomic."""
    Group.objects.using("other").create(name=name)


@task(atomic=True)
def catch(name: str, *, fenced: bool) -> str:
    """Insert a group twice and catch the error, within a block of its own or not."""
    effect(name)
    with contextlib.suppress(IntegrityError):
        if fenced:
            with transaction.atomic():
                Group.objects.create(name=name)
        else:
            Group.objects.create(name=name)
    return "caught"


@task(atomic=True)
def close_connection(name: str) -> None:
    """Have an effect, and close the connection."""
    effect(name)
    connection.close()


@task(atomic=True)
def break_deferred(name: str) -> None:
    """Have an effect that a deferred constraint refuses at the commit."""
    effect(name)
    Permission.objects.create(name=name, codename=name, content_type_id=2**31 - 1)


after_commit: list[Any] = []
"""What `watch_commit` noted."""


def status_of(job_id: str) -> str | None:
    """The status of a job's row; None: it is gone."""
    with connection.cursor() as cursor:
        cursor.execute("select status::text from procrastinate_jobs where id = %s", [job_id])
        row = cursor.fetchone()
        return None if row is None else str(row[0])


@task(atomic=True, takes_context=True)
def watch_commit(context: Any, *, then_raise: bool = False) -> None:
    """Note the job's status before and after the commit."""
    after_commit.append(status_of(context.job_id))

    def note() -> None:
        after_commit.append(status_of(context.job_id))
        if then_raise:
            raise ValueError("after the commit")

    transaction.on_commit(note)


@task(atomic=True, takes_context=True)
def lose(context: Any, how: str, name: str) -> None:
    """Have an effect, while somebody else takes the job away."""
    effect(name)
    statement = {
        "given": "update procrastinate_jobs set qt_lease = qt_lease + 1 where id = %s",
        "rescued": "update procrastinate_jobs set status = 'todo', worker_id = null, "
        "scheduled_at = now() + interval '1 h' where id = %s",
        "deleted": "delete from procrastinate_jobs where id = %s",
    }[how]

    def take() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, [context.job_id])
        finally:
            connection.close()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()


@task(atomic=True, takes_context=True)
def die_at(context: Any, point: str, name: str) -> str:
    """Have an effect; at its first run, SIGKILL the process at a point of the transaction."""
    effect(name)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def around(run: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        ours = "finish_atomic" in str(sql)
        if ours and point == "before the finish":
            die()
        result = run(sql, params, many, context)
        if ours and point == "before the commit":
            die()
        return result

    if context.run.job.crashes == 0:
        if point == "in the body":
            die()
        elif point == "after the commit":
            transaction.on_commit(die)
        else:
            connection.execute_wrappers.append(around)
    return point
