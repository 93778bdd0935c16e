"""Watchdog: a blocked loop is named once, with where it is blocked, and its end is told."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from queue_tasks import events
from queue_tasks.worker.watchdog import Watchdog
from tests.waiting import PATIENCE, await_until, wait_until


@pytest.fixture
def blockages() -> Iterator[list[events.LoopBlocked]]:
    seen: list[events.LoopBlocked] = []
    unsubscribe = events.subscribe(events.LoopBlocked, seen.append)
    yield seen
    unsubscribe()


@contextlib.asynccontextmanager
async def watching(limit: float, name_of: Callable[[asyncio.Task[object]], str | None]) -> AsyncIterator[Watchdog]:
    watchdog = Watchdog(limit, 7, name_of)
    watchdog.start()
    yield watchdog
    await watchdog.stop()


async def block_until_said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    limit = time.monotonic() + 1
    wait_until(lambda: words in caplog.text or time.monotonic() > limit)


async def block(caplog: pytest.LogCaptureFixture, name: str, words: str) -> None:
    """Block the loop in a task of this name until it is named: when the machine stood still before, that is said."""
    for _ in range(int(PATIENCE)):
        if words not in caplog.text:
            await asyncio.create_task(block_until_said(caplog, words), name=name)


async def test_who_blocks_the_loop_is_named_with_the_place_and_then_how_long_it_took(
    caplog: pytest.LogCaptureFixture, blockages: list[events.LoopBlocked]
) -> None:
    with caplog.at_level(logging.WARNING, "queue_tasks.worker"):
        async with watching(0.1, lambda task: f"job 3 ({task.get_name()})"):
            await block(caplog, "tests.block", "(tests.block)")
            await await_until(lambda: any("(tests.block)" in event.who for event in blockages))
    # Of others it is true when the machine stands still.
    first, second = (text for record in caplog.records if "(tests.block)" in (text := record.getMessage()))
    assert "the event loop is blocked for 0.1 s by job 3 (tests.block)" in first
    assert "in block_until_said" in first
    assert "job 3 (tests.block) blocked it for" in second
    (event,) = (event for event in blockages if "(tests.block)" in event.who)
    assert (event.worker_id, event.who) == (7, "job 3 (tests.block)")
    assert event.seconds >= 0.1


async def test_what_is_no_job_is_named_by_its_task(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "queue_tasks.worker"):
        async with watching(0.1, lambda _: None):
            await block(caplog, "a neighbour", "the asyncio task 'a neighbour'")
    assert "blocked for 0.1 s by the asyncio task 'a neighbour'" in caplog.text


async def test_a_loop_that_turns_is_left_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "queue_tasks.worker"):
        async with watching(5, lambda _: None) as watchdog:
            await asyncio.sleep(0)
    assert not caplog.records
    assert watchdog._thread is not None
    assert not watchdog._thread.is_alive()


def test_a_loop_that_is_closed_ends_the_watch() -> None:
    watchdog = Watchdog(0.05, 7, lambda _: None)

    async def leave() -> None:
        watchdog.start()

    asyncio.run(leave())
    thread = watchdog._thread
    assert isinstance(thread, threading.Thread)
    thread.join(PATIENCE)
    assert not thread.is_alive()
