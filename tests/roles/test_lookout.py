"""Lookout: one look in the place of several polls, and none that is forgotten."""

import asyncio
import time
from typing import Any

import pytest

from queue_tasks.worker.lookout import Find, Lookout, Sight
from queue_tasks.worker.service import wait_for
from tests.roles.parts import NOTHING_SEEN, Calls
from tests.waiting import await_until


def sight(*finds: Find) -> Sight:
    found: dict[str, Any] = {find.value: True for find in finds}
    return NOTHING_SEEN._replace(**found)


@pytest.mark.parametrize("find", Find)
def test_who_looks_for_it_is_called_and_nobody_else(find: Find) -> None:
    lookout, calls = Lookout(), {each: Calls() for each in Find}
    for each, call in calls.items():
        lookout.call(each, call)
    lookout.note(NOTHING_SEEN)
    assert not any(calls.values())
    lookout.note(sight(find))
    assert [each for each, call in calls.items() if call] == [find]


async def test_without_a_look_the_poll_comes_in_time() -> None:
    begun = time.monotonic()
    await Lookout().poll(Find.READY, asyncio.Event(), 0.1)
    assert time.monotonic() - begun >= 0.1


async def test_a_look_that_found_nothing_puts_the_poll_off() -> None:
    lookout = Lookout()
    poll = asyncio.create_task(lookout.poll(Find.READY, asyncio.Event(), 1))
    assert not await wait_for(asyncio.Event(), 0.1)
    looked_at = time.monotonic()
    lookout.note(sight(Find.DUE))
    await poll
    assert time.monotonic() - looked_at >= 1


async def test_a_look_that_found_something_does_not() -> None:
    lookout = Lookout()
    lookout.note(NOTHING_SEEN)
    assert lookout.saw_nothing(Find.READY, 60)
    lookout.note(sight(Find.READY))
    assert not lookout.saw_nothing(Find.READY, 60)
    assert lookout.saw_nothing(Find.DUE, 60)
    assert not lookout.saw_nothing(Find.DUE, 0)


async def test_what_is_known_to_be_due_is_not_put_off() -> None:
    lookout = Lookout()
    poll = asyncio.create_task(lookout.poll(Find.TICKS, asyncio.Event(), 600, at_most=0.1))

    def looked() -> bool:
        lookout.note(NOTHING_SEEN)
        return poll.done()

    await await_until(looked)


async def test_who_is_woken_waits_no_longer() -> None:
    wake = asyncio.Event()
    poll = asyncio.create_task(Lookout().poll(Find.DUE, wake, 600))
    wake.set()
    await asyncio.wait_for(poll, 60)
