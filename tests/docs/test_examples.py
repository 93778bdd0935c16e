"""Every Python example of README and docs/ runs, and does what the page says.

A page is run from its top to its end, in one database. A block whose first line is a comment with a path
(`# shop/tasks.py`) is that module; other blocks are the page's own. `<!-- check ... -->` holds what must be true then.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import pytest
from asgiref.sync import AsyncSingleThreadContext, async_to_sync
from django.core.management import call_command
from django.db import connection, transaction
from django.test import RequestFactory, override_settings
from procrastinate.contrib.django import app

from queue_tasks import events, tasks
from queue_tasks.checks import check_backend, check_schedules
from queue_tasks.periodic import declared as declared_schedules
from tests.docs.pages import PROJECT, Block, all_pages, blocks, name_of
from tests.waiting import wait_until
from tests.workers import drain, running_worker

WITH_PYTHON = [
    page
    for page in all_pages()
    if any(block.language in ("python", "check") for block in blocks(page)) and page.stem != "quickstart"
]
"""quickstart.md has a test of its own, which does all it says."""


def rows(statement: str) -> list[Any]:
    """The rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def modules_of(page: Path) -> Iterator[types.ModuleType]:
    """The page's own module; afterwards everything its examples made in this process is gone."""
    modules, declared = set(sys.modules), set(tasks.declared)
    stock, periodic = dict(app.tasks), dict(app.periodic_registry.periodic_tasks)
    schedules = list(declared_schedules)
    listening = dict(events._listeners)
    try:
        yield module("_".join(("page", *page.relative_to(PROJECT).with_suffix("").parts)).replace("-", "_"))
    finally:
        for name in set(sys.modules) - modules:
            if getattr(sys.modules[name], "is_example", False):
                del sys.modules[name]
        for name in set(tasks.declared) - declared:
            del tasks.declared[name]
        declared_schedules[:] = schedules
        app.tasks.clear()
        app.tasks.update(stock)
        app.periodic_registry.periodic_tasks.clear()
        app.periodic_registry.periodic_tasks.update(periodic)
        events._listeners.clear()
        events._listeners.update(listening)


def module(name: str) -> types.ModuleType:
    """A module that examples write, with the packages it is in."""
    parent, _, own = name.rpartition(".")
    if name not in sys.modules:
        made = types.ModuleType(name)
        made.__dict__.update(is_example=True, __path__=[])
        sys.modules[name] = made
        if parent:
            setattr(module(parent), own, made)
    return sys.modules[name]


def run_block(page: Path, block: Block, own: types.ModuleType) -> None:
    """Run one block, in its own file if it names one."""
    text = block.text
    first = text.splitlines()[0]
    place = own
    if block.language == "python" and first.startswith("# ") and first.endswith(".py"):
        place = module(first[2:-3].replace("/", "."))
    if django.VERSION < (6, 0):
        text = re.sub(r"^from django\.tasks\b", "from django_tasks", text, flags=re.MULTILINE)
    # Tracebacks then name the page and its line.
    code = compile("\n" * (block.line - 1) + text, str(page), "exec", dont_inherit=True)
    exec(code, place.__dict__)  # noqa: S102 - our own documentation


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_the_examples_of_the_page_run(page: Path, transactional_db: None):
    # asgiref leaves the thread of a loop as long as a logged traceback refers to it, unless told where it ends.
    with AsyncSingleThreadContext(), modules_of(page) as own:
        tools = {
            "asyncio": asyncio,
            "async_to_sync": async_to_sync,
            "call_command": call_command,
            "connection": connection,
            "drain": drain,
            "importlib": importlib,
            "override_settings": override_settings,
            "raises": pytest.raises,
            "request": RequestFactory(),
            "rows": rows,
            "running_worker": running_worker,
            "time": time,
            "transaction": transaction,
            "wait_until": wait_until,
        }
        for block in blocks(page):
            if block.language == "check":
                own.__dict__.update({name: tool for name, tool in tools.items() if name not in own.__dict__})
            if block.language in ("python", "check"):
                run_block(page, block, own)
            check_settings()
            assert check_schedules() == []


def check_settings() -> None:
    """Whatever the examples have put into a settings file passes the system checks."""
    for name, found in list(sys.modules.items()):
        if getattr(found, "is_example", False) and name.endswith("settings"):
            for alias, entry in getattr(found, "TASKS", {}).items():
                if entry["BACKEND"].startswith("queue_tasks."):
                    problems = [
                        problem
                        for problem in check_backend(alias, entry.get("OPTIONS", {}))
                        # What the tests' own settings lack is not the example's fault.
                        if problem.id not in ("queue_tasks.E002", "queue_tasks.W001")
                    ]
                    assert problems == []
