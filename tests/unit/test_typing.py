"""What a user's type checker says: the declared function's signature is kept."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

CODE = dedent(
    """
    from datetime import timedelta
    from typing import Any

    from queue_tasks import RetryPolicy, aenqueue_many, enqueue_many, periodic, task

    @task
    def resize(photo_id: int, width: int = 256) -> str: ...

    @periodic(cron="@daily", args=(1,), name="a")
    @periodic(every=timedelta(hours=1), args=(2,), name="b")
    @task
    def again(photo_id: int) -> str: ...

    @task(queue_name="media", priority=10, retry=RetryPolicy(max_attempts=3), lock="photo:{photo_id}", keep=False)
    def heavy(photo_id: int) -> dict[str, int]: ...

    @task
    async def fetch(url: str) -> bytes: ...

    @task(timeout=timedelta(seconds=30), retry=5)
    async def slow(url: str) -> float: ...

    @task(takes_context=True)
    def told(context: Any, photo_id: int) -> bool: ...

    @task(takes_context=True, timeout=5)
    async def told_async(context: Any, photo_id: int) -> bool: ...

    def right() -> None:
        reveal_type(resize.enqueue(1, width=64))  # plain
        reveal_type(resize.enqueue(1).return_value)  # value
        reveal_type(heavy.enqueue(1))  # options
        reveal_type(again.enqueue(1))  # periodic
        reveal_type(fetch.enqueue("x"))  # async
        reveal_type(slow.enqueue("x"))  # async with options
        reveal_type(told.enqueue(1))  # context
        reveal_type(told_async.enqueue(1))  # async context
        reveal_type(resize.using(priority=1, run_after=timedelta(1)).enqueue(1))  # using
        reveal_type(resize.bind(1))  # bind
        reveal_type(resize.call(1))  # call
        reveal_type(resize.get_result("1"))  # get_result
        reveal_type(enqueue_many([resize.bind(1), resize.bind(2)]))  # many
        reveal_type(enqueue_many([resize.bind(1), told.bind(2)]))  # mixed
        reveal_type(resize.enqueue(1).wait(timeout=1))  # wait

    async def right_async() -> None:
        reveal_type(await resize.aenqueue(1))  # aenqueue
        reveal_type(await fetch.acall("x"))  # acall
        reveal_type(await aenqueue_many([fetch.bind("x")]))  # aenqueue_many
        reveal_type(await fetch.enqueue("x").await_result())  # await_result

    def wrong() -> None:
        resize.enqueue("x")  # wrong type
        resize.enqueue()  # missing
        resize.enqueue(1, 2, 3)  # too many
        resize.enqueue(1, height=2)  # unknown name
        resize.bind("x")  # bind wrong type
        fetch.enqueue(1)  # async wrong type
        told.enqueue(None, 1)  # context passed
        told_async.enqueue("x")  # async context wrong type
        heavy.enqueue("x")  # options wrong type
        again.enqueue("x")  # periodic wrong type
        resize.using(colour="red")  # unknown change
        enqueue_many([resize])  # not bound

    @task(colour="red")  # unknown option
    def red() -> None: ...

    @task(executor="gpu")  # wrong option
    def gpu() -> None: ...
    """
)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> dict[str, str]:
    """What mypy says of each line, by the line's closing comment."""
    file = tmp_path_factory.mktemp("typing") / "user_code.py"
    file.write_text(CODE)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--disable-error-code=empty-body"]
    command += ["--config-file", "", str(file)]
    done = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False)
    lines = file.read_text().splitlines()
    found: dict[str, str] = {}
    for path, number, message in re.findall(r"^(.*?):(\d+): (?:error|note): (.*)$", done.stdout, re.MULTILINE):
        if Path(path).name == file.name and "#" in lines[int(number) - 1]:
            found.setdefault(lines[int(number) - 1].rpartition("# ")[2], message)
        else:
            assert Path(path).name != file.name, f"unexpected: {message}"
    assert found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain", "TaskResult[str]"),
        ("value", "str"),
        ("options", "TaskResult[dict[str, int]]"),
        ("periodic", "TaskResult[str]"),
        ("async", "TaskResult[bytes]"),
        ("async with options", "TaskResult[float]"),
        ("context", "TaskResult[bool]"),
        ("async context", "TaskResult[bool]"),
        ("using", "TaskResult[str]"),
        ("bind", "JobSpec[str]"),
        ("call", "str"),
        ("get_result", "TaskResult[str]"),
        ("many", "list[TaskResult[str]]"),
        ("mixed", "list[TaskResult[object]]"),
        ("wait", "TaskResult[str]"),
        ("aenqueue", "TaskResult[str]"),
        ("acall", "bytes"),
        ("aenqueue_many", "list[TaskResult[bytes]]"),
        ("await_result", "TaskResult[bytes]"),
    ],
)
def test_the_type_of_a_result_is_that_of_the_body(verdict, line, expected):
    revealed = re.sub(r"\b(?:builtins|queue_tasks\.\w+)\.", "", verdict[line])
    assert revealed == f'Revealed type is "{expected}"'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wrong type", 'has incompatible type "str"; expected "int"'),
        ("missing", 'Missing positional argument "photo_id"'),
        ("too many", "Too many arguments"),
        ("unknown name", 'Unexpected keyword argument "height"'),
        ("bind wrong type", 'has incompatible type "str"; expected "int"'),
        ("async wrong type", 'has incompatible type "int"; expected "str"'),
        ("context passed", "Too many arguments"),
        ("async context wrong type", 'has incompatible type "str"; expected "int"'),
        ("periodic wrong type", 'has incompatible type "str"; expected "int"'),
        ("options wrong type", 'has incompatible type "str"; expected "int"'),
        ("unknown change", 'Unexpected keyword argument "colour"'),
        ("not bound", "JobSpec"),
        ("unknown option", 'Unexpected keyword argument "colour"'),
        ("wrong option", "No overload variant"),
    ],
)
def test_a_wrong_call_is_a_type_error_in_the_users_editor(verdict, line, expected):
    assert expected in verdict[line]
