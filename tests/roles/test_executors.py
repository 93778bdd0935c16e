"""Executors: threads that live from job to job and pass nothing on; coroutines with an ORM thread each."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.threads import ThreadExecutor
from tests.waiting import PATIENCE, await_until

OWNER = "job 1 (tests)"
said: contextvars.ContextVar[str] = contextvars.ContextVar("said", default="nothing")


@pytest.fixture
async def threads() -> AsyncIterator[ThreadExecutor]:
    executor = ThreadExecutor(4)
    yield executor
    executor.close()
    assert await asyncio.to_thread(executor.join, PATIENCE)


@pytest.fixture
async def loops() -> AsyncIterator[LoopExecutor]:
    executor = LoopExecutor()
    yield executor
    executor.close()
    await await_until(lambda: not any(thread.is_alive() for each in executor._all for thread in each._threads))


def name() -> str:
    return f"{threading.current_thread().name} {threading.get_ident()}"


# ------------------------------------------------------------------------------------------------------------- threads


async def test_one_after_the_other_they_share_one_thread(threads: ThreadExecutor) -> None:
    names = {(await threads.run(name, OWNER))[0] for _ in range(20)}
    assert len(names) == len(threads._threads) == 1


async def test_together_they_have_as_many_threads_as_there_are_slots(threads: ThreadExecutor) -> None:
    meeting = threading.Barrier(4, timeout=PATIENCE)

    def meet() -> str:
        meeting.wait()
        return name()

    names = {ended[0] for ended in await asyncio.gather(*(threads.run(meet, OWNER) for _ in range(12)))}
    assert len(names) == len(threads._threads) == 4


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), StopIteration(1), SystemExit(2), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()],
)
async def test_whatever_is_raised_comes_back_as_a_value(threads: ThreadExecutor, error: BaseException) -> None:
    def fail() -> None:
        raise error

    assert await threads.run(fail, OWNER) == (None, error)
    assert (await threads.run(name, OWNER))[1] is None


async def test_a_job_sees_its_caller_s_context_and_changes_only_its_own(threads: ThreadExecutor) -> None:
    said.set("by the caller")

    def speak() -> str:
        before = said.get()
        said.set("by a job")
        return before

    assert [(await threads.run(speak, OWNER))[0] for _ in range(3)] == ["by the caller"] * 3
    assert said.get() == "by the caller"


async def test_a_connection_that_cannot_be_tended_costs_neither_the_thread_nor_the_outcome(
    threads: ThreadExecutor, loops: LoopExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connections

    class Broken:
        """A driver's connection of which everything fails."""

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"no {name}")

    def break_connection() -> str:
        connections["default"].connection = Broken()
        return "done"

    async def body() -> str:
        return await sync_to_async(break_connection)()

    for _ in range(3):
        assert await threads.run(break_connection, OWNER) == ("done", None)
        assert await loops.run(body, OWNER) == ("done", None)
    assert len(threads._threads) == 1


async def test_joining_says_whether_all_have_ended() -> None:
    executor, go = ThreadExecutor(1), threading.Event()
    running = asyncio.ensure_future(executor.run(lambda: go.wait(PATIENCE), OWNER))
    await await_until(lambda: executor._threads)
    executor.close()
    assert not await asyncio.to_thread(executor.join, 0.01)
    go.set()
    assert await running == (True, None)
    assert await asyncio.to_thread(executor.join, PATIENCE)


async def test_threads_do_not_keep_the_process() -> None:
    executor = ThreadExecutor(1)
    await executor.run(name, OWNER)
    assert all(thread.daemon for thread in executor._threads)
    executor.close()
    executor.join(PATIENCE)


def test_a_body_that_outlives_its_loop_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    executor, go = ThreadExecutor(1), threading.Event()

    async def leave() -> None:
        running = asyncio.ensure_future(executor.run(lambda: go.wait(PATIENCE), OWNER))
        await await_until(lambda: executor._in_hand)
        running.cancel()

    asyncio.run(leave())
    executor.close()
    go.set()
    assert executor.join(PATIENCE)
    assert not caplog.records


# ---------------------------------------------------------------------------------------------------------------- loop


async def test_coroutines_at_once_reach_their_threads_in_parallel(loops: LoopExecutor) -> None:
    meeting = threading.Barrier(5, timeout=PATIENCE)

    def meet() -> str:
        meeting.wait()
        return name()

    async def body() -> str:
        return await sync_to_async(meet)()

    ended = await asyncio.gather(*(asyncio.create_task(loops.run(body, OWNER)) for _ in range(5)))
    assert len({value for value, error in ended if error is None}) == 5


async def test_one_after_the_other_they_use_one_thread_again(loops: LoopExecutor) -> None:
    async def body() -> tuple[str, str]:
        return await sync_to_async(name)(), await sync_to_async(name)()

    seen = {each for _ in range(10) for each in (await asyncio.create_task(loops.run(body, OWNER)))[0]}
    assert len(seen) == len(loops._all) == 1


async def test_a_coroutine_that_calls_no_plain_code_costs_no_thread(loops: LoopExecutor) -> None:
    async def body() -> int:
        await asyncio.sleep(0)
        return 1

    for _ in range(5):
        assert await asyncio.create_task(loops.run(body, OWNER)) == (1, None)
    assert not any(each._threads for each in loops._all)


async def test_a_place_is_free_again_after_an_error_and_after_a_cancellation(loops: LoopExecutor) -> None:
    async def fail() -> None:
        await sync_to_async(name)()
        raise SystemExit(1)

    async def hang() -> None:
        await sync_to_async(name)()
        await asyncio.sleep(60)

    _, error = await asyncio.create_task(loops.run(fail, OWNER))
    assert isinstance(error, SystemExit)
    hanging = asyncio.create_task(loops.run(hang, OWNER))
    await await_until(lambda: loops._all[0].used and not loops._free)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await await_until(lambda: len(loops._free) == 1)
    assert len(loops._all) == 1


async def test_a_task_s_context_is_its_own(loops: LoopExecutor) -> None:
    async def body() -> str:
        before = said.get()
        said.set("by a task")
        await sync_to_async(lambda: said.set("by its thread"))()
        return before + ", then " + said.get()

    for _ in range(2):
        value, _ = await asyncio.create_task(loops.run(body, OWNER))
        assert value == "nothing, then by its thread"
    assert said.get() == "nothing"
