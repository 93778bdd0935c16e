"""Tasks that misbehave in every way a task can. Found by their dotted paths: the app does not import this module."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from queue_tasks import RetryPolicy, task


class BadStrError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text to be had")

    __repr__ = __str__


class ExitInStrError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class NotTextError(Exception):
    def __str__(self) -> str:
        return 17  # type: ignore[return-value]  # noqa: PLE0307 - the point


class Meta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no module to be had")


class BadClassError(Exception, metaclass=Meta):
    pass


class Text(str):
    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        raise RuntimeError("no bytes to be had")


class BadTextError(Exception):
    def __str__(self) -> str:
        return Text("odd text")


class NeedsArgumentsError(Exception):
    def __init__(self, one: int, *, two: int) -> None:
        super().__init__()


class BadNotesError(Exception):
    __notes__ = 17  # type: ignore[assignment]


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def circle() -> BaseException:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def chain(length: int) -> BaseException:
    error: BaseException = ValueError("root")
    for number in range(length):
        outer = ValueError(f"link {number}")
        outer.__cause__ = error
        error = outer
    return error


def nested_group(depth: int) -> BaseException:
    error: Exception = ValueError("inmost")
    for number in range(depth):
        error = ExceptionGroup(f"group {number}", [error, OSError(str(number))])
    return error


def _make(name: str) -> BaseException:
    """An error, by name."""
    makers: dict[str, Any] = {
        "bad_str": BadStrError,
        "exit_in_str": ExitInStrError,
        "not_text": NotTextError,
        "bad_class": BadClassError,
        "bad_text": BadTextError,
        "needs_arguments": lambda: NeedsArgumentsError(1, two=2),
        "bad_notes": BadNotesError,
        "nul": lambda: ValueError("a\x00b"),
        "surrogate": lambda: ValueError("a\ud800b"),
        "huge": lambda: ValueError("x" * 5_000_000),
        "huge_argument": lambda: ValueError({"key": ["y" * 1_000_000] * 5}),
        "binary": lambda: ValueError(b"\xff\x00\xfe"),
        "group": lambda: ExceptionGroup("several", [ValueError("one"), TypeError("two\x00")]),
        "base_group": lambda: BaseExceptionGroup("several", [KeyboardInterrupt(), SystemExit(1)]),
        "nested_group": lambda: nested_group(50),
        "circle": circle,
        "chain": lambda: chain(300),
        "memory": MemoryError,
        "stop_iteration": lambda: StopIteration("done"),
        "stop_async_iteration": lambda: StopAsyncIteration("done"),
        "generator_exit": GeneratorExit,
        "keyboard_interrupt": KeyboardInterrupt,
        "system_exit": lambda: SystemExit(0),
        "system_exit_text": lambda: SystemExit("bye"),
        "cancelled": asyncio.CancelledError,
        "timeout": lambda: TimeoutError("its own"),
        "base": lambda: BaseException("plain base"),
        "warning": lambda: DeprecationWarning("old"),
        "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad byte"),
        "os": lambda: OSError(28, "No space left on device"),
        "syntax": lambda: SyntaxError("bad", ("file\x00.py", 1, 1, "text\ud800", 1, 2)),
        "key": lambda: KeyError("\x00"),
        "none": lambda: ValueError(None),
        "empty": ValueError,
    }
    error = makers[name]()
    assert isinstance(error, BaseException)
    return error


NAMES = [
    "bad_str",
    "exit_in_str",
    "not_text",
    "bad_class",
    "bad_text",
    "needs_arguments",
    "bad_notes",
    "nul",
    "surrogate",
    "huge",
    "huge_argument",
    "binary",
    "group",
    "base_group",
    "nested_group",
    "circle",
    "chain",
    "memory",
    "stop_iteration",
    "stop_async_iteration",
    "generator_exit",
    "keyboard_interrupt",
    "system_exit",
    "system_exit_text",
    "cancelled",
    "timeout",
    "base",
    "warning",
    "unicode",
    "os",
    "syntax",
    "key",
    "none",
    "empty",
]


@task
def throw(name: str) -> None:
    """Raise in a thread."""
    raise _make(name)


@task
async def throw_async(name: str) -> None:
    """Raise on the loop."""
    raise _make(name)


@task
async def throw_async_later(name: str) -> None:
    """Raise on the loop after a turn of it."""
    await asyncio.sleep(0)
    raise _make(name)


@task
def overflow() -> int:
    """Recurse until Python stops it."""
    return recurse()


@task
async def overflow_async() -> int:
    """The same, on the loop."""
    return recurse()


class BadList(list):
    def __iter__(self) -> Any:
        raise SystemExit(5)

    def __len__(self) -> int:
        raise RuntimeError("no length to be had")


class BadBool:
    def __bool__(self) -> bool:
        raise RuntimeError("neither")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    __hash__ = None  # type: ignore[assignment]


@task
def give(name: str) -> Any:
    """Return something odd."""
    circular: list[Any] = []
    circular.append(circular)
    values: dict[str, Any] = {
        "object": object(),
        "bad_list": BadList([1]),
        "bad_bool": BadBool(),
        "circular": circular,
        "nul": "a\x00",
        "surrogate": "\ud800",
        "nan": float("nan"),
        "digits": 10**5000,
        "bytes": b"\xff",
        "int_keys": {1: 2},
        "exception_class": ValueError,
        "exception": ValueError("returned, not raised"),
        "generator": (n for n in range(3)),
        "lambda": lambda: 1,
    }
    return values[name]


@task
async def give_async(name: str) -> Any:
    """The same, on the loop."""
    return give.func(name)


GIVEN = [
    "object",
    "bad_list",
    "bad_bool",
    "circular",
    "nul",
    "surrogate",
    "nan",
    "digits",
    "bytes",
    "int_keys",
    "exception_class",
    "exception",
    "generator",
    "lambda",
]


@task
def give_coroutine() -> Any:
    """Return an awaitable although it is a plain function."""

    async def later() -> str:
        await asyncio.sleep(0)
        return "awaited"

    return later()


@task
async def block(seconds: float) -> str:
    """Block the event loop, as no coroutine should."""
    time.sleep(seconds)  # noqa: ASYNC251 - the point
    return "unblocked"


@task
async def block_until_there(path: str) -> str:
    """Block the event loop until a file is there; at most a minute."""
    for _ in range(6000):
        if Path(path).exists():  # noqa: ASYNC240 - as the sleep
            return "unblocked"
        time.sleep(0.01)  # noqa: ASYNC251 - the same
    return "blocked in vain"


@task
async def refuse_to_stop(seconds: float) -> str:
    """Swallow cancellation."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            await asyncio.sleep(until - time.monotonic())
        except asyncio.CancelledError:
            continue
    return "not stopped"


@task
async def finish_what_is_begun() -> str:
    """Swallow cancellation once, and return."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "tidied up"
    return "never"


@task
async def leave_something_running() -> str:
    """Return, but leave a task on the loop that does not want to end."""
    started = asyncio.Event()

    async def stubborn() -> None:
        started.set()
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    leave_something_running_left.append(asyncio.ensure_future(stubborn()))
    await started.wait()
    return "left"


leave_something_running_left: list[Any] = []


@task(timeout=0.05)
async def raise_timeout_itself() -> None:
    """Raise a TimeoutError of its own, well within its time."""
    raise TimeoutError("mine")


@task(timeout=0.05)
async def ignore_timeout() -> str:
    """Catch the cancellation of its timeout, and return."""
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "ignored"
    return "never"


class PolicyBreakerError(Exception):
    """An error whose class breaks isinstance."""


class BrokenPolicy(RetryPolicy):
    """A policy of the user's that raises."""

    def wait_after(self, attempt: int, error: BaseException, spread: float = 0.0) -> float | None:
        if isinstance(error, KeyError):
            raise SystemExit(9)
        raise ZeroDivisionError("in the policy")


@task(retry=BrokenPolicy(max_attempts=3))
def break_policy(exit_too: bool = False) -> None:
    """Fail under a policy that fails."""
    raise KeyError("x") if exit_too else PolicyBreakerError("x")


not_a_task = 17


def plain_function() -> None:
    """Not a task either."""


@task
async def leave_a_thread_running(seconds: float) -> str:
    """Return, but leave a thread of the loop's default executor asleep."""
    running = asyncio.ensure_future(asyncio.to_thread(time.sleep, seconds))
    leave_something_running_left.append(running)
    await asyncio.sleep(0)
    return "left"


@task
async def block_later(after: float, seconds: float) -> str:
    """Block the event loop, after a while."""
    await asyncio.sleep(after)
    time.sleep(seconds)  # noqa: ASYNC251 - the point
    return "unblocked"


@task(timeout=0.3)
def ignore_timeout_in_python(seconds: float) -> str:
    """Swallow the timeout's exception, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            while time.monotonic() < until:
                time.sleep(0.01)
        except Exception:  # noqa: BLE001, S112 - the point
            continue
    return "not stopped"


@task(timeout=0.3)
def ignore_timeout_in_c(seconds: float) -> str:
    """Be in a call that no exception reaches."""
    time.sleep(seconds)
    return "not stopped"


@task(timeout=0.3, retry=RetryPolicy(max_attempts=2, wait=0))
def spin(tries: int) -> str:
    """Compute for ever."""
    while True:
        tries += 1


@task(timeout=0.3)
async def block_in_python() -> str:
    """Block the event loop in a loop of Python."""
    while True:
        pass


@task(timeout=0.3)
async def block_in_c(seconds: float) -> str:
    """Block the event loop in a call that no exception reaches."""
    time.sleep(seconds)  # noqa: ASYNC251 - the point
    return "unblocked"
