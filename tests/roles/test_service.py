"""Service: started, stopped, started again after a failure, and never silently dead."""

import asyncio
import logging
from itertools import pairwise

import pytest

from queue_tasks import events
from queue_tasks.worker import fitness as module
from queue_tasks.worker.service import Service, wait_for
from tests.waiting import await_until


class Failing(Service):
    """Fails as often as it is told to, then waits."""

    name = "failing"

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)
        self.starts = 0
        self.finished = 0

    async def run(self) -> None:
        self.starts += 1
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.Event().wait()

    async def finish(self) -> None:
        self.finished += 1


async def test_a_loop_that_raises_is_started_again_after_a_wait_that_grows(
    failures: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    service = Failing(ValueError("one"), OSError("two"), RuntimeError("three"), KeyError("four"))
    service.worker_id = 9
    async with service:
        await await_until(lambda: service.starts == 5)
        assert not service.failed
    assert [(type(e.error), e.service, e.worker_id) for e in failures] == [
        (kind, "failing", 9) for kind in (ValueError, OSError, RuntimeError, KeyError)
    ]
    waits = [event.wait for event in failures]
    assert all(later > earlier for earlier, later in pairwise(waits))


async def test_a_cancelled_loop_waits_no_longer_for_having_failed_before(
    failures: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    async with Failing(*(ValueError() for _ in range(5)), asyncio.CancelledError()) as service:
        await await_until(lambda: service.starts == 7)
    assert [type(event.error) for event in failures[-2:]] == [ValueError, asyncio.CancelledError]
    assert failures[-1].wait <= 0.00125 < failures[-2].wait


async def test_only_the_first_of_many_failures_is_a_warning(
    failures: list, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.0001)
    with caplog.at_level(logging.INFO, "queue_tasks.worker"):
        async with Failing(ValueError("a"), ValueError("b"), ValueError("")) as service:
            await await_until(lambda: service.starts == 4)
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING, logging.INFO, logging.INFO]
    assert "failing failed (ValueError: a)" in caplog.text
    assert "no message" in caplog.text


async def test_stopping_twice_finishes_once() -> None:
    service = Failing()
    await service.__aenter__()
    await await_until(lambda: service.starts)
    await service.stop()
    await service.stop()
    assert (service.finished, service.failed) == (1, False)


async def test_stopping_what_never_started_does_nothing() -> None:
    service = Failing()
    await service.stop()
    assert (service.starts, service.finished) == (0, 0)


async def test_stopping_during_the_wait_before_a_restart_ends_it() -> None:
    service = Failing(ValueError())
    async with service:
        await await_until(lambda: service.starts)
    assert service.starts == 1


async def test_a_loop_that_returns_has_come_to_its_end_and_has_not_failed() -> None:
    class Short(Service):
        async def run(self) -> None:
            return

    async with Short() as service:
        await await_until(lambda: service._loop is not None and service._loop.done())
        assert not service.failed


async def test_a_loop_cancelled_by_nobody_who_may_is_started_again(failures: list) -> None:
    service = Failing()
    async with service:
        await await_until(lambda: service.starts == 1)
        for kill in range(1, 21):
            service._loop.cancel()
            await await_until(lambda: len(failures) == kill)  # noqa: B023 - called at once
            # In its wait before the next start as well, which that cuts short.
            service._loop.cancel()
            await await_until(lambda: service.starts == kill + 1)  # noqa: B023 - the same
        assert not service.failed
        assert service._loop.cancelling() == 0
        assert service.failing_for > 0
    assert {type(event.error) for event in failures} == {asyncio.CancelledError}
    assert service.finished == 1


async def test_a_loop_ends_with_whoever_started_it_and_never_stopped_it() -> None:
    service = Failing()

    async def start() -> None:
        await service.__aenter__()

    await asyncio.create_task(start())
    await await_until(lambda: service.starts)
    service._loop.cancel()
    await await_until(service._loop.done)
    assert service.failed
    await service.stop()


async def test_it_tells_how_long_it_has_been_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(module, "PROVEN_AFTER", 0.05)
    async with Failing(*(ValueError() for _ in range(5))) as service:
        assert service.failing_for == 0
        await await_until(lambda: service.failing_for > 0)
        await await_until(lambda: service.starts == 6)
        await await_until(lambda: service.failing_for == 0)


async def test_wait_for_says_whether_the_event_came() -> None:
    event = asyncio.Event()
    assert not await wait_for(event, 0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for(event, None)
    assert await wait_for(event, 0)


# -------------------------------------------------------------------------------------------------------------- events


def test_a_subscriber_is_told_of_its_kind_only_until_it_ends_it() -> None:
    seen: list[events.Event] = []
    unsubscribe = events.subscribe(events.WorkerStopped, seen.append)
    stopped = events.WorkerStopped(1, "w", 2)
    assert events.wanted(events.WorkerStopped)
    events.publish(stopped)
    events.publish(events.WorkerStarted(1, "w", None, 3))
    unsubscribe()
    unsubscribe()
    events.publish(stopped)
    assert seen == [stopped]
    assert not events.wanted(events.WorkerStopped)


def test_a_subscriber_that_raises_harms_neither_the_next_nor_the_publisher(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[events.Event] = []

    def raising(event: events.Event) -> None:
        raise RuntimeError("subscriber")

    ends = [events.subscribe(events.WorkerStopped, each) for each in (raising, seen.append)]
    events.publish(events.WorkerStopped(1, "w", 2))
    for end in ends:
        end()
    assert len(seen) == 1
    assert "A subscriber of WorkerStopped raised" in caplog.text


def test_a_subscriber_may_end_itself_while_it_is_told() -> None:
    seen: list[str] = []

    def once(event: events.Event) -> None:
        seen.append("once")
        end()

    end = events.subscribe(events.WorkerStopped, once)
    other = events.subscribe(events.WorkerStopped, lambda event: seen.append("other"))
    events.publish(events.WorkerStopped(1, "w", 2))
    events.publish(events.WorkerStopped(1, "w", 2))
    other()
    assert seen == ["once", "other", "other"]
