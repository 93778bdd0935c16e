"""Tasks that run in processes of their own, and misbehave there as only a process can."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.utils import translation

from queue_tasks import Discard, Retry, RetryPolicy, Snooze, compat, task
from queue_tasks.exceptions import JobAborted
from tests.testapp import hostile

MEGABYTE = 2**20


@task(executor="process")
def noop() -> None:
    """Do nothing, elsewhere."""


@task(executor="process")
def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what was given."""
    return {"args": args, "kwargs": kwargs}


@task(executor="process", takes_context=True)
def facts(context: Any) -> dict[str, Any]:
    """Where this runs, and what the context says."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "main": threading.current_thread() is threading.main_thread(),
        "path": sys.path,
        "cwd": str(Path.cwd()),
        "flags": [sys.flags.dev_mode, sys.flags.utf8_mode],
        "pythonpath": os.environ.get("PYTHONPATH"),
        "attempt": context.attempt,
        "job_id": context.job_id,
        "result_id": context.task_result.id,
        "deadline": context.deadline,
        "abort": context.should_abort(),
    }


started: list[str] = []
"""The ids of the results that `task_started` was sent with, since `hear_of_starts` ran in this process."""


@task(executor="process")
def hear_of_starts() -> list[str]:
    """Hear of those after this one; what was heard so far."""
    compat.task_started.connect(_note_start)
    return started


def _note_start(task_result: Any, **_: Any) -> None:
    started.append(task_result.id)


@task(executor="process")
def backend_pid() -> int:
    """The process id of the Postgres backend of this process's connection."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        return int(cursor.fetchone()[0])


@task(executor="process")
def leave_open(group: str) -> None:
    """Leave a transaction open."""
    with connection.cursor() as cursor:
        cursor.execute("begin")
    Group.objects.create(name=group)


@task(executor="process", takes_context=True)
def report_progress(context: Any, notes: int) -> str:
    """Tell progress many times, then wait to be told to stop; at most 60 s."""
    for number in range(notes):
        context.progress(number + 1, notes, f"note {number + 1}")
    for _ in range(6000):
        if context.should_abort():
            raise JobAborted("told")
        threading.Event().wait(0.01)
    return "not told"


@task(executor="process")
def throw(name: str) -> None:
    """Raise an error of tests.testapp.hostile."""
    raise hostile._make(name)


@task(executor="process", retry=RetryPolicy(max_attempts=3, wait=7, jitter=0, retry_on=(OSError,)))
def throw_with_policy(name: str) -> None:
    """Raise an error of tests.testapp.hostile under a policy that tries some again."""
    raise hostile._make(name)


@task(executor="process")
def give(name: str) -> Any:
    """Return something odd."""
    return hostile.give.func(name)


@task(executor="process")
def speak(language: str) -> list[Any]:
    """This process, and the language that was spoken in it; from now on another is."""
    before = translation.get_language()
    translation.activate(language)
    return [os.getpid(), before]


@task(executor="process")
def leave_alarm() -> None:
    """Set an alarm, and raise before it is taken back."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(3600)
    raise ValueError("before the alarm was taken back")


@task(executor="process")
def alarm() -> list[Any]:
    """This process, and the seconds until its alarm."""
    return [os.getpid(), signal.getitimer(signal.ITIMER_REAL)[0]]


@task(executor="process")
def overflow() -> int:
    """Recurse until Python stops it."""
    return hostile.recurse()


@task(executor="process")
def give_much(megabytes: int) -> str:
    """Return a long text."""
    return "x" * (megabytes * MEGABYTE)


@task(executor="process")
def say(what: str) -> None:
    """Raise what a task may raise to say how its attempt ends."""
    raise {"retry": Retry(after=5), "snooze": Snooze(after=60), "discard": Discard("of no use")}[what]


@task(executor="process")
def sleep(seconds: float) -> str:
    """Sleep, looking at nothing."""
    time.sleep(seconds)
    return "awake"


@task(executor="process", timeout=0.5)
def spin(_: int = 0) -> None:
    """Compute for ever, and clean up."""
    try:
        while True:
            pass
    finally:
        print("tidied up", flush=True)  # noqa: T201 - seen by the test


@task(executor="process", timeout=0.5)
def refuse_to_end() -> None:
    """Swallow whatever says that the time is over."""
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001, S112 - the point
            continue


@task(executor="process", memory_limit=64 * MEGABYTE)
def take_memory(megabytes: int) -> int:
    """Take memory, as Python does."""
    return len(bytearray(megabytes * MEGABYTE))


@task(executor="process", memory_limit=64 * MEGABYTE)
def take_shared_memory(megabytes: int) -> int:
    """Take memory that is not counted as data, and hold it."""
    import mmap

    held = mmap.mmap(-1, megabytes * MEGABYTE)
    for start in range(0, len(held), 4096):
        held[start] = 1
    time.sleep(60)
    return len(held)


@task(executor="process")
def die(how: str) -> str:
    """End this process, or make it useless, in one of the ways there are."""
    DEATHS[how]()
    return "alive"


def _segfault() -> None:
    ctypes.string_at(0)


def _write_everywhere() -> None:
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            os.write(number, b"\xff" * 64)
    time.sleep(60)


def _fork_and_return() -> None:
    if os.fork() == 0:
        # The copy goes on as if it were the process.
        return


def _fork_and_leave_it() -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def _fork_and_die() -> None:
    _fork_and_leave_it()
    os.kill(os.getpid(), signal.SIGKILL)


def _start_and_die() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    os._exit(7)


DEATHS: dict[str, Any] = {
    "exit code 3": lambda: os._exit(3),
    "exit code 0": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": _segfault,
    "abort": os.abort,
    "close files": lambda: os.closerange(0, 4096),
    "write everywhere": _write_everywhere,
    "fork and die": _fork_and_die,
    "start and die": _start_and_die,
    "stop ears": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "sys.exit": lambda: sys.exit(5),
    "fork and return": _fork_and_return,
    "fork and leave it": _fork_and_leave_it,
}


@task(executor="process", atomic=True)
def write_atomically(name: str, dies: bool) -> str:
    """Write, and return or die: in the transaction that finishes the job."""
    Group.objects.create(name=name)
    if dies:
        os._exit(4)
    return name
