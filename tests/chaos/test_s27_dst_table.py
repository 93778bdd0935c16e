"""S27 dst-table: every zone, a dozen lines, seven years, against brute force. The quick form takes a sample."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import pytest

from queue_tasks.cron import Timetable
from tests.chaos.harness import FULL, PEER, say_result
from tests.chaos.zone_oracle import BEGIN, END, LINES, MINUTE, MINUTES, Line, moves, ticks

pytestmark = pytest.mark.skipif(PEER is not None, reason="schedules of our own")

HARD = [
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # backwards in Ramadan
    "Antarctica/Troll",  # two hours
    "Pacific/Chatham",
    "Asia/Beirut",  # at midnight
    "America/Santiago",
    "Africa/Cairo",
]
"""Zones with every way of moving clocks there is in these years."""


@lru_cache(maxsize=1)
def alike() -> dict[tuple[tuple[int, int], ...], list[str]]:
    """All zones, those whose clocks are moved alike together: what holds for one holds for the others."""
    found: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for name in sorted(available_timezones() - {"localtime"}):
        found.setdefault(moves(ZoneInfo(name)), []).append(name)
    return found


def ours(line: Line, zone: str, after: datetime, count: int) -> list[int]:
    return [(tick - BEGIN) // MINUTE for tick in Timetable(line.cron, None, zone).preview(after, count)]


def check_from_anywhere(line: Line, zone: str, expected: Sequence[int], starts: Sequence[int]) -> int:
    """The next tick after any instant is the next one of all, wherever one starts counting; how many were looked at."""
    for start in starts:
        place = bisect_right(expected, start)
        if place < len(expected):
            assert ours(line, zone, BEGIN + start * MINUTE, 1) == [expected[place]], f"after {BEGIN + start * MINUTE}"
    return len(starts)


def starts_around(moved: Sequence[tuple[int, int]], chance: random.Random, count: int) -> list[int]:
    """Instants at, just before and soon after each move, and some others."""
    near = [minute + shift for minute, _ in moved[1:] for shift in (-61, -60, -31, -1, 0, 1, 29, 30, 59, 60, 119)]
    return sorted(chance.sample(near, min(count, len(near))) + [chance.randrange(MINUTES) for _ in range(count)])


PAIRS = [(zone, line) for i, zone in enumerate(HARD) for j, line in enumerate(LINES) if FULL or (i + j) % 5 == 0]


def test_where_clocks_are_moved_every_tick_is_where_brute_force_finds_it() -> None:
    wrong = [f"{line} in {zone}" for zone, line in PAIRS if not as_brute_force(zone, line)]
    assert wrong == []


def as_brute_force(zone: str, line: Line) -> bool:
    moved = moves_of(zone)
    expected = ticks(line, ZoneInfo(zone), moved)
    chance = random.Random(f"{zone} {line}")  # noqa: S311 - a sample
    check_from_anywhere(line, zone, expected, starts_around(moved, chance, 15))
    if FULL or not line.interval:
        return ours(line, zone, BEGIN - MINUTE, len(expected)) == expected
    # Ten thousands of ticks far from any move are left to the full form.
    places = [bisect_right(expected, minute - 300) for minute, _ in moved[1:5]]
    return all(ours(line, zone, BEGIN + (expected[p] - 1) * MINUTE, 60) == expected[p : p + 60] for p in places)


@lru_cache(maxsize=64)
def moves_of(zone: str) -> tuple[tuple[int, int], ...]:
    return moves(ZoneInfo(zone))


@pytest.mark.skipif(not FULL, reason="takes minutes: `make chaos` runs it")
def test_every_zone_there_is_ticks_where_brute_force_finds_it() -> None:
    wrong = []
    zones = sum(map(len, alike().values()))
    compared = starts = 0
    for moved, names in alike().items():
        for line in LINES:
            expected = ticks(line, ZoneInfo(names[0]), moved)
            compared += len(expected)
            if ours(line, names[0], BEGIN - MINUTE, len(expected)) != expected:
                wrong.append(f"{line} in {names}")
            chance = random.Random(f"{names[0]} {line}")  # noqa: S311 - a sample
            for name in names:
                starts += check_from_anywhere(line, name, expected, starts_around(moved, chance, 5))
    figures = {"zones": zones, "lines": len(LINES), "ticks": compared, "starts": starts, "wrong": len(wrong)}
    say_result("S27", f"S27 {figures}", passed=not wrong, unmet=wrong, figures=figures)
    assert wrong == []
    assert zones > 400


def test_every_zone_there_is_ticks_next_where_brute_force_finds_it() -> None:
    """One instant near a move, or anywhere, of each zone; another one each day the tests are run in another order."""
    chance = random.Random(random.getrandbits(32))  # noqa: S311 - a sample
    for name in sorted(available_timezones() - {"localtime"}):
        line = chance.choice(LINES)
        start = chance.randrange(MINUTES - 1440 * 400)
        clock = ZoneInfo(name)
        (tick,) = ours(line, name, BEGIN + start * MINUTE, 1)
        after = (BEGIN + tick * MINUTE).astimezone(clock)
        assert tick > start, f"{name} {line}"
        # Either the wall clock shows a time of the line, or it has just jumped over one.
        before = (BEGIN + tick * MINUTE - MINUTE).astimezone(clock)
        minutes = (
            {before.hour * 60 + before.minute + step for step in range(1, 200)} if jumped(before, after) else set()
        )
        shows = after.hour * 60 + after.minute
        assert shows in line.minutes or minutes & line.minutes, f"{name} {line} {after}"


def jumped(before: datetime, after: datetime) -> bool:
    return before.utcoffset() != after.utcoffset()


def test_the_oracle_reaches_over_all_the_years() -> None:
    assert (END - BEGIN) // MINUTE == MINUTES
    assert len(LINES) >= 12
