"""The oracle of the cron tests: brute force over every minute of a wall clock, without a cron library and without fold.

A wall clock is only ever asked what it shows at an instant. In stretches where it is not moved, minutes are counted;
around each move every minute is looked at, one after the other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

FIRST, LAST = 2024, 2030
MINUTE = timedelta(minutes=1)
BEGIN = datetime(FIRST, 1, 1, tzinfo=UTC)
WALL_BEGIN = datetime(FIRST - 1, 12, 30)  # no zone is further from UTC  # noqa: DTZ001
END = datetime(LAST + 1, 1, 1, tzinfo=UTC)
MINUTES = (END - BEGIN) // MINUTE
AROUND = 360
"""Minutes before and after a move that are looked at one by one."""


@dataclass(frozen=True)
class Line:
    """A cron line, and what it means, said by hand."""

    cron: str
    interval: bool
    day: Callable[[datetime], bool]
    minutes: frozenset[int]
    """Of a day that matches."""

    def __repr__(self) -> str:
        return self.cron


def at(*times: str) -> frozenset[int]:
    return frozenset(int(time[:2]) * 60 + int(time[3:]) for time in times)


def every(step: int, first: int = 0, last: int = 1439) -> frozenset[int]:
    return frozenset(range(first, last + 1, step))


def any_day(day: datetime) -> bool:
    return True


def last_of_month(day: datetime) -> bool:
    return (day + timedelta(days=1)).day == 1


LINES = [
    Line("30 2 * * *", False, any_day, at("02:30")),
    Line("0 0 * * *", False, any_day, at("00:00")),
    Line("0 3 * * *", False, any_day, at("03:00")),
    Line("15,45 1-3 * * *", False, any_day, at("01:15", "01:45", "02:15", "02:45", "03:15", "03:45")),
    Line("0 */2 * * *", False, any_day, every(120)),
    Line("30 23 L * *", False, last_of_month, at("23:30")),
    Line("5 2 * MAR,OCT SUN", False, lambda day: day.month in (3, 10) and day.weekday() == 6, at("02:05")),
    Line("0 2 * * 0#2", False, lambda day: day.weekday() == 6 and 8 <= day.day <= 14, at("02:00")),
    Line("30 1 29 2 *", False, lambda day: (day.month, day.day) == (2, 29), at("01:30")),
    Line("10 0 13 * FRI", False, lambda day: day.day == 13 or day.weekday() == 4, at("00:10")),
    Line("*/15 * * * *", True, any_day, every(15)),
    Line("0 * * * *", True, any_day, every(60)),
    Line("*/20 1-2 * * MON-FRI", True, lambda day: day.weekday() < 5, every(20, 60, 179)),
]
"""A dozen, and one."""


@lru_cache
def matches(line: Line) -> Sequence[int]:
    """The minutes of the wall clock, counted from WALL_BEGIN, at which the line matches."""
    days = (END - BEGIN).days + 4
    found = []
    for number in range(days):
        if line.day(WALL_BEGIN + timedelta(days=number)):
            found += [1440 * number + minute for minute in sorted(line.minutes)]
    return found


def wall(zone: ZoneInfo, minute: int) -> int:
    """The minute that the wall clock shows at a minute of time, counted from BEGIN."""
    shown = (BEGIN + minute * MINUTE).astimezone(zone).replace(tzinfo=None)
    return (shown - WALL_BEGIN) // MINUTE


def moves(zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """Where the clock is moved: (hour of time, what it is ahead by from then on); the first is the beginning."""
    found: list[tuple[int, int]] = []
    ahead = None
    for minute in range(0, MINUTES, 60):
        offset = (BEGIN + minute * MINUTE).astimezone(zone).utcoffset()
        assert offset is not None
        assert offset % MINUTE == timedelta(0)
        if offset != ahead:
            found.append((minute, offset // MINUTE))
            ahead = offset
    return tuple(found)


def ticks(line: Line, zone: ZoneInfo, moved: Sequence[tuple[int, int]]) -> list[int]:
    """Every minute of time, counted from BEGIN, at which the line ticks."""
    shown = matches(line)
    found: list[int] = []
    edges = [(max(minute - AROUND, 0), min(minute + AROUND, MINUTES)) for minute, _ in moved[1:]]
    position = 0
    for first, last in [*edges, (MINUTES, MINUTES)]:
        if first > position:
            lead = wall(zone, position) - position
            low, high = bisect_left(shown, position + lead), bisect_left(shown, first + lead)
            found += [minute - lead for minute in shown[low:high]]
            position = first
        found += one_by_one(line, zone, shown, position, last)
        position = max(position, last)
    return found


def one_by_one(line: Line, zone: ZoneInfo, shown: Sequence[int], first: int, last: int) -> list[int]:
    found = []
    passed = wall(zone, first - 1)
    for minute in range(first, last):
        now = wall(zone, minute)
        if line.interval:
            place = bisect_left(shown, now)
            due = place < len(shown) and shown[place] == now
        else:
            # Whatever the clock has passed for the first time, be it by a jump.
            due = now > passed and bisect_right(shown, passed) < bisect_right(shown, now)
            passed = max(passed, now)
        if due:
            found.append(minute)
    return found
