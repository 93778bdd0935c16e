"""Slots and waitlist: where fetched jobs wait, and run. Without a database: these jobs end when the test says so."""

import asyncio
import time
from typing import Any

import pytest

from queue_tasks.jobs import FetchedJob
from queue_tasks.worker import waitlist
from queue_tasks.worker.pace import Pace
from queue_tasks.worker.slots import Slots
from queue_tasks.worker.waitlist import Waitlist
from tests.roles.parts import Calls, fetched
from tests.waiting import await_until

NOW = 0.0
"""When they were fetched, where it does not matter."""


class Floor:
    """Slots whose jobs run until the test lets them end."""

    def __init__(self, count: int) -> None:
        self.leave: dict[int, asyncio.Event] = {}
        self.ended: list[int] = []
        self.ends = Calls()
        self.waitlist = Waitlist(release=Calls(), on_stale=Calls())
        self.slots = Slots(count, self.waitlist, self.run, last_chance=2, pace=Pace(count, 0), on_end=self.ends)

    def fill(self, *jobs: FetchedJob) -> None:
        """Have jobs wait, and start those that there are slots for."""
        self.leave |= {job.id: asyncio.Event() for job in jobs}
        self.waitlist.add(jobs, NOW)
        self.slots.fill()

    async def run(self, job: FetchedJob) -> None:
        await self.leave[job.id].wait()
        self.ended.append(job.id)

    async def end(self, job_id: int) -> None:
        """Let one end, and wait until that is known."""
        ends = len(self.ends)
        self.leave[job_id].set()
        await await_until(lambda: len(self.ends) > ends)

    @property
    def ids(self) -> tuple[list[int], list[int]]:
        """Those that run, and those that wait."""
        return self.slots.ids, self.waitlist.ids


def jobs(count: int, **values: Any) -> list[FetchedJob]:
    return [fetched(id=number, **values) for number in range(1, count + 1)]


async def test_so_many_run_at_once_and_the_others_wait_in_order() -> None:
    floor = Floor(2)
    floor.fill(*jobs(4))
    assert floor.ids == ([1, 2], [3, 4])
    assert floor.slots.free == 0
    await floor.end(2)
    assert floor.ids == ([1, 3], [4])
    for number in (1, 3, 4):
        await floor.end(number)
    assert floor.ids == ([], [])
    assert floor.slots.free == 2


async def test_a_slot_is_free_as_its_job_ends_and_not_a_turn_of_the_loop_later() -> None:
    floor = Floor(1)
    floor.fill(*jobs(2))
    await asyncio.sleep(0)
    floor.leave[1].set()
    seen: list[tuple[list[int], list[int]]] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(floor.ids))
    await await_until(lambda: seen)
    assert (seen, floor.ended) == ([([2], [])], [1])
    await floor.end(2)


async def test_a_last_chance_waits_for_those_before_it_and_those_after_it_wait_for_its_end() -> None:
    floor = Floor(3)
    floor.fill(fetched(id=1), fetched(id=2, crashes=2), fetched(id=3, crashes=1), fetched(id=4))
    assert floor.ids == ([1], [2, 3, 4])
    await floor.end(1)
    assert floor.ids == ([2], [3, 4])
    assert floor.slots.free == 0
    floor.slots.fill()
    assert floor.ids == ([2], [3, 4])
    await floor.end(2)
    assert floor.ids == ([3, 4], [])
    assert floor.slots.free == 1
    for number in (3, 4):
        await floor.end(number)


async def test_one_that_is_cancelled_before_it_has_begun_leaves_its_slot_to_the_next() -> None:
    floor = Floor(1)
    floor.fill(*jobs(2))
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "queue_tasks job 1"]
    task.cancel()
    await await_until(lambda: len(floor.ends) == 1)
    assert floor.ids == ([2], [])
    await floor.end(2)


# ------------------------------------------------------------------------------------------------------- the waitlist


async def test_what_waits_for_too_long_is_told_of_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waitlist, "STALE_AFTER", 0.0)
    told = Calls()
    waiting = Waitlist(release=Calls(), on_stale=told)
    waiting.add(jobs(1), time.monotonic())
    waiting.watch()
    await await_until(lambda: len(told) >= 3)
    waiting.give_back()


async def test_all_that_waits_is_given_back() -> None:
    release = Calls()
    waiting = Waitlist(release, on_stale=Calls())
    waiting.add(jobs(3), time.monotonic())
    waiting.watch()
    waiting.give_back()
    assert sorted(job.id for (job,) in release.all) == [1, 2, 3]
    assert waiting.ids == []
