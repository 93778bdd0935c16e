"""The worker's event loop: what it asks the system for, not how long that takes."""

import asyncio
import os
import select
import selectors
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queue_tasks.worker import event_loop

if sys.platform != "linux":
    pytest.skip("epoll is Linux's", allow_module_level=True)

READABLE = selectors.EVENT_READ


@pytest.fixture
def selector() -> Iterator[event_loop.ExactSelector]:
    with event_loop.ExactSelector() as selector:
        yield selector


@pytest.fixture
def pair(selector: event_loop.ExactSelector) -> Iterator[tuple[socket.socket, socket.socket]]:
    """One that the selector waits for, and one to write to it."""
    ear, mouth = socket.socketpair()
    with ear, mouth:
        selector.register(ear, READABLE)
        yield ear, mouth


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds the system is asked to rest for, where it counts finer than epoll does."""
    asked: list[float] = []
    if sys.version_info >= (3, 13):
        set_timer = os.timerfd_settime_ns

        def noting(fd: int, /, *, initial: int) -> Any:
            asked.append(initial / 1e9)
            return set_timer(fd, initial=initial)

        monkeypatch.setattr(os, "timerfd_settime_ns", noting)
    else:
        wait = select.select

        def noting(*arguments: Any) -> Any:
            asked.append(arguments[3])
            return wait(*arguments)

        monkeypatch.setattr(select, "select", noting)
    return asked


@pytest.mark.parametrize("seconds", [0.0123456, 0.0001, 0.000_000_5])
def test_a_short_rest_is_not_rounded(selector: event_loop.ExactSelector, rests: list[float], seconds: float) -> None:
    assert selector.select(seconds) == []
    assert rests == [pytest.approx(seconds, abs=2e-9)]


def test_a_rest_that_is_too_short_to_count_ends(selector: event_loop.ExactSelector) -> None:
    assert selector.select(1e-15) == []


@pytest.mark.parametrize("seconds", [0, -1, event_loop.SHORT, 60, None])
def test_for_any_other_rest_epoll_will_do(
    selector: event_loop.ExactSelector, pair: tuple[socket.socket, socket.socket], rests: list[float], seconds: Any
) -> None:
    ear, mouth = pair
    mouth.send(b"x")
    assert selector.select(seconds) == [(selector.get_key(ear), READABLE)]
    assert rests == []


def test_so_it_will_where_the_descriptor_is_too_high(
    selector: event_loop.ExactSelector, rests: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "FD_SETSIZE", selector.fileno())
    assert selector.select(0.001) == []
    assert rests == []


def test_a_descriptor_ends_a_rest_and_nothing_is_left_of_it(
    selector: event_loop.ExactSelector, pair: tuple[socket.socket, socket.socket]
) -> None:
    ear, mouth = pair
    mouth.send(b"x")
    assert selector.select(0.09) == [(selector.get_key(ear), READABLE)]
    ear.recv(1)
    # Two that go off before and while nothing is there.
    assert [selector.select(seconds) for seconds in (0.001, 0, 0.001)] == [[], [], []]


def test_another_thread_ends_a_rest() -> None:
    loop = event_loop.new_event_loop()

    async def wait() -> str:
        told = asyncio.Event()
        loop.call_later(0.09, told.set)
        threading.Thread(target=loop.call_soon_threadsafe, args=(told.set,)).start()
        await told.wait()
        return "told"

    try:
        assert loop.run_until_complete(wait()) == "told"
    finally:
        loop.close()


def test_closing_gives_all_descriptors_back() -> None:
    def open_ones() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = open_ones()
    event_loop.new_event_loop().close()
    assert open_ones() == before


def test_the_loop_of_another_policy_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(asyncio.SelectorEventLoop):
        """As uvloop's would be."""

    theirs = Theirs()
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: theirs)
    try:
        assert event_loop.new_event_loop() is theirs
    finally:
        theirs.close()
