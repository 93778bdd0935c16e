"""The options of a backend: TASKS[alias]["OPTIONS"], read once into one frozen, checked value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from queue_tasks.exceptions import OptionsInvalid

LONGEST = 1e9
"""Seconds, about 31 years: the longest duration of any kind. Longer ones overflow in Postgres or in a timer."""


SHORTEST_TOKEN = 16
"""Characters; shorter ones can be guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every option has a safe default. Durations are seconds, fractions allowed, or a timedelta."""

    database: str = "default"
    """The alias in DATABASES that the jobs live in."""

    listen_database: str | None = None
    """The alias in DATABASES that leads to the same database without a pooler, for LISTEN; None: `database` does."""

    concurrency: int = 20
    """Jobs a worker process runs at a time; 1 to 1000."""

    heartbeat: float = 2.0
    """Seconds between a worker's signs of life; 0.1 or more."""

    dead_after: float = 30.0
    """Seconds after which a worker without a sign of life is dead, lock or not; more than two heartbeats."""

    poll_interval: float = 5.0
    """Seconds between looks for jobs when no notification comes; 0.05 or more."""

    grace: float = 30.0
    """Seconds running jobs have to end after a worker was asked to stop; 0 or more."""

    keep: timedelta | None = timedelta(days=7)
    """How long a finished job's row stays, unless its task says otherwise; None: for ever. Failed jobs always stay."""

    max_crashes: int = 3
    """Crashes of a worker in the same job after which the job fails; 1 or more."""

    unknown_task_grace: float = 3600.0
    """Seconds a job whose task cannot be imported waits for a worker that can, before it fails; 0 or more."""

    max_argument_bytes: int = 1_048_576
    """The most bytes of JSON a job's arguments may be; 64 to 268,435,455, the most Postgres can hold."""

    max_prefetch: int = 500
    """Jobs a worker may fetch beyond its free slots when its jobs are short; 0 or more."""

    timeout_patience: float = 5.0
    """Seconds a body has to end after its timeout before its thread, or process, is given up; 0.1 to 3600."""

    block_warning: float = 1.0
    """Seconds a task may block the event loop before a warning names it; 0.05 to 3600."""

    statement_timeout: float = 10.0
    """Seconds a worker's own statement may take before it is given up and tried again; 1 to 86,400."""

    metrics_token: str | None = field(default=None, repr=False)
    """What a scraper of the metrics page must know, 16 characters or more; None: it must be logged in."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """The options of a mapping such as OPTIONS. Raises OptionsInvalid with a sentence for each problem."""
        if not isinstance(given, Mapping):
            raise OptionsInvalid([f"OPTIONS is {given!r}; expected a dict of options."])
        known = {field.name for field in fields(cls)}
        problems = []
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f' Did you mean "{near[0]}"?' if near else ""
                problems.append(f'OPTIONS["{name}"] is not an option.{hint} Known: {", ".join(sorted(known))}.')
        values = {name: value for name, value in given.items() if name in known}
        for name, value in values.items():
            problem = _CHECKS[name](value)
            if problem:
                shown = "not fit" if name in _SECRET else repr(value)
                problems.append(f'OPTIONS["{name}"] is {shown}; expected {problem}.')
        if problems:
            raise OptionsInvalid(problems)
        for name in _SECONDS:
            if name in values:
                values[name] = seconds(values[name])
        options = cls(**values)
        if options.dead_after <= 2 * options.heartbeat:
            problem = (
                f'OPTIONS["dead_after"] is {options.dead_after:g}; expected more than two heartbeats '
                f"({2 * options.heartbeat:g} s), or a worker that lives is taken for dead."
            )
            raise OptionsInvalid([problem])
        return options

    @property
    def keep_seconds(self) -> float | None:
        """For how long finished jobs are kept; None: for ever."""
        return None if self.keep is None else self.keep.total_seconds()


def seconds(value: float | timedelta) -> float:
    """A duration in seconds, from seconds or a timedelta."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def queues_problem(queues: Any) -> str | None:
    """What is wrong with a QUEUES setting; None when nothing is."""
    if isinstance(queues, (str, Mapping)) or not isinstance(queues, Iterable):
        return f"is {queues!r}; expected a list of names, [] for any name."
    for name in queues:
        if not isinstance(name, str) or not name:
            return f"has {name!r}; expected names of queues, as text."
    return None


_SECONDS = (
    "heartbeat",
    "dead_after",
    "poll_interval",
    "grace",
    "unknown_task_grace",
    "timeout_patience",
    "block_warning",
    "statement_timeout",
)


_SECRET = ("metrics_token",)


Check = Callable[[Any], str | None]
"""Judges an option's value: None when it is right, else what was expected."""


def _at_least(low: float, high: float = LONGEST) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
            # Compared as it is: a whole number may be too big for a float.
            length = value.total_seconds() if isinstance(value, timedelta) else value
            if low <= length <= high:
                return None
        limit = f"{low:g} or more" if high == LONGEST else f"{low:g} to {high:,.0f}"
        return f"{limit} seconds, or a timedelta"

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"a whole number from {low:,} to {high:,}"

    return check


def _name(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "an alias of DATABASES, as text"


def _name_or_none(value: Any) -> str | None:
    return None if value is None or not _name(value) else "an alias of DATABASES, as text, or None"


def _keep(value: Any) -> str | None:
    if value is None or (isinstance(value, timedelta) and 0 <= value.total_seconds() <= LONGEST):
        return None
    return "a timedelta of 0 or more, or None to keep finished jobs for ever"


def _token(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and len(value) >= SHORTEST_TOKEN and value == value.strip()):
        return None
    return f"None, or {SHORTEST_TOKEN} characters or more"


_CHECKS: dict[str, Check] = {
    "database": _name,
    "listen_database": _name_or_none,
    "concurrency": _whole(1, 1000),
    "heartbeat": _at_least(0.1),
    "dead_after": _at_least(0.2),
    "poll_interval": _at_least(0.05),
    "grace": _at_least(0),
    "keep": _keep,
    "max_crashes": _whole(1, 1_000_000),
    "unknown_task_grace": _at_least(0),
    "max_argument_bytes": _whole(64, 268_435_455),
    "max_prefetch": _whole(0, 100_000),
    "timeout_patience": _at_least(0.1, 3600),
    "block_warning": _at_least(0.05, 3600),
    "statement_timeout": _at_least(1, 86_400),
    "metrics_token": _token,
}
