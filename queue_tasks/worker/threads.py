"""ThreadExecutor: runs plain functions in a pool of our own threads.

Django's connections belong to threads. Ours live long and keep theirs from job to job, tended before and after each, so
that neither CONN_MAX_AGE=0 nor a restarted database costs a job anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from queue_tasks.tending import close_all, tend_after_task, tend_before_task
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.clock import clock
from queue_tasks.worker.limits import Limit

logger = logging.getLogger("queue_tasks.worker")

_Order = tuple[contextvars.Context, Callable[[], Any], str, "asyncio.Future[Ended]", Limit | None]


class ThreadExecutor:
    """Up to `size` daemon threads that run plain functions of one event loop, one job each at a time.

    Daemon threads: a body that never returns must not keep the process from ending.
    patience: seconds a body has to end after its timeout. One that does not is left to itself, in a thread that is
    replaced; on_stuck is then called, on the loop, with words on why the process should be.
    """

    def __init__(self, size: int, patience: float = 5.0, on_stuck: Callable[[str], None] = lambda _: None) -> None:
        self._size = size
        self._patience = patience
        self._on_stuck = on_stuck
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Read and written by the loop only.
        self._in_hand = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        # Appended by threads, emptied by the loop; one wake-up of the loop serves all that ended meanwhile.
        self._ended: deque[tuple[asyncio.Future[Ended], Ended]] = deque()
        # Set by threads after they appended, cleared by the loop before it empties: none is ever left behind.
        self._told = False

    async def run(self, body: Callable[[], Any], owner: str, limit: Limit | None = None) -> Ended:
        """Run `body` in a thread, within a copy of the caller's context. owner: who it is, for messages."""
        if self._loop is None:
            # Once: to ask for the running loop costs a system call in Python 3.11.
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Ended] = self._loop.create_future()
        self._in_hand += 1
        if len(self._threads) < min(self._in_hand, self._size):
            self._start_thread()
        self._orders.put((contextvars.copy_context(), body, owner, future, limit))
        course = None
        if limit is not None:
            course = limit.course(self._patience, lambda _: self._give_up(limit, owner, future))
            clock.watch(course)
        try:
            return await future
        finally:
            self._in_hand -= 1
            if course is not None:
                clock.forget(course)

    def close(self) -> None:
        """Let each thread end when it is free, closing its connections. Does not wait for bodies that still run."""
        for _ in self._threads:
            self._orders.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the threads to end, `timeout` seconds for each; whether all did."""
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"queue_tasks {len(self._threads) + 1}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            context, body, owner, future, limit = order
            ended = context.run(run_tended, body, owner, limit)
            if limit is not None and not limit.settle():
                # This thread was given up and replaced.
                break
            self._ended.append((future, ended))
            if not self._told:
                self._told = True
                self._tell_loop()
            del order, context, body, future, limit, ended
        close_all()

    def _give_up(self, limit: Limit, owner: str, future: asyncio.Future[Ended]) -> None:
        """From the clock's thread: the body ignores its timeout."""
        if not limit.settle() or self._loop is None:
            return
        stack = limit.stack()
        # The loop is closed when the worker did not wait for it any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._replace, limit, owner, future)
        logger.error(
            "%s ignores its timeout of %g s; its thread is given up and replaced. It is here:\n%s",
            owner,
            limit.seconds,
            stack,
        )

    def _replace(self, limit: Limit, owner: str, future: asyncio.Future[Ended]) -> None:
        self._threads = [thread for thread in self._threads if thread.ident != limit.thread]
        if not future.done():
            future.set_result((None, limit.timeout()))
        self._on_stuck(f"{owner} ignores its timeout")

    def _tell_loop(self) -> None:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:
            # The loop is closed: nobody waits for this any more.
            self._ended.clear()

    def _settle(self) -> None:
        self._told = False
        while self._ended:
            future, ended = self._ended.popleft()
            if not future.done():
                future.set_result(ended)


def run_tended(body: Callable[[], Any], owner: str, limit: Limit | None = None) -> Ended:
    """Run a body in this thread, whose connections are tended before and after it. owner: who it is, for messages."""
    if limit is not None:
        limit.thread = threading.get_ident()
    try:
        tend_before_task()
        return (body(), None) if limit is None else limit.run(body)
    except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
        return None, exc
    finally:
        if limit is not None and limit.interrupted:
            # The exception may have come up in the midst of a driver's own work.
            close_all()
        else:
            tend_after_task(owner)
