"""manage.py queue queues, pause, resume, limit: what waits in each queue, and what an operator decides about it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from queue_tasks import control, overview
from queue_tasks.durations import in_one_unit, in_words
from queue_tasks.exceptions import ControlInvalid
from queue_tasks.management.terminal import Column
from queue_tasks.management.usage import USAGE, operator, whole
from queue_tasks.management.verb import Asked, Verb
from queue_tasks.overview import QueueControl

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit of --until."""

LONGEST = 36_500 * 86_400
"""Seconds of the longest pause that has an end."""


def list_queues(asked: Asked) -> None:
    """Count the jobs of each queue."""
    controls = overview.list_controls(database=asked.database)
    declared = sorted({*asked.backend.queues, *controls})
    lines = overview.count_queues(declared=declared, database=asked.database)
    if asked.flags["json"]:
        none = QueueControl("")
        asked.console.json_list(
            overview.as_dict(controls.get(line.name, none)) | overview.as_dict(line) for line in lines
        )
        return
    if not lines:
        asked.console.say("no queues: no job waits, runs or failed")
        return
    numbers = ("READY", "SCHEDULED", "RETRYING", "PARKED", "RUNNING", "FAILED")
    columns = [
        Column("QUEUE", shrinks=True),
        *(Column(title, right=True) for title in numbers),
        Column("OLDEST"),
        Column("STATE"),
    ]
    rows = [
        [
            line.name,
            *(f"{getattr(line, title.lower()):,}" for title in numbers),
            "" if line.oldest_ready is None else in_one_unit(line.oldest_ready),
            _gate(controls.get(line.name)),
        ]
        for line in lines
    ]
    asked.console.table(columns, rows)


def _gate(found: QueueControl | None) -> str:
    """A queue's state for people: open, paused, limit."""
    if found is None:
        return "open"
    words = []
    if found.paused:
        left = "" if found.resumes_in is None else f" for {in_words(found.resumes_in)}"
        words.append(f"paused{left}")
    if found.concurrency is not None:
        words.append(f"limit {found.concurrency:,}")
    return ", ".join(words)


def _add_name(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a queue, also of one that has had no job yet")


def _add_pause_arguments(parser: CommandParser) -> None:
    _add_name(parser)
    parser.add_argument(
        "--until", metavar="TIME", type=_until, help="30m, 2h, 1d from now, or a time such as 2030-01-31T06:00"
    )


def _until(text: str) -> datetime | timedelta:
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if found and (seconds := int(found[1]) * UNITS[found[2]]) <= LONGEST:
        return timedelta(seconds=seconds)
    try:
        time = parse_datetime(text)
        if time is not None:
            return time if time.utcoffset() is not None else timezone.make_aware(time)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a number and a unit (30m, 2h, 1d) nor a time such as 2030-01-31T06:00"
    )


def pause(asked: Asked) -> None:
    """Pause a queue."""
    name, until = asked.flags["name"], asked.flags["until"]
    _decide(lambda: control.pause_queue(name, until, by=operator(), database=asked.database))
    end = "until it is resumed"
    if isinstance(until, timedelta):
        end = f"for {in_words(until.total_seconds())}"
    elif until is not None:
        end = f"until {until:%Y-%m-%d %H:%M:%S %Z}"
    asked.console.say(f"queue {name}: paused {end}; what runs goes on")


def resume(asked: Asked) -> None:
    """Resume a queue."""
    name = asked.flags["name"]
    if not _decide(lambda: control.resume_queue(name, database=asked.database)):
        raise CommandError(f"queue {name} is not paused")
    asked.console.say(f"queue {name}: resumed")


def _add_limit_arguments(parser: CommandParser) -> None:
    _add_name(parser)
    parser.add_argument("concurrency", metavar="N|none", type=_number, help="jobs that may run at once")


def _number(text: str) -> int | None:
    return None if text == "none" else whole(text)


def limit(asked: Asked) -> None:
    """Limit how much of a queue runs."""
    name, number = asked.flags["name"], asked.flags["concurrency"]
    _decide(lambda: control.limit_queue(name, number, by=operator(), database=asked.database))
    text = "no limit" if number is None else f"at most {number:,} of its jobs run at once, on all workers together"
    asked.console.say(f"queue {name}: {text}")


def _decide(act: Callable[[], object]) -> object:
    try:
        return act()
    except ControlInvalid as exc:
        raise CommandError(str(exc), returncode=USAGE) from exc


VERBS = (
    Verb("queues", "count the jobs of each queue; see which are paused or limited", list_queues, lists=True),
    Verb("pause", "have no worker fetch jobs of a queue", pause, _add_pause_arguments),
    Verb("resume", "have workers fetch jobs of a queue again", resume, _add_name),
    Verb("limit", "limit how many jobs of a queue run at once, on all workers together", limit, _add_limit_arguments),
)
