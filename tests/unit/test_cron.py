"""Cron lines and timetables: what is read, what is refused, and that no tick is skipped wherever one starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queue_tasks.cron import MOST_PASSED, WORDS, Timetable, next_times, parse, plan
from queue_tasks.exceptions import ScheduleInvalid

PARIS = "Europe/Paris"
ZONES = [
    PARIS,
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Beirut",
]


def shown(cron: str, after: str, count: int, zone: str = PARIS) -> list[str]:
    """The next ticks as the wall clock shows them."""
    start = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    return [f"{tick:%m-%d %H:%M:%S}" for tick in next_times(cron, zone, start, count)]


# ------------------------------------------------------------------------------------------------------------ the line


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 3 * * *", "2026-06-01 03:00", ["06-02 03:00:00", "06-03 03:00:00"]),
        ("15 0 3 * * *", "2026-06-01 03:00", ["06-01 03:00:15", "06-02 03:00:15"]),
        ("*/20 * * * * *", "2026-06-01 03:00", ["06-01 03:00:20", "06-01 03:00:40"]),
        ("0 9-17/4 * * mon-fri", "2026-06-05 10:00", ["06-05 13:00:00", "06-05 17:00:00", "06-08 09:00:00"]),
        ("0 0 1,15 jan,jul *", "2026-06-05 10:00", ["07-01 00:00:00", "07-15 00:00:00", "01-01 00:00:00"]),
        ("0 0 L * *", "2026-01-31 00:00", ["02-28 00:00:00", "03-31 00:00:00"]),
        ("0 0 LW * *", "2026-01-31 00:00", ["02-27 00:00:00", "03-31 00:00:00"]),
        ("0 0 * * 5L", "2026-01-31 00:00", ["02-27 00:00:00", "03-27 00:00:00"]),
        ("0 0 * * 1#2", "2026-01-31 00:00", ["02-09 00:00:00", "03-09 00:00:00"]),
        ("0 0 13 * FRI", "2026-11-01 00:00", ["11-06 00:00:00", "11-13 00:00:00", "11-20 00:00:00"]),
        ("0 0 * * 7", "2026-11-25 00:00", ["11-29 00:00:00"]),
        ("@daily", "2026-11-25 00:00", ["11-26 00:00:00"]),
        ("@Hourly", "2026-11-25 00:00", ["11-25 01:00:00"]),
        ("@weekly", "2026-11-25 00:00", ["11-29 00:00:00"]),
        ("@monthly", "2026-11-25 00:00", ["12-01 00:00:00"]),
        ("@yearly", "2026-11-25 00:00", ["01-01 00:00:00"]),
    ],
)
def test_a_line_ticks_when_it_says(cron: str, after: str, expected: list[str]) -> None:
    assert shown(cron, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("61 * * * *", "the field minute is wrong; expected 0 to 59"),
        ("* 24 * * *", "the field hour is wrong"),
        ("* * 0 * *", "the field day-of-month is wrong"),
        ("* * * 13 *", "the field month is wrong"),
        ("* * * * 8", "the field day-of-week is wrong"),
        ("60 * * * * *", "the field second is wrong"),
        ("*/0 * * * *", "the field minute is wrong"),
        ("5-1 * * * *", "the field minute is wrong"),
        ("* * *", "has 3 fields; expected 5"),
        ("", "has 0 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("@reboot", "the words are: @yearly"),
        ("0 0 30 2 *", "the field day-of-month is wrong"),
        ("0 0 */31 * 1#5", "never comes"),
        (None, "expected a line of text"),
        (5, "expected a line of text"),
    ],
)
def test_a_wrong_line_is_refused_in_words(cron: str, said: str) -> None:
    with pytest.raises(ScheduleInvalid, match="cron=") as caught:
        parse(cron)
    assert said in str(caught.value)


@given(st.text(max_size=40) | st.text("0123456789*/,-L#W ABCDEFGJMNOPRSTUVY@", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_line_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except ScheduleInvalid:
        return
    start = datetime(2026, 1, 1, tzinfo=UTC)
    (tick,) = next_times(text, "UTC", start)
    assert tick > start
    assert Timetable(text, None, "UTC").in_words().endswith(", UTC")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", None, 5])
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    with pytest.raises(ScheduleInvalid, match="expected an IANA name"):
        next_times("@daily", zone, datetime.now(UTC))


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="is naive; expected an aware datetime"):
        next_times("@daily", PARIS, datetime(2026, 1, 1))  # noqa: DTZ001 - the point


# ---------------------------------------------------------------------------------------------- clocks that are moved


def test_a_fixed_time_in_the_gap_comes_once_right_after_it() -> None:
    assert shown("30 2 * * *", "2026-03-28 12:00", 2) == ["03-29 03:00:00", "03-30 02:30:00"]
    # Two times in one gap are one tick.
    assert shown("15,45 2 * * *", "2026-03-28 12:00", 2) == ["03-29 03:00:00", "03-30 02:15:00"]


def test_a_fixed_time_that_comes_twice_ticks_once() -> None:
    zone = ZoneInfo(PARIS)
    found = next_times("30 2 * * *", PARIS, datetime(2026, 10, 24, 12, tzinfo=zone), 2)
    assert [tick.isoformat() for tick in found] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_an_interval_keeps_its_interval_when_clocks_are_moved() -> None:
    for day in ("2026-03-29", "2026-10-25"):
        start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(PARIS))
        found = next_times("*/15 * * * *", PARIS, start, 40)
        gaps = {b.astimezone(UTC) - a.astimezone(UTC) for a, b in zip(found, found[1:], strict=False)}  # noqa: RUF007 - both
        assert gaps == {timedelta(minutes=15)}


def test_every_is_counted_from_1970_whatever_the_zone_and_the_start() -> None:
    for zone in ZONES:
        found = Timetable(None, 6 * 3600, zone).preview(datetime(2026, 10, 25, 0, 0, 1, tzinfo=UTC), 3)
        assert [tick.hour for tick in found] == [6, 12, 18]


LINES = st.sampled_from(
    [
        "30 2 * * *",
        "0 0 * * *",
        "*/15 * * * *",
        "0 */2 * * *",
        "7,37 1-3 * * *",
        "*/20 * * * * *",
        "0 0 L * *",
        "* * * * *",
    ]
)
NEAR_A_MOVE = st.sampled_from(
    [datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1), datetime(2026, 4, 4, 15), datetime(2026, 3, 22, 2)]  # noqa: DTZ001
)


@given(LINES, st.sampled_from(ZONES), NEAR_A_MOVE, st.integers(-200_000_000, 200_000_000), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_the_next_tick_is_after_and_nothing_is_skipped(
    line: str, zone: str, near: datetime, milliseconds: int, count: int
) -> None:
    start = near.replace(tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    times = Timetable(line, None, zone)
    found = times.preview(start, count)
    assert found[0] > start
    assert all(earlier < later for earlier, later in zip(found, found[1:], strict=False))  # noqa: RUF007 - as above
    # Starting anywhere between two of them gives the second.
    for earlier, later in zip([start, *found], found, strict=False):
        between = earlier + (later - earlier) / 2
        assert times.preview(earlier, 1) == times.preview(between, 1) == [later]
    assert times.newest(start, found[-1], count + 5) == found
    assert times.newest(start - timedelta(days=3), found[-1], 1) == found[-1:]


# ------------------------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (Timetable("0 3 * * *", None, PARIS), "at 03:00 every day, Europe/Paris"),
        (Timetable("@hourly", None, "UTC"), "at the start of every hour, UTC"),
        (Timetable("0 9 * * MON-FRI", None, PARIS), "at 09:00 on Monday through Friday, Europe/Paris"),
        (Timetable(None, 900, "UTC"), "every 15 minutes"),
        (Timetable(None, 86_400, "UTC"), "every day"),
        (Timetable(None, 1, "UTC"), "every second"),
        (Timetable(None, 1.5, "UTC"), "every 1.5 seconds"),
    ],
)
def test_a_timetable_is_said_in_words(times: Timetable, words: str) -> None:
    assert times.in_words() == words


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_a_line(word: str) -> None:
    assert parse(word) == parse(WORDS[word])


@pytest.mark.parametrize(
    ("cron", "every"), [(None, None), ("@daily", 60), (None, 0.5), (None, 1e9), (None, "60"), (None, float("nan"))]
)
def test_a_timetable_is_a_line_or_an_interval_that_can_be(cron: str | None, every: float | None) -> None:
    with pytest.raises(ScheduleInvalid, match="every="):
        Timetable(cron, every, "UTC")


# ----------------------------------------------------------------------------------------------------------------- plan


MINUTELY = Timetable("* * * * *", None, "UTC")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def test_a_tick_on_time_is_the_plan_under_every_policy() -> None:
    for missed in ("skip", "latest", "all"):
        what = plan(MINUTELY, NOON - minutes(1), NOON, missed, 5)
        assert (what.ticks, what.passed, what.last, what.following) == ((NOON,), 0, NOON, NOON + minutes(1))


def test_of_missed_ticks_each_policy_chooses_its_own() -> None:
    now = NOON + timedelta(seconds=30)
    last = NOON - minutes(10)
    skipped = plan(MINUTELY, last, now, "skip", 1)
    assert (skipped.ticks, skipped.passed, skipped.passed_tick) == ((), 10, NOON)
    latest = plan(MINUTELY, last, now, "latest", 1)
    assert (latest.ticks, latest.passed, latest.passed_tick) == ((NOON,), 9, NOON - minutes(1))
    some = plan(MINUTELY, last, now, "all", 3)
    assert (some.ticks, some.passed) == ((NOON - minutes(2), NOON - minutes(1), NOON), 7)
    everything = plan(MINUTELY, last, now, "all", 100)
    assert (len(everything.ticks), everything.passed, everything.passed_tick) == (10, 0, None)
    assert {what.following for what in (skipped, latest, some, everything)} == {NOON + minutes(1)}
    assert {what.last for what in (skipped, latest, some, everything)} == {NOON}


def test_a_tick_that_is_a_little_late_was_not_missed() -> None:
    late = plan(MINUTELY, NOON - minutes(1), NOON + timedelta(seconds=10), "skip", 1)
    assert late.ticks == (NOON,)
    too_late = plan(MINUTELY, NOON - minutes(1), NOON + timedelta(seconds=10.1), "skip", 1)
    assert (too_late.ticks, too_late.passed) == ((), 1)


def test_after_a_year_the_plan_is_bounded() -> None:
    what = plan(Timetable("* * * * * *", None, PARIS), NOON - timedelta(days=365), NOON, "all", 1000)
    assert len(what.ticks) == 1000
    assert what.passed == MOST_PASSED
    assert what.ticks[-1] == NOON


def test_nothing_due_plans_the_next_tick_even_when_the_clock_went_back() -> None:
    what = plan(MINUTELY, NOON, NOON + timedelta(seconds=1), "all", 5)
    assert (what.ticks, what.last, what.following) == ((), NOON, NOON + minutes(1))
    back = plan(MINUTELY, NOON, NOON - minutes(30), "all", 5)
    assert (back.ticks, back.following) == ((), NOON + minutes(1))
