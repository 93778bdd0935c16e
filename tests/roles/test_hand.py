"""Hand and slots: where fetched jobs wait, and run. Without a database: these jobs end when the test says so."""

import asyncio
import time
from functools import partial
from typing import Any

import pytest

from queue_tasks.jobs import FetchedJob
from queue_tasks.worker import hand
from queue_tasks.worker.hand import Hand
from tests.roles.parts import Calls, fetched
from tests.waiting import await_until


class Palm:
    """A hand whose jobs run until the test lets them end."""

    def __init__(self, slots: int) -> None:
        self.leave: dict[int, asyncio.Event] = {}
        self.started: list[int] = []
        self.released: list[int] = []
        self.ends = Calls()
        self.quiets = Calls()
        self.hand = Hand(
            slots,
            500,
            self.run,
            lambda job: self.released.append(job.id),
            last_chance=2,
            on_end=self.ends,
            on_quiet=self.quiets,
        )

    def take(self, *jobs: FetchedJob) -> None:
        self.leave |= {job.id: asyncio.Event() for job in jobs}
        self.hand.take(jobs, time.monotonic())

    async def run(self, job: FetchedJob) -> None:
        self.started.append(job.id)
        await self.leave[job.id].wait()

    async def end(self, *job_ids: int) -> None:
        """Let some end, one after the other, and wait until that is known."""
        for job_id in job_ids:
            until = partial(self.has_ended, len(self.ends) + 1)
            self.leave[job_id].set()
            await await_until(until)

    def has_ended(self, times: int) -> bool:
        return len(self.ends) == times

    def has_free_slot(self) -> bool:
        return self.hand.has_free_slot

    @property
    def running(self) -> list[int]:
        return self.hand._slots.ids


def jobs(count: int, **values: Any) -> list[FetchedJob]:
    return [fetched(id=number, **values) for number in range(1, count + 1)]


# ---------------------------------------------------------------------------------------------------- what runs, when


async def test_so_many_run_at_once_and_the_others_wait_in_order() -> None:
    palm = Palm(2)
    assert palm.has_free_slot()
    palm.take(*jobs(4))
    assert (palm.running, palm.hand.ids) == ([1, 2], [3, 4, 1, 2])
    assert not palm.has_free_slot()
    await palm.end(2)
    assert (palm.running, palm.hand.ids) == ([1, 3], [4, 1, 3])
    await palm.end(1, 3, 4)
    assert palm.started == [1, 2, 3, 4]
    assert palm.hand.size == palm.hand.running == 0


async def test_a_slot_is_free_as_its_job_ends_and_not_a_turn_of_the_loop_later() -> None:
    palm = Palm(1)
    palm.take(*jobs(2))
    await await_until(lambda: palm.started == [1])
    palm.leave[1].set()
    seen: list[list[int]] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(palm.running))
    await await_until(lambda: seen)
    assert seen == [[2]]
    await palm.end(2)


async def test_a_last_chance_waits_for_those_before_it_and_those_after_it_wait_for_its_end() -> None:
    palm = Palm(4)
    palm.take(fetched(id=1), fetched(id=2, crashes=2), fetched(id=3, crashes=1), fetched(id=4))
    assert palm.running == [1]
    await palm.end(1)
    assert palm.running == [2]
    assert not palm.has_free_slot()
    palm.take(fetched(id=5))
    assert palm.running == [2]
    await palm.end(2)
    assert palm.running == [3, 4, 5]
    assert palm.has_free_slot()
    await palm.end(3, 4, 5)


async def test_one_last_chance_after_the_other_is_alone_as_well() -> None:
    palm = Palm(4)
    palm.take(fetched(id=1, crashes=2), fetched(id=2, crashes=2))
    await palm.end(1)
    palm.take(fetched(id=3))
    assert palm.running == [2]
    await palm.end(2, 3)


async def test_one_that_somebody_cancels_leaves_its_slot_to_the_next() -> None:
    palm = Palm(1)
    palm.take(*jobs(2))
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "queue_tasks job 1"]
    task.cancel()
    await await_until(lambda: len(palm.ends) == 1)
    assert palm.running == [2]
    await palm.end(2)


async def test_it_is_quiet_when_the_last_has_ended() -> None:
    palm = Palm(1)
    await palm.hand.until_quiet()
    palm.take(*jobs(2))
    quiet = asyncio.create_task(palm.hand.until_quiet())
    await palm.end(1)
    assert (quiet.done(), len(palm.quiets)) == (False, 0)
    await palm.end(2)
    await quiet
    assert len(palm.quiets) == 1


# ------------------------------------------------------------------------------------------ what does not come to run


async def test_what_waits_goes_back_and_what_runs_stays() -> None:
    palm = Palm(1)
    palm.take(*jobs(3))
    palm.hand.give_back()
    assert sorted(palm.released) == [2, 3]
    assert palm.hand.ids == [1]
    await palm.end(1)
    assert palm.started == [1]


async def test_what_is_forgotten_is_neither_run_nor_given_back() -> None:
    palm = Palm(1)
    palm.take(*jobs(3))
    palm.hand.forget()
    await palm.end(1)
    assert (palm.started, palm.released) == ([1], [])


async def test_what_has_waited_for_too_long_goes_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "STALE_AFTER", 0.0)
    palm = Palm(1)
    palm.take(*jobs(2))
    await await_until(lambda: palm.released == [2])
    palm.take(fetched(id=3))
    await await_until(lambda: palm.released == [2, 3])
    assert palm.hand.ids == [1]
    await palm.end(1)
