"""Declaring schedules: `@periodic` over a task. What is declared here is brought to the database by every worker.

Nothing is judged where it is written, so that a wrong cron line is no import error: `problems` says what is wrong, and
the system checks say it before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast

from django.conf import settings
from django.db import Error

from queue_tasks import compat
from queue_tasks.conf import Options, seconds
from queue_tasks.cron import LONGEST, Timetable, find_zone, parse
from queue_tasks.exceptions import ScheduleInvalid
from queue_tasks.specs import make_spec
from queue_tasks.tasks import adopt

T = TypeVar("T", bound="compat.Task[..., Any]")

MOST_MISSED = 1000
"""Missed ticks that `All` makes up for at the most."""

MAX_NAME_LENGTH = 200
"""Characters of a schedule's name."""


@dataclass(frozen=True, slots=True)
class All:
    """`missed=All(max=100)`: every missed tick makes a job, the newest `max` of them, 1 to 1,000."""

    max: int = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a declaration."""

    check: str
    """The id of the system check that says so."""
    text: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as it is declared."""

    task: compat.Task[..., Any]
    name: str
    cron: str | None = None
    every: timedelta | float | None = None
    timezone: str | None = None
    missed: Literal["skip", "latest"] | All = "latest"
    overlap: Literal["allow", "skip"] = "allow"
    jitter: float | timedelta = 0
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> str | None:
        """The alias of the database its jobs live in; None when the task's backend is not ours."""
        options = getattr(self.task.get_backend(), "settings", None)
        return options.database if isinstance(options, Options) else None

    def timetable(self) -> Timetable:
        """When it ticks. Raises ScheduleInvalid."""
        every = seconds(self.every) if isinstance(self.every, (int, float, timedelta)) else self.every
        return Timetable(self.cron, every, self.timezone or settings.TIME_ZONE)

    def problems(self) -> list[Problem]:
        """What is wrong with it; empty when nothing is. Raises what the database does that its lock asks."""
        found = [*self._timing_problems(), *self._option_problems()]
        try:
            make_spec(adopt(self.task), self.args, self.kwargs)
        except Error:
            # A lock has asked the database, which may answer another time.
            raise
        except Exception as exc:  # noqa: BLE001 - a lock may be any code
            said = isinstance(exc, (TypeError, ValueError))
            text = str(exc) if said else f"its lock raised {type(exc).__name__}: {exc}"
            found.append(Problem("queue_tasks.E012", text, "Give args= and kwargs= that the task takes."))
        return found

    def as_row(self) -> dict[str, Any]:
        """What the database holds of it, by the names of queue_tasks_schedules' columns.

        Raises ScheduleInvalid, TypeError or ValueError.
        """
        problems = self.problems()
        if problems:
            raise ScheduleInvalid(f'schedule "{self.name}": {problems[0].text}')
        spec = make_spec(adopt(self.task), self.args, self.kwargs)
        times = self.timetable()
        return {
            "name": self.name,
            "task_name": spec.task.module_path,
            "queue_name": spec.task.queue_name,
            "priority": int(spec.task.priority),
            "lock": spec.lock,
            "args": spec.arguments,
            "ephemeral": spec.task.keep is False,
            "cron": times.cron,
            "every": times.every,
            "timezone": times.timezone,
            "missed": "all" if isinstance(self.missed, All) else self.missed,
            "max_missed": self.missed.max if isinstance(self.missed, All) else 1,
            "overlap": self.overlap,
            "jitter": seconds(self.jitter),
        }

    def _timing_problems(self) -> Iterator[Problem]:
        try:
            if self.timezone is not None:
                find_zone(self.timezone)
        except ScheduleInvalid as exc:
            yield Problem("queue_tasks.E011", str(exc), "Use a name of the IANA time zone database.")
            return
        try:
            if self.cron is not None:
                parse(self.cron)
            self.timetable()
        except (ScheduleInvalid, TypeError) as exc:
            yield Problem("queue_tasks.E010", str(exc), 'For example cron="0 3 * * *", or every=timedelta(minutes=5).')

    def _option_problems(self) -> Iterator[Problem]:
        expected = ""
        # The fields' types say what is right; here it is found out.
        missed, jitter, name = cast("tuple[Any, Any, Any]", (self.missed, self.jitter, self.name))
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
            expected = f"name={name!r}; expected printable text of 1 to {MAX_NAME_LENGTH} characters."
        elif not isinstance(missed, All) and missed not in ("skip", "latest"):
            expected = f'missed={missed!r}; expected "skip", "latest" or All(max=...).'
        elif isinstance(missed, All) and not _whole(missed.max, MOST_MISSED):
            expected = f"missed={missed!r}; expected a max from 1 to {MOST_MISSED:,}."
        elif self.overlap not in ("allow", "skip"):
            expected = f'overlap={self.overlap!r}; expected "allow" or "skip".'
        elif not isinstance(jitter, (int, float, timedelta)) or not 0 <= seconds(jitter) <= LONGEST:
            expected = f"jitter={jitter!r}; expected 0 or more seconds, or a timedelta."
        if expected:
            yield Problem("queue_tasks.E013", expected, "See docs: reference, periodic.")


def _whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


declared: list[Schedule] = []
"""Every schedule declared in this process, in the order in which their modules were imported."""


def periodic(
    *,
    cron: str | None = None,
    every: timedelta | float | None = None,
    timezone: str | None = None,
    missed: Literal["skip", "latest"] | All = "latest",
    overlap: Literal["allow", "skip"] = "allow",
    jitter: float | timedelta = 0,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Callable[[T], T]:
    """Over a task: enqueue it again and again. May be stacked, each with a `name` of its own.

    cron: five fields, six with the seconds first, or a word such as `@daily`; or every: seconds or a timedelta.
    timezone: an IANA name; None: TIME_ZONE.
    missed: what becomes of ticks at which no worker was there: "skip", "latest" (one job for them), or All(max=N).
    overlap: "skip": no new job while the schedule's last one is unfinished.
    jitter: seconds or a timedelta by which a job starts later, at random.
    args, kwargs: the task's arguments. name: the task's dotted path, unless given.
    What is wrong with them is said by the system checks. Raises TypeError when it is not over a task.
    """

    def declare(task: T) -> T:
        if not isinstance(task, compat.Task):
            raise TypeError(f"@periodic is over {task!r}, which is not a task; write it above @task.")
        path = task.module_path
        # A module that is imported anew declares its functions anew.
        gone = [known for known in declared if known.task.module_path == path and known.task.func is not task.func]
        for known in gone:
            declared.remove(known)
        declared.append(
            Schedule(
                task=task,
                name=path if name is None else name,
                cron=cron,
                every=every,
                timezone=timezone,
                missed=missed,
                overlap=overlap,
                jitter=jitter,
                args=args,
                kwargs={} if kwargs is None else kwargs,
            )
        )
        return task

    return declare


def rows_for(database: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What is declared for a database, as rows, and a sentence for each declaration that is wrong."""
    rows: dict[str, dict[str, Any]] = {}
    wrong = []
    for schedule in declared:
        if schedule.database != database:
            continue
        if schedule.name in rows:
            wrong.append(f'schedule "{schedule.name}" is declared twice; the first one counts.')
            continue
        try:
            rows[schedule.name] = schedule.as_row()
        except (TypeError, ValueError) as exc:
            wrong.append(str(exc))
    return list(rows.values()), wrong
