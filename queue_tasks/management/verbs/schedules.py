"""manage.py queue schedules, schedule: look at schedules, and change them without a deploy."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from queue_tasks import bridge, schedules
from queue_tasks.durations import in_one_unit
from queue_tasks.exceptions import QueueTasksError
from queue_tasks.jobs import JobState
from queue_tasks.management.story import shown_args
from queue_tasks.management.terminal import Column, when
from queue_tasks.management.usage import USAGE, whole
from queue_tasks.management.verb import Asked, Verb
from queue_tasks.periodic import All, Schedule
from queue_tasks.schedules import ScheduleLine, TickLine
from queue_tasks.tasks import find_task

SHOWN_NEXT = 5
SHOWN_TICKS = 10
DEEDS = ("add", "pause", "resume", "run", "reset", "remove")


def _add_list_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="only this one")
    parser.add_argument("--next", metavar="N", type=whole, help="preview the next N ticks of each")


def _add_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME")
    deeds = parser.add_mutually_exclusive_group()
    deeds.add_argument("--pause", action="store_true", help="it does not tick until it is resumed")
    deeds.add_argument("--resume", action="store_true", help="it ticks again, from now on")
    deeds.add_argument("--run", action="store_true", help="enqueue its job now")
    deeds.add_argument("--reset", action="store_true", help="take back what was changed here")
    deeds.add_argument("--remove", action="store_true", help="delete it; not while code declares it")
    deeds.add_argument("--add", metavar="TASK", help="add a schedule for a task, by its dotted path")
    rhythm = parser.add_mutually_exclusive_group()
    rhythm.add_argument("--cron", metavar="LINE", help="when it ticks, such as '0 3 * * *'")
    rhythm.add_argument("--every", metavar="SECONDS", type=float, help="the other way")
    parser.add_argument("--timezone", metavar="ZONE", help="such as Europe/Paris")
    parser.add_argument(
        "--args", dest="task_args", metavar="JSON", type=_json(list), default=[], help="with --add: an array"
    )
    parser.add_argument(
        "--kwargs", dest="task_kwargs", metavar="JSON", type=_json(dict), default={}, help="with --add: an object"
    )
    parser.add_argument("--missed", metavar="POLICY", type=_policy, help="with --add: skip, latest or a number")
    parser.add_argument("--overlap", choices=["allow", "skip"], help="with --add")
    parser.add_argument("--jitter", metavar="SECONDS", type=float, help="with --add")


def _json(kind: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {exc}") from exc
        if not isinstance(value, kind):
            raise argparse.ArgumentTypeError(f"{text!r} is not a JSON {'array' if kind is list else 'object'}")
        return value

    return read


def _policy(text: str) -> Any:
    return text if text in ("skip", "latest") else All(whole(text))


def list_schedules(asked: Asked) -> None:
    """List schedules, or preview them."""
    name, count = asked.flags["name"], asked.flags["next"]
    console = asked.console
    lines = _found(asked)
    if asked.flags["json"]:
        console.json_list(_values(line, count or 1) for line in lines)
    elif not lines and not _stock_cells():
        console.say("no schedules. Declare one with @periodic, and start a worker")
    elif count:
        for line in lines:
            console.say(f"{line.name}: {line.in_words}{'' if line.state == 'active' else f', {line.state}'}")
            for tick in line.preview(count):
                console.say(f"  {tick:%Y-%m-%d %H:%M:%S%z}  {when(tick, line.now)}")
    else:
        columns = [
            Column("NAME", shrinks=True),
            Column("TICKS", shrinks=True),
            Column("NEXT"),
            Column("LAST"),
            Column("STATE"),
        ]
        cells = [*map(_cells, lines), *(_stock_cells() if name is None else [])]
        console.table(columns, cells, lambda row, column: _colour(lines[row], column) if row < len(lines) else None)


def _found(asked: Asked) -> list[ScheduleLine]:
    try:
        return schedules.list_schedules(asked.flags["name"], database=asked.database)
    except QueueTasksError as exc:
        raise CommandError(str(exc)) from exc


def tell_or_change(asked: Asked) -> None:
    """Do what the flags say to one schedule; without one, tell all about it."""
    deed = next((name for name in DEEDS if asked.flags[name]), None)
    changes = any(asked.flags[name] is not None for name in ("cron", "every", "timezone"))
    of_add = any(asked.flags[name] for name in ("task_args", "task_kwargs", "missed", "overlap", "jitter"))
    if deed not in (None, "add") and changes:
        raise CommandError(f"--{deed} goes without --cron, --every and --timezone.", returncode=USAGE)
    if deed != "add" and of_add:
        raise CommandError("--args, --kwargs, --missed, --overlap and --jitter go with --add.", returncode=USAGE)
    try:
        if deed is None and not changes:
            _tell(asked)
        else:
            asked.console.say(_done(asked, deed))
    except (QueueTasksError, TypeError, ValueError) as exc:
        raise CommandError(str(exc)) from exc


def _done(asked: Asked, deed: str | None) -> str:
    """Do it; what was done. Raises CommandError when it could not be."""
    name = asked.flags["name"]
    who = f'schedule "{name}"'
    if deed == "run":
        return f"{who}: job {schedules.run_now(name, database=asked.database)} is enqueued"
    if deed == "add":
        _add(asked)
    elif deed is None:
        given = {key: asked.flags[key] for key in ("cron", "every", "timezone")}
        schedules.override(name, **given, database=asked.database)
    else:
        simple: dict[str, tuple[Callable[..., bool], str, str]] = {
            "pause": (schedules.pause, "is paused", "is paused already"),
            "resume": (schedules.resume, "", "is not paused"),
            "reset": (schedules.reset, "", "is as it was declared"),
            "remove": (schedules.remove, "is removed", "is declared in code: take @periodic away, or pause it"),
        }
        act, done, refused = simple[deed]
        if not act(name, database=asked.database):
            raise CommandError(f"{who} {refused}")
        if done:
            return f"{who} {done}"
    (line,) = schedules.list_schedules(name, database=asked.database)
    return f"{who} ticks {line.in_words}{'' if line.state == 'active' else f', but it is {line.state}'}"


def _add(asked: Asked) -> None:
    flags = asked.flags
    optional = {key: flags[key] for key in ("missed", "overlap", "jitter") if flags[key] is not None}
    schedule = Schedule(
        task=find_task(flags["add"]),
        name=flags["name"],
        cron=flags["cron"],
        every=flags["every"],
        timezone=flags["timezone"],
        args=flags["task_args"],
        kwargs=flags["task_kwargs"],
        **optional,
    )
    if schedule.database != asked.database:
        raise CommandError(f"jobs of {flags['add']} live in another database than {asked.database!r}.")
    if not schedules.add(schedule, database=asked.database):
        raise CommandError(f'there is a schedule "{flags["name"]}" already.')


def _tell(asked: Asked) -> None:
    """All about one schedule."""
    (line,) = _found(asked)
    ticks = schedules.list_ticks(line.name, SHOWN_TICKS, database=asked.database)
    if asked.flags["json"]:
        asked.console.json(_values(line, SHOWN_NEXT) | {"history": [schedules.as_dict(tick) for tick in ticks]})
        return
    asked.console.say(
        f"name        {line.name}, {'declared' if line.declared else 'added by an operator'}, {line.state}"
    )
    given = json.dumps(shown_args(line.task_name, line.args))
    asked.console.say(f"task        {line.task_name}, queue {line.queue_name}, arguments {given}")
    asked.console.say(f"ticks       {line.in_words}")
    if line.overridden:
        asked.console.say(f"declared    {line.declared_in_words}; --reset brings it back")
    missed = f"the newest {line.max_missed} make jobs" if line.missed == "all" else line.missed
    asked.console.say(f"policy      missed: {missed}; overlap: {line.overlap}; jitter: {in_one_unit(line.jitter)}")
    _list(asked, "next", [f"{tick:%Y-%m-%d %H:%M:%S%z}  {when(tick, line.now)}" for tick in line.preview(SHOWN_NEXT)])
    _list(asked, "history", [_became(tick, line) for tick in ticks])


def _list(asked: Asked, title: str, lines: Sequence[str]) -> None:
    for number, text in enumerate(lines or ["none"]):
        asked.console.say(f"{title if number == 0 else '':<12}{text}")


def _cells(line: ScheduleLine) -> list[str]:
    upcoming = next(iter(line.preview(1)), None)
    last = "" if line.ran_at is None else f"{when(line.ran_at, line.now)}, {_job_word(line.job_status)}"
    state = line.state + (", overridden" if line.overridden else "")
    return [line.name, line.in_words, when(upcoming, line.now), last, state]


def _stock_cells() -> list[list[str]]:
    """Procrastinate's periodic tasks, which are in code only."""
    now = datetime.now(UTC)
    return [
        [name, f"{cron}, UTC", when(datetime.fromtimestamp(upcoming, UTC), now), "", "procrastinate's"]
        for name, cron, upcoming in bridge.periodic_lines(now.timestamp())
    ]


def _colour(line: ScheduleLine, column: int) -> JobState | None:
    if column == 3 and line.job_status in ("failed", "aborted"):  # noqa: PLR2004 - LAST
        return JobState.FAILED
    if column == 4 and line.state != "active":  # noqa: PLR2004 - STATE
        return JobState.RETRYING
    return None


def _job_word(status: str | None) -> str:
    return {None: "deleted", "todo": "waiting", "doing": "running"}.get(status, status or "")


def _became(tick: TickLine, line: ScheduleLine) -> str:
    at = tick.tick.astimezone(line.zone)
    words = {
        "enqueued": f"job {tick.job_id}, {_job_word(tick.job_status)}",
        "run": f"job {tick.job_id}, {_job_word(tick.job_status)}, run by hand",
        "overlap": "no job: the last one was unfinished",
        "missed": f"missed, and {tick.passed - 1:,} before" if tick.passed > 1 else "missed",
    }
    return f"{at:%Y-%m-%d %H:%M:%S%z}  {words.get(tick.outcome, tick.outcome)}"


def _values(line: ScheduleLine, count: int) -> dict[str, Any]:
    """A schedule as JSON has it."""
    values = schedules.as_dict(line)
    del values["now"], values["next_tick"]
    upcoming: list[datetime] = line.preview(count)
    return values | {
        "args": shown_args(line.task_name, line.args),
        "state": line.state,
        "overridden": line.overridden,
        "in_words": line.in_words,
        "next": upcoming,
    }


VERBS = (
    Verb(
        "schedules",
        "list the schedules: what ticks next, what ran last",
        list_schedules,
        _add_list_arguments,
        lists=True,
    ),
    Verb(
        "schedule",
        "tell all about one schedule, or change, pause, run, add it",
        tell_or_change,
        _add_arguments,
        lists=True,
    ),
)
