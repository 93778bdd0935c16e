"""LoopExecutor: runs coroutines on the loop.

Coroutines that use the ORM reach it through asgiref's thread-sensitive thread; each running job gets one of its own
from a pool, so that they do not all wait in line for a single thread and its single connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from queue_tasks.exceptions import TaskTimeout
from queue_tasks.tending import close_all, tend_after_task, tend_before_task
from queue_tasks.worker.attempt import Ended
from queue_tasks.worker.limits import Limit
from queue_tasks.worker.queries import be_done_with_cancels, cancel_queries


class LoopExecutor:
    """Runs coroutines on the loop, each with a thread of its own for what it calls by sync_to_async.

    on_stuck is called, in another thread, when a coroutine with a timeout keeps the loop blocked whatever is done.
    """

    def __init__(self, on_stuck: Callable[[Limit], None] = lambda _: None) -> None:
        self.on_stuck = on_stuck
        # Last in, first out: few jobs at a time means few threads, and few connections.
        self._free: list[tuple[ThreadSensitiveContext, _SensitiveThread]] = []
        self._all: list[_SensitiveThread] = []

    async def run(self, body: Callable[[], Awaitable[Any]], owner: str) -> Ended:
        """Await `body()`. Runs in the caller's task, whose context is changed."""
        place, thread = self._free.pop() if self._free else self._new()
        thread.used = False
        SyncToAsync.thread_sensitive_context.set(place)
        cut_off = True
        try:
            value = await body()
            cut_off = False
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 - whatever a task raises is how it ended
            cut_off = isinstance(exc, TaskTimeout)
            return None, exc
        else:
            return value, None
        finally:
            if thread.used:
                if cut_off:
                    # It may have left a query behind in its thread, which no cancellation of ours reaches.
                    thread.cancel_queries()
                loop = asyncio.get_running_loop()
                tending = loop.run_in_executor(thread, _tend_after_cut if cut_off else tend_after_task, owner)
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


def _tend_after_cut(owner: str) -> None:
    be_done_with_cancels()
    tend_after_task(owner)


class _SensitiveThread(ThreadPoolExecutor):
    """One thread, started at first use, that knows whether the current job has used it."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="queue_tasks orm")
        self.used = False

    def cancel_queries(self) -> None:
        """Cancel what its connections are in the middle of."""
        for thread in self._threads:
            cancel_queries(thread.ident or 0)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if not self.used:
            self.used = True
            super().submit(tend_before_task)
        return super().submit(fn, *args, **kwargs)
