"""manage.py queue pause, resume, limit, quiet, stop: what an operator decides about queues and workers."""

from __future__ import annotations

import argparse
import getpass
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from queue_tasks import control, overview
from queue_tasks.durations import in_words
from queue_tasks.exceptions import ControlInvalid
from queue_tasks.management.usage import USAGE, whole
from queue_tasks.overview import QueueControl, WorkerLine

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit of --until."""

LONGEST = 36_500 * 86_400
"""Seconds of the longest pause that has an end."""


def add_control_arguments(made: Mapping[str, CommandParser]) -> None:
    """What the five verbs understand."""
    for verb in ("pause", "resume", "limit"):
        made[verb].add_argument("name", metavar="NAME", help="of a queue, also of one that has had no job yet")
    made["pause"].add_argument(
        "--until", metavar="TIME", type=_until, help="30m, 2h, 1d from now, or a time such as 2030-01-31T06:00"
    )
    made["limit"].add_argument("concurrency", metavar="N|none", type=_number, help="jobs that may run at once")
    for verb in ("quiet", "stop"):
        made[verb].add_argument("ids", metavar="ID", type=whole, nargs="+", help="of a worker: see queue workers")
    made["quiet"].add_argument("--undo", action="store_true", help="have it fetch again")


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


def _number(text: str) -> int | None:
    return None if text == "none" else whole(text)


def gate(found: QueueControl | None) -> str:
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


class ControlVerbs:
    """The part of the command that is about what an operator decides."""

    flags: Mapping[str, Any]

    if TYPE_CHECKING:

        @property
        def database(self) -> str:
            """See the command."""

        def _say(self, line: str) -> None: ...

    def pause(self) -> None:
        """Pause a queue."""
        name, until = self.flags["name"], self.flags["until"]
        self._control(lambda: control.pause_queue(name, until, by=_operator(), database=self.database))
        end = "until it is resumed"
        if isinstance(until, timedelta):
            end = f"for {in_words(until.total_seconds())}"
        elif until is not None:
            end = f"until {until:%Y-%m-%d %H:%M:%S %Z}"
        self._say(f"queue {name}: paused {end}; what runs goes on")

    def resume(self) -> None:
        """Resume a queue."""
        name = self.flags["name"]
        if not self._control(lambda: control.resume_queue(name, database=self.database)):
            raise CommandError(f"queue {name} is not paused")
        self._say(f"queue {name}: resumed")

    def limit(self) -> None:
        """Limit how much of a queue runs."""
        name, number = self.flags["name"], self.flags["concurrency"]
        self._control(lambda: control.limit_queue(name, number, by=_operator(), database=self.database))
        text = "no limit" if number is None else f"at most {number:,} of its jobs run at once, on all workers together"
        self._say(f"queue {name}: {text}")

    def _control(self, act: Any) -> Any:
        try:
            return act()
        except ControlInvalid as exc:
            raise CommandError(str(exc), returncode=USAGE) from exc

    def quiet(self) -> None:
        """Have workers fetch nothing more, or again."""
        if self.flags["undo"]:
            self._tell_workers(control.resume_worker, "told to fetch again")
        else:
            self._tell_workers(control.quiet_worker, "told to fetch nothing more; what runs goes on")

    def stop(self) -> None:
        """End workers in order."""
        self._tell_workers(control.stop_worker, "told to stop; running jobs have its time of grace")

    def _tell_workers(self, tell: Any, done: str) -> None:
        """Say for each worker that it was told, or why it could not be. Raises CommandError when any could not."""
        problems = []
        for worker_id in dict.fromkeys(self.flags["ids"]):
            if tell(worker_id, database=self.database):
                self._say(f"worker {worker_id}: {done}")
            else:
                lines = overview.list_workers(database=self.database)
                problems.append(f"worker {worker_id} was not told: {_why_not(worker_id, lines)}")
        if problems:
            raise CommandError("\n".join(problems))


def _why_not(worker_id: int, lines: Sequence[WorkerLine]) -> str:
    line = next((line for line in lines if line.id == worker_id), None)
    if line is None:
        return "there is none; to see them: manage.py queue workers"
    if line.name is None:
        return "it is a stock procrastinate worker, which cannot be told; end it by a signal"
    return "it is stopping already"


def _operator() -> str:
    try:
        return f"{getpass.getuser()}, by manage.py"
    except (KeyError, OSError, ImportError):
        return "manage.py"
