"""No queue at all: the same bodies, as many at a time, on a bare loop and in bare threads. What a queue can reach."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from django.db import connection  # noqa: E402 - after setup

from benchmarks import tasks  # noqa: E402
from benchmarks.durations import NAP  # noqa: E402
from benchmarks.sides.speech import serve  # noqa: E402


def naps(count: str, concurrency: str) -> float:
    """Sleeps a second, each a task of its own, behind a semaphore."""
    return asyncio.run(_naps(int(count), int(concurrency)))


async def _naps(count: int, concurrency: int) -> float:
    room = asyncio.Semaphore(concurrency)

    async def nap() -> None:
        await asyncio.sleep(NAP)
        room.release()

    running = set()
    started = time.monotonic()
    for _ in range(count):
        await room.acquire()
        running.add(task := asyncio.create_task(nap()))
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return count / (time.monotonic() - started)


def orm(count: str, concurrency: str) -> float:
    """Bodies a second with one ORM query and one update, in threads that take them one by one."""
    left = iter(range(int(count)))

    def work() -> None:
        # A range's iterator: next() is one step of the interpreter.
        for _ in left:
            tasks.orm.func()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(int(concurrency))]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return int(count) / (time.monotonic() - started)


if __name__ == "__main__":
    serve({"naps": naps, "orm": orm})
