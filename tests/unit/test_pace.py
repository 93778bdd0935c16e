"""Pace: how many jobs may be in hand, by what is told of those that have ended, with times that are only told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_tasks.worker.pace import PREFETCH_WITHIN, Pace

PLENTY = 100_000
"""A prefetch that bounds nothing."""

MANY = 300
"""Ends after which no mean remembers what was before."""

slot_counts = st.integers(1, 100)
prefetches = st.integers(0, 1000)
durations = st.floats(1e-4, 10)
runs = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)))
"""Seconds for which nothing ran, and for which a job ran then."""


def run(pace: Pace, duration: float, *, slots: int = 1, idle: float = 0.0) -> None:
    """Have many jobs of one duration end, evenly, so many at a time; idle: seconds for which all wait for the next."""
    for number in range(1, MANY + 1):
        ended = number * (duration / slots + idle)
        pace.note_end(ended - duration, ended)


def of_runs(pace: Pace, lived: list[tuple[float, float]]) -> Pace:
    now = 0.0
    for pause, duration in lived:
        pace.note_end(now + pause, now + pause + duration)
        now += pause + duration
    return pace


@given(slots=slot_counts, prefetch=prefetches)
def test_of_jobs_that_nothing_is_known_of_no_more_are_taken_than_there_are_slots(slots: int, prefetch: int) -> None:
    assert Pace(slots, prefetch).limit == slots


@given(slots=slot_counts, prefetch=prefetches, lived=runs)
def test_whatever_jobs_do_the_slots_may_be_full_and_the_prefetch_is_bounded(
    slots: int, prefetch: int, lived: list[tuple[float, float]]
) -> None:
    pace = of_runs(Pace(slots, prefetch), lived)
    assert slots <= pace.limit <= slots + prefetch
    assert 0 <= pace.enough(lags=True) <= pace.enough(lags=False) <= pace.limit


@given(slots=slot_counts, duration=durations)
def test_as_many_are_prefetched_as_will_start_within_a_tenth_of_a_second(slots: int, duration: float) -> None:
    pace = Pace(slots, PLENTY)
    run(pace, duration, slots=slots)
    assert pace.limit == pytest.approx(max(slots, PREFETCH_WITHIN * slots / duration), rel=0.01, abs=1)


@given(slots=slot_counts, duration=durations)
def test_jobs_that_hold_the_loop_count_one_after_the_other_whatever_the_slots(slots: int, duration: float) -> None:
    pace = Pace(slots, PLENTY)
    run(pace, duration)
    assert pace.limit == pytest.approx(max(slots, PREFETCH_WITHIN / duration), rel=0.01, abs=1)


@given(duration=durations, idle=st.floats(0, 100))
def test_the_time_in_which_nothing_ran_makes_no_job_slower(duration: float, idle: float) -> None:
    busy, idler = Pace(1, PLENTY), Pace(1, PLENTY)
    run(busy, duration)
    run(idler, duration, idle=idle)
    assert idler.limit == pytest.approx(busy.limit, rel=0.01, abs=1)


@given(slots=slot_counts, lived=runs, duration=durations, longer=st.floats(0, 10))
def test_a_longer_job_never_lets_more_be_fetched(
    slots: int, lived: list[tuple[float, float]], duration: float, longer: float
) -> None:
    one = of_runs(Pace(slots, PLENTY), [*lived, (0.0, duration)])
    other = of_runs(Pace(slots, PLENTY), [*lived, (0.0, duration + longer)])
    assert other.limit <= one.limit


@given(slots=slot_counts, lived=runs)
def test_after_a_jam_no_more_are_taken_than_there_are_slots_until_jobs_are_short_again(
    slots: int, lived: list[tuple[float, float]]
) -> None:
    pace = of_runs(Pace(slots, PLENTY), lived)
    pace.note_jam()
    assert pace.limit == slots


def test_what_waits_for_the_loop_is_refilled_when_half_of_it_has_run() -> None:
    pace = Pace(20, 500)
    run(pace, 0.0025)
    assert pace.limit == pytest.approx(40, abs=1)
    assert pace.enough(lags=True) == pace.limit // 2
    assert pace.enough(lags=False) == (pace.limit + 20) // 2
