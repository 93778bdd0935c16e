"""Waiting in tests: for a fact, never for time. The only place in tests/ where anything sleeps."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import pytest

T = TypeVar("T")
PAUSE = 0.01  # seconds between looks
PATIENCE = 30.0  # seconds until a test that waits has failed: what a machine with too much to do never takes
START = 90.0  # seconds until a program that a test starts has failed to do so: the same for whole processes


def wait_until(check: Callable[[], T], timeout: float = PATIENCE, message: str = "") -> T:
    """Call `check` until it returns something true, and return that; fail with the last value after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not (value := check()):
        if time.monotonic() > deadline:
            pytest.fail(_words(check, value, timeout, message))
        time.sleep(PAUSE)
    return value


async def await_until(check: Callable[[], T | Awaitable[T]], timeout: float = PATIENCE, message: str = "") -> T:  # noqa: ASYNC109 - the same contract as wait_until
    """`wait_until` for async tests; `check` may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        answer = check()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(_words(check, value, timeout, message))
        await asyncio.sleep(PAUSE)


def hold(seconds: float) -> None:
    """Let a fault last: a pause whose length is the fault itself, never a wait for something to happen."""
    time.sleep(seconds)


def wait_for_lock(dsn: str, application_name: str, timeout: float = PATIENCE) -> None:
    """Wait until a session with this application_name waits for a lock that another session holds."""
    with psycopg.connect(dsn, autocommit=True, application_name="tests.waiting") as connection:

        def sessions() -> list[tuple[object, ...]]:
            return connection.execute(
                "select pid, state, wait_event_type, wait_event, query from pg_stat_activity "
                "where application_name = %s and datname = current_database()",
                [application_name],
            ).fetchall()

        try:
            wait_until(lambda: any(session[2] == "Lock" for session in sessions()), timeout)
        except pytest.fail.Exception:
            pytest.fail(f"no session {application_name!r} waited for a lock within {timeout} s; found {sessions()}")


def _words(check: Callable[[], object], value: object, timeout: float, message: str) -> str:
    what = message or getattr(check, "__qualname__", repr(check))
    return f"waited {timeout} s in vain: {what}; the last value was {value!r}"
