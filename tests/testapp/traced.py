"""Tasks that tell which span they run in."""

from __future__ import annotations

import asyncio
import contextlib

from opentelemetry import trace

from queue_tasks import Discard, Retry, Snooze, task


def here() -> list[str]:
    """The current span's trace and span, in hexadecimal digits."""
    found = trace.get_current_span().get_span_context()
    return [f"{found.trace_id:032x}", f"{found.span_id:016x}"]


@task
def in_thread() -> list[str]:
    return here()


@task
async def on_loop() -> list[str]:
    await asyncio.sleep(0)
    return here()


@task(atomic=True)
def in_atomic() -> list[str]:
    return here()


@task(executor="process")
def in_process() -> list[str]:
    return here()


@task
def enqueues_another() -> str:
    return in_thread.enqueue().id


@task(retry=2)
def fails_with(secret: str) -> None:
    with contextlib.suppress(KeyError):
        raise KeyError(secret)
    raise ValueError(f"on purpose, with {secret}")


@task(executor="process")
def fails_in_process_with(secret: str) -> None:
    raise ValueError(f"on purpose, with {secret}")


@task(atomic=True)
def fails_atomic_with(secret: str) -> None:
    raise ValueError(f"on purpose, with {secret}")


@task
async def fails_on_loop_with(secret: str) -> None:
    raise ValueError(f"on purpose, with {secret}")


@task
def discards(secret: str) -> None:
    raise Discard(f"no use for {secret}")


@task(retry=2)
def wants_a_retry(secret: str) -> None:
    raise Retry(after=0)


@task
def returns_what_is_not_json(secret: str) -> object:
    return {secret: {secret}}


@task(timeout=0.2)
def takes_too_long(secret: str) -> None:
    while True:
        pass


@task
def exits(secret: str) -> None:
    raise SystemExit(secret)


@task(executor="process")
def kills_its_process(secret: str) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@task
def sleeps_first(secret: str) -> None:
    raise Snooze(after=3600)
