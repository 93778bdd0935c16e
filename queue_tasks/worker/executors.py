"""Where bodies run: coroutine functions on the loop, plain functions in a pool of our own threads.

Django's connections belong to threads. Ours live long and keep theirs from job to job, tended before and after each, so
that neither CONN_MAX_AGE=0 nor a restarted database costs a job anything. Coroutines that use the ORM reach it
through asgiref's thread-sensitive thread; each running job gets one of its own from a pool, so that they do not all
wait in line for a single thread and its single connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from queue_tasks.connections import close_all, tend_after_task, tend_before_task

Ended = tuple[Any, BaseException | None]
"""How a body ended: its return value, or the exception it raised. A value, because some exceptions (StopIteration)
cannot pass through a future."""

_Order = tuple[contextvars.Context, Callable[[], Any], str, "asyncio.Future[Ended]"]


class ThreadExecutor:
    """Up to `size` daemon threads that run plain functions, one job each at a time.

    Daemon threads: a body that never returns must not keep the process from ending.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Read and written by the loop only.
        self._in_hand = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        # Appended by threads, emptied by the loop; one wake-up of the loop serves all that ended meanwhile.
        self._ended: deque[tuple[asyncio.Future[Ended], Ended]] = deque()
        # Set by threads after they appended, cleared by the loop before it empties: none is ever left behind.
        self._told = False

    async def run(self, body: Callable[[], Any], owner: str) -> Ended:
        """Run `body` in a thread, within a copy of the caller's context. owner: who it is, for messages."""
        loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Ended] = loop.create_future()
        self._in_hand += 1
        if len(self._threads) < min(self._in_hand, self._size):
            self._start_thread()
        self._orders.put((contextvars.copy_context(), body, owner, future))
        try:
            return await future
        finally:
            self._in_hand -= 1

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
            context, body, owner, future = order
            ended = context.run(_run_tended, body, owner)
            self._ended.append((future, ended))
            if not self._told:
                self._told = True
                self._tell_loop()
            del order, context, body, future, ended
        close_all()

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


def _run_tended(body: Callable[[], Any], owner: str) -> Ended:
    try:
        tend_before_task()
        return body(), None
    except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
        return None, exc
    finally:
        tend_after_task(owner)


class LoopExecutor:
    """Runs coroutines on the loop, each with a thread of its own for what it calls by sync_to_async."""

    def __init__(self) -> None:
        # Last in, first out: few jobs at a time means few threads, and few connections.
        self._free: list[tuple[ThreadSensitiveContext, _SensitiveThread]] = []
        self._all: list[_SensitiveThread] = []

    async def run(self, body: Callable[[], Awaitable[Any]], owner: str) -> Ended:
        """Await `body()`. Runs in the caller's task, whose context is changed."""
        place, thread = self._free.pop() if self._free else self._new()
        thread.used = False
        SyncToAsync.thread_sensitive_context.set(place)
        try:
            return await body(), None
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
            return None, exc
        finally:
            if thread.used:
                loop = asyncio.get_running_loop()
                tending = loop.run_in_executor(thread, tend_after_task, owner)
                tending.add_done_callback(lambda _: self._free.append((place, thread)))
                await asyncio.shield(tending)
            else:
                self._free.append((place, thread))

    def close(self) -> None:
        """End the threads, closing their connections."""
        for thread in self._all:
            thread.submit(close_all)
            thread.shutdown(wait=False)

    def _new(self) -> tuple[ThreadSensitiveContext, _SensitiveThread]:
        place, thread = ThreadSensitiveContext(), _SensitiveThread()
        SyncToAsync.context_to_thread_executor[place] = thread
        self._all.append(thread)
        return place, thread


class _SensitiveThread(ThreadPoolExecutor):
    """One thread, started at first use, that knows whether the current job has used it."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="queue_tasks orm")
        self.used = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if not self.used:
            self.used = True
            super().submit(tend_before_task)
        return super().submit(fn, *args, **kwargs)
