"""The setting QUEUE_TASKS_DASHBOARD, read into one frozen, checked value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest

from queue_tasks.backend import PostgresBackend
from queue_tasks.compat import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from queue_tasks.tasks import declared

SETTING = "QUEUE_TASKS_DASHBOARD"

SECRET_WORDS = (
    *("password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey", "authorization"),
    *("cookie", "session", "credential", "signature", "cardnumber", "cvv", "iban", "ssn"),
)
"""Parts of the names of arguments whose values are never shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Every one has a safe default."""

    backend: str | None = None
    """The entry of TASKS to show; None: "default", or the only one that is ours."""

    redact: Sequence[str] = SECRET_WORDS
    """An argument, or a key within one, whose name has one of these in it is not shown; case, `_`, `-` do not count."""

    visible_queues: Callable[[HttpRequest], Iterable[str] | None] | str | None = None
    """Gives the queues that a visitor may see, of his request, or None for all; a callable, or its dotted path."""

    page_size: int = 50
    """Jobs on a page; 1 to 500."""

    statement_timeout: float = 2.0
    """Seconds that one statement of a page may take; 0.01 to 60."""

    refresh: int = 5
    """Seconds between looks of an open page that is not told of changes; 1 or more."""

    live_pages: int = 100
    """Open pages that one process tells of changes; 0 or more. The others look every `refresh` seconds."""

    def hides(self, name: str) -> bool:
        """Whether values of this name are not shown."""
        plain = _plain(name)
        return any(_plain(word) in plain for word in self.redact)


def hides_of(task_name: str) -> Callable[[str], bool]:
    """Whether a task's values of a name are not shown: by the words of the preferences, or by the task's `redact`."""
    task = declared.get(task_name)
    own = frozenset() if task is None else frozenset(map(_plain, task.redact))
    hides = preferences().hides
    # Of `*cards`, cards[0] and the others.
    return (lambda name: _plain(name.partition("[")[0]) in own or hides(name)) if own else hides


def is_hidden_somewhere(name: str) -> bool:
    """Whether arguments of this name are not shown of any task, or of one: then nobody may look for their values."""
    if preferences().hides(name):
        return True
    return any(_plain(name) == _plain(own) for task in list(declared.values()) for own in task.redact)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


@cache
def preferences() -> Preferences:
    """The setting as it is. Raises ImproperlyConfigured, naming what is wrong."""
    given = getattr(settings, SETTING, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{SETTING} is {given!r}; expected a dictionary.")
    known = [field.name for field in fields(Preferences)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f' Did you mean "{near[0]}"?' if near else f" Known: {', '.join(known)}."
            raise ImproperlyConfigured(f"{SETTING} has {name!r}, which is no preference.{hint}")
    problems = _problems(given)
    if problems:
        raise ImproperlyConfigured(f"{SETTING}: {'; '.join(problems)}.")
    return Preferences(**given)


def _problems(given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values, in words."""
    values: dict[str, Any] = {field.name: given.get(field.name, field.default) for field in fields(Preferences)}
    numbers = (int, float)
    expected = {
        "backend": "an entry of TASKS, or None",
        "redact": "a list of words",
        "visible_queues": "a callable that takes a request, its dotted path, or None",
        "page_size": "a whole number from 1 to 500",
        "statement_timeout": "0.01 to 60 seconds",
        "refresh": "a whole number of seconds, 1 or more",
        "live_pages": "a whole number, 0 or more",
    }
    redact = values["redact"]
    right = {
        "backend": values["backend"] is None or isinstance(values["backend"], str),
        "redact": isinstance(redact, (list, tuple)) and all(isinstance(word, str) and _plain(word) for word in redact),
        "visible_queues": values["visible_queues"] is None
        or callable(values["visible_queues"])
        or (isinstance(values["visible_queues"], str) and "." in values["visible_queues"]),
        "page_size": isinstance(values["page_size"], int) and 1 <= values["page_size"] <= 500,  # noqa: PLR2004 - in words above
        "statement_timeout": isinstance(values["statement_timeout"], numbers)
        and 0.01 <= values["statement_timeout"] <= 60,  # noqa: PLR2004 - the same
        "refresh": isinstance(values["refresh"], int) and values["refresh"] >= 1,
        "live_pages": isinstance(values["live_pages"], int) and values["live_pages"] >= 0,
    }
    return [f"{name} is {values[name]!r}; expected {expected[name]}" for name, fine in right.items() if not fine]


def _forget(*, setting: str, **_: Any) -> None:
    if setting == SETTING:
        preferences.cache_clear()


setting_changed.connect(_forget, dispatch_uid="queue_tasks.dashboard.preferences")


def backend() -> PostgresBackend:
    """The entry of TASKS that the dashboard shows. Raises ImproperlyConfigured when it is none of ours."""
    alias = preferences().backend
    if alias is None:
        ours = [name for name in task_backends.settings if isinstance(task_backends[name], PostgresBackend)]
        alias = ours[0] if len(ours) == 1 else DEFAULT_TASK_BACKEND_ALIAS
    found = task_backends[alias] if alias in task_backends.settings else None
    if not isinstance(found, PostgresBackend):
        raise ImproperlyConfigured(
            f'The dashboard shows TASKS["{alias}"], which is not a queue_tasks.backend.PostgresBackend. '
            f'Name one that is: {SETTING} = {{"backend": ...}}'
        )
    return found


def database_alias() -> str:
    """The entry of DATABASES whose jobs are shown."""
    return backend().settings.database
