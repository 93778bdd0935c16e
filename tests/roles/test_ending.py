"""Ending: why and until when a worker stops, and steps of stopping that hold nobody up. Without a worker."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable

import pytest

from queue_tasks.worker.ending import LEAST_PATIENCE, STOP_MARGIN, UNASKED_MARGIN, WRITE_MARGIN, Ending


def no_loop(_: Callable[[], None]) -> bool:
    return False


async def test_who_is_told_before_it_runs_is_told() -> None:
    ending = Ending(5, no_loop)
    ending.stop()
    assert ending.told.is_set()


async def test_who_is_told_from_another_thread_hears_of_it_on_its_loop() -> None:
    loop, said = asyncio.get_running_loop(), []

    def call_soon(function: Callable[[], None]) -> bool:
        said.append(threading.get_ident())
        loop.call_soon_threadsafe(function)
        return True

    ending = Ending(5, call_soon)
    await asyncio.to_thread(ending.stop)
    await ending.told.wait()
    assert said != [threading.get_ident()]


def test_the_sooner_end_counts() -> None:
    ending = Ending(60, no_loop)
    assert ending.grace_left == math.inf
    ending.stop(1000)
    assert 60 < ending.grace_left <= 1000
    ending.stop()
    assert (ending.grace, ending.grace_left <= 60) == (60, True)
    ending.stop(1000)
    assert (ending.grace, ending.grace_left <= 60) == (60, True)
    ending.stop(0)
    assert (ending.grace, ending.grace_left) == (0, 0)


@pytest.mark.parametrize(("asked", "margin"), [(True, WRITE_MARGIN), (False, UNASKED_MARGIN)])
def test_who_waits_for_its_end_leaves_it_less_time(asked: bool, margin: float) -> None:
    ending = Ending(1000, no_loop)
    if asked:
        ending.stop()
    else:
        ending.recycle("of age")
    most = 1000 + STOP_MARGIN + margin
    assert most - UNASKED_MARGIN / 2 < ending.time_left <= most


def test_each_step_has_a_moment_however_late_it_is() -> None:
    ending = Ending(5, no_loop)
    ending.stop(-1000)
    assert ending.time_left == LEAST_PATIENCE


def test_the_first_reason_to_recycle_counts_and_whatever_is_stuck_is_not_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ending = Ending(5, no_loop)
    with caplog.at_level(logging.INFO, "queue_tasks.worker"):
        ending.recycle("of age", stuck=False)
        assert not ending.stuck
        ending.recycle("a body does not end")
        ending.recycle("of age", stuck=False)
    assert (ending.recycled, ending.stuck) == ("of age", True)
    assert ending.told.is_set()
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_what_fails_is_stuck_and_has_no_time(caplog: pytest.LogCaptureFixture) -> None:
    ending = Ending(5, no_loop)
    ending.fail("the fetcher died")
    assert (ending.stuck, ending.grace_left, ending.recycled) == (True, 0, None)
    assert [(record.levelname, record.message) for record in caplog.records] == [("CRITICAL", "the fetcher died")]


async def test_it_waits_until_it_is_done_or_the_time_of_grace_is_over() -> None:
    ending, done = Ending(60, no_loop), asyncio.Event()

    async def wait() -> None:
        await done.wait()

    ending.stop()
    waiting = asyncio.ensure_future(ending.wait(wait))
    done.set()
    assert await waiting
    done.clear()
    ending.stop(0)
    assert not await ending.wait(wait)
    assert not await ending.wait(wait, 0.01)


async def test_a_step_that_takes_too_long_is_left_behind_and_one_that_fails_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ending, cancelled = Ending(60, no_loop), asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def fail() -> None:
        raise OSError("gone")

    await ending.within("a loop", for_ever, 0.01)
    await cancelled.wait()
    await ending.within("a connection", fail)
    assert [record.message for record in caplog.records] == [
        "a loop did not end within 0.0 s of stopping; it is left behind",
        "a connection did not end in order: gone",
    ]


async def test_a_step_has_no_more_time_than_there_is(caplog: pytest.LogCaptureFixture) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    ending = Ending(60, no_loop)
    ending.stop(-1000)
    await ending.within("a loop", for_ever, 3600)
    assert caplog.messages == [f"a loop did not end within {LEAST_PATIENCE} s of stopping; it is left behind"]
