"""Whose code a frame is of, and which failures are alike."""

from __future__ import annotations

import json
import re
from functools import partial
from types import ModuleType
from typing import Any

import django
import pytest

from queue_tasks import frames


def theirs(filename: str, name: str | None) -> Any:
    """A function of another file: it calls what it is given."""
    module = ModuleType("")
    module.__dict__["__name__"] = name
    exec(compile("def call(body):\n    return body()\n", filename, "exec"), module.__dict__)  # noqa: S102 - the point
    return module.call


def place(body: Any, home: str = "shop") -> str:
    try:
        body()
    except ValueError as exc:
        return frames.place_of(exc.__traceback__, home)
    raise AssertionError("it does not fail")


def test_an_exception_is_named_by_where_its_class_is_whatever_its_class_is() -> None:
    class UnnamedMeta(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]
            raise LookupError

    class UnnamedError(Exception, metaclass=UnnamedMeta):
        pass

    assert frames.path_of(json.JSONDecodeError) == "json.decoder.JSONDecodeError"
    assert frames.path_of(UnnamedError) == "builtins.BaseException"


@pytest.mark.parametrize(
    ("filename", "library"),
    [
        (__file__, False),
        ("/app/shop/tasks.py", False),
        ("C:\\app\\shop\\tasks.py", False),
        (json.__file__, True),
        (django.__file__, True),
        (frames.__file__, True),
        ("/elsewhere/lib/python3.12/asyncio/tasks.py", True),
        ("C:\\venv\\Lib\\site-packages\\requests\\api.py", True),
        ("/usr/lib/python3/dist-packages/requests/api.py", True),
        ("<frozen importlib._bootstrap>", True),
        ("<string>", True),
    ],
)
def test_whose_a_file_is(filename: str, library: bool) -> None:
    assert frames.is_library(filename) == library


def test_the_place_is_the_innermost_function_of_the_user() -> None:
    fails = partial(json.loads, "{")
    own, library = theirs("/app/shop/inner.py", "shop.inner"), theirs("/x/site-packages/retrying.py", "retrying")
    assert place(fails) == f"{__name__}.place"
    assert place(partial(own, fails)) == "shop.inner.call"
    assert place(partial(library, partial(own, fails))) == "shop.inner.call"
    assert place(partial(own, partial(library, fails))) == "shop.inner.call"


def test_the_package_of_the_task_is_the_users_also_where_it_is_installed() -> None:
    fails = partial(theirs("/x/site-packages/shop/tasks.py", "shop.tasks"), partial(json.loads, "{"))
    assert place(fails, home="shop") == "shop.tasks.call"
    assert place(fails, home="elsewhere") == f"{__name__}.place"


def test_there_may_be_no_place_and_a_name_that_is_none() -> None:
    assert frames.place_of(None, "shop") == ""
    assert place(partial(theirs("/app/x.py", None), partial(json.loads, "{"))) == "?.call"


def test_a_fingerprint_is_of_class_and_place() -> None:
    one = frames.fingerprint("builtins.ValueError", "shop.tasks.resize")
    assert re.fullmatch("[0-9a-f]{12}", one)
    assert one == frames.fingerprint("builtins.ValueError", "shop.tasks.resize")
    assert one != frames.fingerprint("builtins.KeyError", "shop.tasks.resize")
    assert one != frames.fingerprint("builtins.ValueError", "shop.tasks.shrink")
    assert frames.fingerprint("lone \ud800", "surrogate")
