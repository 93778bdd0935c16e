"""Meter: what is counted, added up and sent is what happened."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_tasks import metrics
from queue_tasks.jobs import FetchedJob
from queue_tasks.meter import BOUNDS, MAX_SERIES, OTHERS, Histogram, Meter, Series, quantile
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.worker.metering import LOST, note, seconds_waited

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()

durations = st.floats(0, 1e6)
attempts = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["app.x", "app.y"]),
        st.sampled_from(["succeeded", "lost"]),
        st.none() | durations,
        st.none() | durations,
    ),
    max_size=20,
)


def meter_of(*found: tuple[str, str, str, float | None, float | None]) -> Meter:
    meter = Meter()
    for queue, task, outcome, ran, waited in found:
        series = meter.of(queue, task)
        series.ended[outcome] = series.ended.get(outcome, 0) + 1
        if ran is not None:
            series.ran.note(ran)
        if waited is not None:
            series.waited.note(waited)
    return meter


@given(durations)
def test_a_duration_falls_into_the_first_bucket_that_is_not_below_it(seconds: float) -> None:
    histogram = Histogram()
    histogram.note(seconds)
    (index,) = [number for number, count in enumerate(histogram.buckets) if count]
    assert index == len(BOUNDS) or seconds <= BOUNDS[index]
    assert index == 0 or seconds > BOUNDS[index - 1]
    assert (histogram.count, histogram.total) == (1, seconds)


@given(st.lists(st.floats(-1, 1e6) | st.sampled_from(BOUNDS)))
def test_many_durations_at_once_are_counted_as_one_by_one(durations: list[float]) -> None:
    one_by_one, at_once = Histogram(), Histogram()
    for seconds in durations:
        one_by_one.note(seconds)
    at_once.note_all(list(durations))
    assert at_once.buckets == one_by_one.buckets
    assert at_once.total == pytest.approx(one_by_one.total)


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    histogram = Histogram()
    histogram.note(-3)
    assert (histogram.buckets[0], histogram.total) == (1, 0)


@given(attempts, attempts)
def test_two_meters_added_are_one_that_saw_it_all(mine: list, theirs: list) -> None:
    both, all_of_it = meter_of(*mine), meter_of(*mine, *theirs)
    both.add(meter_of(*theirs))
    assert both.series.keys() == all_of_it.series.keys()
    for key, seen in all_of_it.series.items():
        added = both.series[key]
        assert added.ended == seen.ended
        assert (added.ran.buckets, added.waited.buckets) == (seen.ran.buckets, seen.waited.buckets)
        assert (added.ran.total, added.waited.total) == pytest.approx((seen.ran.total, seen.waited.total))


@given(attempts)
def test_it_comes_out_of_json_as_it_went_in(found: list) -> None:
    meter = meter_of(*found)
    meter.note_fetch(0.2, 7)
    meter.note_failure("listener")
    meter.notifications, meter.rescued = 3, 4
    read = Meter.from_json(json.loads(json.dumps(meter.as_json())))
    assert read.as_json() == meter.as_json()


@pytest.mark.parametrize(
    "said", [{}, {**Meter().as_json(), "fetches": [[1], 0]}, {**Meter().as_json(), "series": [["q"]]}]
)
def test_what_is_no_meter_is_refused(said: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Meter.from_json(said)


def test_names_beyond_the_limit_are_counted_together() -> None:
    meter = Meter()
    for number in range(MAX_SERIES + 5):
        meter.of("q", f"app.task_{number}").ran.note(1.0)
    assert len(meter.series) == MAX_SERIES + 1
    assert meter.series[OTHERS, OTHERS].ran.count == 5
    meter.of("q", "app.task_0").ran.note(1.0)
    assert meter.series["q", "app.task_0"].ran.count == 2


def test_prometheus_reads_what_is_told() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    meter = meter_of(('q "1"\n', "app.x", "succeeded", 0.02, 3.0), ('q "1"\n', "app.x", "succeeded", 400.0, None))
    meter.note_fetch(0.004, 2)
    meter.note_failure("finisher")
    text = metrics.exposition(metrics.of_worker(meter)).decode()
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    (ended,) = [sample for sample in found["queue_tasks_attempts"] if sample.name.endswith("_total")]
    assert ended.labels == {"queue": 'q "1"\n', "task": "app.x", "outcome": "succeeded"}
    assert ended.value == 2
    ran = {sample.labels.get("le", sample.name): sample.value for sample in found["queue_tasks_run_seconds"]}
    assert (ran["0.005"], ran["0.025"], ran["300.0"], ran["1800.0"], ran["+Inf"]) == (0, 1, 1, 2, 2)
    assert (ran["queue_tasks_run_seconds_count"], ran["queue_tasks_run_seconds_sum"]) == (2, 400.02)
    assert [sample.value for sample in found["queue_tasks_fetched_jobs"]] == [2]


def job(**values: object) -> FetchedJob:
    given = {
        "id": 1, "lease": 1, "queue_name": "q", "task_name": "t", "priority": 0, "lock": None, "queueing_lock": None,
        "args": "{}", "attempts": 0, "crashes": 0, "enqueued": NOON, "started": NOON,
        "attempted": NOON + 90, "ephemeral": False, "errors": None, "meta": None,
    }  # fmt: skip
    return FetchedJob(**{**given, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 90.0),
        ({"meta": '{"run_after": "2026-06-01T12:01:00+00:00"}'}, 30.0),
        ({"meta": '{"run_after": "2026-06-01T11:00:00+00:00"}'}, 90.0),
        ({"meta": '{"run_after": 7}'}, 90.0),
        ({"meta": '["run_after"]'}, 90.0),
        ({"attempts": 1}, None),
        ({"crashes": 1}, None),
        ({"enqueued": None}, None),
    ],
)
def test_a_job_has_waited_since_it_could_start(values: dict, expected: float | None) -> None:
    assert seconds_waited(job(**values)) == expected


@given(attempts.filter(bool))
def test_attempts_that_end_together_are_counted_as_one_by_one(found: list) -> None:
    written = []
    for number, (queue, task, became, ran, waited) in enumerate(found):
        attempted = NOON if waited is None else NOON + waited
        fetched = job(id=number, queue_name=queue, task_name=task, attempts=int(waited is None), attempted=attempted)
        started = None if ran is None else 0.0
        written.append((fetched, Outcome(OutcomeKind.SUCCEEDED, ran or 0.0, started), None, became))
    meter = Meter()
    note(
        meter,
        [(fetched, outcome, error) for fetched, outcome, error, _ in written],
        {fetched.id: "succeeded" for fetched, _, _, became in written if became != LOST},
    )
    expected = meter_of(*found)
    assert meter.series.keys() == expected.series.keys()
    for key, seen in expected.series.items():
        noted = meter.series[key]
        assert noted.ended == seen.ended
        assert (noted.ran.count, noted.waited.count) == (seen.ran.count, seen.waited.count)
        assert (noted.ran.total, noted.waited.total) == pytest.approx((seen.ran.total, seen.waited.total), abs=1e-3)


@given(attempts, attempts)
def test_what_was_counted_since_and_before_is_all(before: list, after: list) -> None:
    earlier, both = meter_of(*before).by_queue(), meter_of(*before, *after).by_queue()
    for queue, series in both.items():
        then = earlier.get(queue, Series())
        added = series.since(then)
        assert added.waited.buckets == meter_of(*after).by_queue().get(queue, Series()).waited.buckets
        added.add(then)
        assert added.ended == series.ended
        assert added.ran.buckets == series.ran.buckets


@given(st.lists(durations, min_size=1, max_size=50), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_duration_it_is(found: list[float], part: float) -> None:
    histogram = Histogram()
    for seconds in found:
        histogram.note(seconds)
    there = sorted(found)[max(0, math.ceil(part * len(found)) - 1)]
    said = quantile(histogram.buckets, part)
    assert said is not None
    bounds = (0.0, *BOUNDS)
    index = bisect_left(BOUNDS, there)
    assert bounds[index] <= said <= (bounds[index + 1] if index < len(BOUNDS) else bounds[-1]) * 1.0001


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile(Histogram().buckets, 0.5) is None
