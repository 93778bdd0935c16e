"""When schedules tick: cron lines and fixed intervals, in any time zone. Pure values: no database, no Django.

A timetable is a set of instants that depends on nothing but its line and its zone, so it never matters where one starts
counting. `cronsim` reads the line and walks the wall clock; what a wall clock's time means when clocks are moved is
decided here:

fixed times  `0 3 * * *`: each time on the wall clock is one tick. Where clocks go forward over it, the tick is the
             first instant after the gap; where they go back, the first of the two.
intervals    `*/15 * * * *`: every instant at which the wall clock matches. Nothing is made up for a gap, and the hour
             that comes twice ticks twice. A line is an interval when its seconds or minutes begin with `*`, or when it
             ticks in every hour; all others are fixed times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from queue_tasks.exceptions import ScheduleInvalid

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The lines that have a name."""

EXPECTED = {
    "second": "0 to 59",
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L for the last, LW for the last weekday, and a day that one of the months has",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT, 5L for the last Friday, 1#2 for the second Monday",
}
"""What each field of a line may be, besides `*`, ranges, lists and steps."""

SHORTEST = 1.0
"""Seconds `every` is at the least."""

LONGEST = 366 * 86_400.0
"""Seconds `every` is at the most."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where intervals of `every` are counted from."""

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
FIELDS = 6
FIRST_WINDOW = timedelta(minutes=1)
"""How far back the newest ticks are first looked for; further and further when there are too few."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A line that was read: six fields, and whether it is an interval."""

    line: str
    """As cronsim takes it."""
    interval: bool


def parse(cron: str) -> Cron:
    """Read a cron line: five fields, six with the seconds first, or a word such as `@daily`.

    Raises ScheduleInvalid that says which field is wrong and what was expected.
    """
    if not isinstance(cron, str):
        raise ScheduleInvalid(f"cron={cron!r}; expected a line of text such as '0 3 * * *'.")
    return _parse(cron)


@lru_cache(maxsize=1024)
def _parse(cron: str) -> Cron:
    text = cron.strip()
    if text.startswith("@"):
        if text.lower() not in WORDS:
            raise ScheduleInvalid(f"cron={cron!r}; the words are: {', '.join(WORDS)}.")
        text = WORDS[text.lower()]
    parts = text.split()
    if len(parts) not in (FIELDS - 1, FIELDS):
        raise ScheduleInvalid(
            f"cron={cron!r} has {len(parts)} fields; expected 5 (minute, hour, day of month, month, day of week), "
            "or 6 with the seconds first."
        )
    try:
        found = CronSim(text, datetime(2024, 1, 1))  # noqa: DTZ001 - any time of a wall clock will do
    except CronSimError as exc:
        field = str(exc).removeprefix("Bad ").lower()
        raise ScheduleInvalid(
            f"cron={cron!r}: the field {field} is wrong; expected {EXPECTED.get(field, 'another')}; * for all, "
            "and ranges (1-5), lists (1,3) and steps (*/2) of these."
        ) from exc
    if next(found, None) is None:
        raise ScheduleInvalid(f"cron={cron!r} never comes: no day of the next fifty years is like that.")
    second, minute = (["0", *parts] if len(parts) < FIELDS else parts)[:2]
    frequent = second.startswith("*") or minute.startswith("*") or len(found.hours) == len(range(24))
    return Cron(text, frequent)


def find_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises ScheduleInvalid."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as exc:
        raise ScheduleInvalid(
            f"timezone={name!r} is not known here; expected an IANA name such as 'Europe/Paris'. If it is right, this "
            "machine lacks the zones: pip install tzdata."
        ) from exc


def next_times(cron: str, timezone: str, after: datetime, count: int = 1) -> list[datetime]:
    """The next `count` times of a cron line after an aware datetime, as aware datetimes of that zone.

    Raises ScheduleInvalid, or ValueError when `after` is naive.
    """
    zone = find_zone(timezone)
    return [tick.astimezone(zone) for tick in Timetable(cron, None, timezone).preview(after, count)]


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a schedule ticks: by a cron line in a time zone, or every so many seconds, counted from 1970 in UTC.

    Raises ScheduleInvalid when it is made of what cannot be.
    """

    cron: str | None
    every: float | None
    """Seconds; the other way."""
    timezone: str

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.every is None):
            raise ScheduleInvalid(f"cron={self.cron!r} and every={self.every!r}; expected one of the two.")
        if self.cron is not None:
            parse(self.cron)
        elif not isinstance(self.every, (int, float)) or not SHORTEST <= self.every <= LONGEST:
            raise ScheduleInvalid(f"every={self.every!r}; expected a timedelta, or 1 to {LONGEST:,.0f} seconds.")
        find_zone(self.timezone)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return find_zone(self.timezone)

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """The ticks after an aware datetime, in UTC, without end (but for that of the calendar)."""
        if after.utcoffset() is None:
            raise ValueError(f"after={after!r} is naive; expected an aware datetime.")
        start = after.astimezone(UTC)
        if self.every is not None:
            return _every(timedelta(seconds=self.every), start)
        assert self.cron is not None
        cron = parse(self.cron)
        return (_intervals if cron.interval else _fixed_times)(cron.line, self.zone, start)

    def preview(self, after: datetime, count: int) -> list[datetime]:
        """The next `count` ticks, in UTC."""
        return list(islice(self.ticks(after), count))

    def newest(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """The newest `count` ticks after one time and up to another, oldest first; the work grows with `count` only."""
        window = FIRST_WINDOW
        while True:
            start = max(after, until - window)
            found = list(takewhile(lambda tick: tick <= until, self.ticks(start)))
            if start == after or len(found) >= count:
                return found[-count:]
            window *= 4

    def in_words(self) -> str:
        """For people: "at 03:00 every day, Europe/Paris"."""
        if self.every is not None:
            return f"every {_length(self.every)}"
        assert self.cron is not None
        from cronsim.explain import explain  # noqa: PLC0415 - only people are told, and no worker has to hold it

        text = explain(parse(self.cron).line)
        return f"{text[0].lower()}{text[1:]}, {self.timezone}"


def _length(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0:
            number = int(seconds // length)
            return f"{number} {unit}s" if number > 1 else unit
    return f"{seconds:g} seconds" if seconds != 1 else "second"


# ---------------------------------------------------------------------------------------------- from wall clock to time


def _every(step: timedelta, after: datetime) -> Iterator[datetime]:
    tick = EPOCH + ((after - EPOCH) // step + 1) * step
    while True:
        yield tick
        tick += step


def _fixed_times(line: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """One tick for each time on the wall clock; times that fall into one gap are one tick."""
    for local in CronSim(line, _wall(after, zone)):
        tick = _first_instant(local, zone)
        if tick > after:
            yield tick
            after = tick


def _intervals(line: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Every instant at which the wall clock matches, one stretch of unmoved clocks after the other."""
    wall = _wall(after, zone)
    while True:
        offset = _offset(after, zone)
        for local in CronSim(line, wall):
            tick = local.replace(tzinfo=UTC) - offset
            moved = _clocks_moved(after, tick, zone)
            if moved is not None:
                # From there on the same line on another clock; the instant itself may be a tick.
                after, wall = moved, _wall(moved, zone) - SECOND
                break
            yield tick
            after = tick
        else:
            return


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the wall clock shows, to the second."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the wall clock shows this time, or, if it never does, at which it has passed it."""
    aware = local.replace(tzinfo=zone)
    instant = aware.astimezone(UTC)
    if _wall(instant, zone) == local:
        return instant
    # In a gap, fold=0 means the clock as it was before, and so an instant after; fold=1 the other way round.
    before = aware.replace(fold=1).astimezone(UTC)
    return _change_between(before, instant, zone)


def _clocks_moved(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after one and up to another at which clocks are moved; no zone moves them twice in a day."""
    offset = _offset(after, zone)
    while after < until:
        step = min(until, after + DAY)
        if _offset(step, zone) != offset:
            return _change_between(after, step, zone)
        after = step
    return None


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant, a whole second, at which the offset became what it is at `after`."""
    offset = _offset(after, zone)
    low, high = 0, -((before - after) // SECOND)
    base = after - high * SECOND
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(base + middle * SECOND, zone) == offset else (middle, high)
    return base + high * SECOND


# ------------------------------------------------------------------------------------------------ which ticks make jobs

ON_TIME = timedelta(seconds=10)
"""A tick that is no older than this when it is looked at was not missed."""

MOST_PASSED = 1000
"""Passed-over ticks that are counted; more are called so many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about the ticks since the last one that was seen to."""

    ticks: tuple[datetime, ...]
    """Those that make a job, oldest first."""
    passed: int
    """How many make none, MOST_PASSED at the most."""
    passed_tick: datetime | None
    """The newest of these."""
    last: datetime
    """The newest tick, or the time up to which there was none."""
    following: datetime
    """The next tick."""


def plan(timetable: Timetable, last: datetime, now: datetime, missed: str, max_missed: int) -> Plan:
    """Choose among the ticks after `last` and up to `now`.

    missed: "skip": the newest if it is on time; "latest": the newest; "all": the newest `max_missed`.
    """
    wanted = max_missed if missed == "all" else 1
    found = timetable.newest(last, now, wanted + MOST_PASSED)
    if not found:
        return Plan((), 0, None, last, timetable.preview(max(last, now), 1)[0])
    chosen = found[-wanted:]
    if missed == "skip" and now - chosen[-1] > ON_TIME:
        chosen = []
    passed = found[: len(found) - len(chosen)][-MOST_PASSED:]
    following = timetable.preview(max(now, found[-1]), 1)[0]
    return Plan(tuple(chosen), len(passed), passed[-1] if passed else None, found[-1], following)
