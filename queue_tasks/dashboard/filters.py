"""The grammar in which an operator asks for jobs: `task:resize status:failed since:1h args.photo_id:7`.

In: text. Out: a value whose fields become parameters of one statement, or an error that says what is wrong. No SQL.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from queue_tasks.jobs import JobState

MAX_LENGTH = 1000
"""Characters of a filter."""

MAX_ARGUMENTS = 5
"""Arguments that one filter may name."""

BIGINT = 2**63

KEYS = ("id", "task", "queue", "status", "worker", "lock", "since", "error", "fingerprint", "args.NAME")
"""What may stand before a colon."""

STATES = ("ready", "running", "retrying", "scheduled", "parked", "failed", "succeeded", "cancelled", "aborted")
"""The states, in the order in which an operator wants them."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit of `since`."""

LONGEST_SINCE = 36_500 * 86_400
"""Seconds that `since` goes back at the most: the database's calendar has a beginning."""

_TOKEN = re.compile(r'\s*(?:(?P<key>[^\s:"]+):)?(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]+)(?=\s|$)', re.DOTALL)


class FilterInvalid(ValueError):  # noqa: N818 - read as a sentence, as the library's other errors
    """A filter that cannot be understood; its text says what was found and what is expected."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What was asked for; None and empty: anything."""

    ids: tuple[int, ...] = ()
    task: str | None = None
    """A dotted path, or the end of one."""
    queue: str | None = None
    states: tuple[JobState, ...] = ()
    worker: int | None = None
    lock: str | None = None
    since: timedelta | None = None
    """Enqueued within this time."""
    error: str | None = None
    """A part of the latest error's class or message."""
    fingerprint: str | None = None
    """What the latest error has in common with others of its kind."""
    args: tuple[tuple[str, str], ...] = field(default=())
    """Name and text of arguments."""

    @property
    def looks_into_arguments(self) -> bool:
        """Whether the answer tells something of arguments."""
        return bool(self.args)

    def __str__(self) -> str:
        """The filter as text again, in one order."""
        parts = [f"id:{','.join(map(str, self.ids))}"] if self.ids else []
        parts += [f"task:{_quoted(self.task)}"] if self.task is not None else []
        parts += [f"queue:{_quoted(self.queue)}"] if self.queue is not None else []
        parts += [f"status:{','.join(self.states)}"] if self.states else []
        parts += [f"worker:{self.worker}"] if self.worker is not None else []
        parts += [f"lock:{_quoted(self.lock)}"] if self.lock is not None else []
        parts += [f"since:{round(self.since.total_seconds())}s"] if self.since is not None else []
        parts += [f"error:{_quoted(self.error)}"] if self.error is not None else []
        parts += [f"fingerprint:{_quoted(self.fingerprint)}"] if self.fingerprint is not None else []
        parts += [f"args.{name}:{_quoted(text)}" for name, text in self.args]
        return " ".join(parts)

    def with_states(self, *states: JobState) -> JobFilter:
        """The same of other states."""
        return replace(self, states=states)


def parse(text: str) -> JobFilter:
    """Read a filter. Raises FilterInvalid."""
    if len(text) > MAX_LENGTH:
        raise FilterInvalid(f"The filter has {len(text):,} characters; at most {MAX_LENGTH:,} are read.")
    if "\x00" in text:
        raise FilterInvalid("The filter has a NUL character, which no job can have.")
    found = JobFilter()
    seen = set()
    for key, value in _tokens(text):
        if key in seen:
            raise FilterInvalid(f"{key}: stands twice; once is enough. Several states: status:failed,aborted")
        seen.add(key)
        found = _with(found, key, value)
    return found


def _with(found: JobFilter, key: str, value: str) -> JobFilter:  # noqa: C901, PLR0911 - one branch for each key
    if key.startswith("args."):
        name = key.removeprefix("args.")
        if not name:
            raise FilterInvalid("args. needs a name: args.photo_id:7")
        if len(found.args) == MAX_ARGUMENTS:
            raise FilterInvalid(f"More than {MAX_ARGUMENTS} arguments are named; leave some out.")
        return replace(found, args=(*found.args, (name, value)))
    match key:
        case "id":
            return replace(found, ids=tuple(_whole(key, one) for one in value.split(",")))
        case "task":
            return replace(found, task=value)
        case "queue":
            return replace(found, queue=value)
        case "status":
            return replace(found, states=tuple(dict.fromkeys(_state(word) for word in value.split(","))))
        case "worker":
            return replace(found, worker=_whole(key, value))
        case "lock":
            return replace(found, lock=value)
        case "since":
            return replace(found, since=_duration(value))
        case "error":
            return replace(found, error=value)
        case "fingerprint":
            return replace(found, fingerprint=value)
    near = difflib.get_close_matches(key, KEYS, 1)
    hint = f' Did you mean "{near[0]}:"?' if near else f" Known: {', '.join(f'{known}:' for known in KEYS)}."
    raise FilterInvalid(f'"{key}:" is not a key.{hint}')


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        token = _TOKEN.match(text, place, end)
        if token is None:
            raise FilterInvalid(
                f'Not understood from here on: "{text[place:end].strip()[:60]}". A quote without its end?'
            )
        key, value = token["key"], token["value"]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
        elif key is None and value.endswith(":"):
            raise FilterInvalid(f'"{value}" has nothing behind its colon. Text with spaces: lock:"two words"')
        if key is None:
            if not value.isascii() or not value.isdigit():
                raise FilterInvalid(f'"{value[:60]}" has no key. Write task:{value[:60]}, or error:{value[:60]}')
            key = "id"
        yield key, value
        place = token.end()


def _whole(key: str, value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 20 and int(value) < BIGINT:  # noqa: PLR2004 - digits of BIGINT
        return int(value)
    raise FilterInvalid(f'{key}: is "{value[:60]}"; expected a whole number.')


def _state(word: str) -> JobState:
    try:
        return JobState(word)
    except ValueError:
        raise FilterInvalid(
            f'status: is "{word[:60]}"; expected one or more of {", ".join(JobState)}, with commas between.'
        ) from None


def _duration(value: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    if not found:
        raise FilterInvalid(f'since: is "{value[:60]}"; expected a number and a unit: 30s, 15m, 1h, 7d, 2w.')
    seconds = int(found[1]) * UNITS[found[2]]
    if seconds > LONGEST_SINCE:
        raise FilterInvalid(f'since: is "{value}"; expected at most a hundred years. Without it, no job is too old.')
    return timedelta(seconds=seconds)


def _quoted(value: str) -> str:
    if value and not re.search(r'[\s"\\]', value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
