"""The charts: drawn from the figures, said in words and in a table as well."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection

from queue_tasks.dashboard import charts
from queue_tasks.figures import Figures, Slot, Span, read_figures
from queue_tasks.meter import Histogram
from tests.dashboard.visitors import address, text_of

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOTHING = Histogram().buckets


def buckets(*seconds: float) -> list[int]:
    histogram = Histogram()
    for one in seconds:
        histogram.note(one)
    return histogram.buckets


def figures(span: Span = Span.HOUR, **at: Slot) -> Figures:
    """Nothing, but for what was done in slots named by their place: s0 is the oldest."""
    return Figures(
        span,
        [
            at.get(f"s{n}", Slot(NOON + timedelta(seconds=n * span.grain), 0, 0, 0, 0, NOTHING, NOTHING))
            for n in range(span.slots)
        ],
    )


def slot(succeeded: int = 0, failed: int = 0, retried: int = 0, *seconds: float) -> Slot:
    return Slot(NOON, succeeded, failed, retried, 0, buckets(*seconds), buckets(*seconds))


def record(
    db: None, queue: str | None, ago: int, grain: int = 60, succeeded: int = 0, failed: int = 0, *took: float
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into queue_tasks_figures"
            " (grain, begins_at, queue_name, succeeded, failed, retried, other, waited, ran) values (%s,"
            " date_bin(make_interval(secs => %s), statement_timestamp(), timestamptz 'epoch')"
            " - make_interval(secs => %s),"
            " %s, %s, %s, 0, 0, %s, %s)",
            [grain, grain, ago * grain, queue, succeeded, failed, buckets(*took), buckets(*took)],
        )


def test_nothing_is_drawn_as_nothing_and_said_so():
    ended, waited, ran = charts.charts(figures())
    assert (ended.bars, waited.lines, ran.lines) == ([], [], [])
    assert "0 succeeded, 0 tried again, 0 failed" in ended.description
    assert "nothing was measured" in waited.description
    assert charts.table(figures()) == []


def test_a_bar_is_as_high_as_what_it_counts_and_stands_in_its_place():
    (drawn, *_) = charts.charts(figures(s0=slot(50, 50), s59=slot(100)))
    assert [(bar.kind, float(bar.height)) for bar in drawn.bars] == [
        ("failed", 77.0),
        ("succeeded", 77.0),
        ("succeeded", 154.0),
    ]
    assert [label.text for label in drawn.grid] == ["0", "50", "100"]
    first, last = drawn.bars[0], drawn.bars[-1]
    assert float(first.x) - charts.LEFT < 1
    assert charts.RIGHT - float(last.x) - float(last.width) < 1


def test_a_single_failure_among_thousands_is_seen_and_no_bar_leaves_the_drawing():
    (drawn, *_) = charts.charts(figures(s7=slot(9_999, 1, 1)))
    assert [bar.kind for bar in drawn.bars] == ["failed", "retried", "succeeded"]
    assert all(float(bar.height) >= charts.LEAST for bar in drawn.bars)
    assert min(float(bar.y) for bar in drawn.bars) >= charts.TOP - 2 * charts.LEAST


@pytest.mark.parametrize("span", Span)
def test_percentiles_are_lines_that_break_where_nothing_was_measured(span):
    found = figures(span, s0=slot(1, 0, 0, 0.003), s1=slot(2, 0, 0, 0.003, 40.0), s9=slot(1, 0, 0, 0.003))
    _, waited, _ = charts.charts(found)
    assert [line.kind for line in waited.lines] == ["p50", "p95", "p99"]
    assert [len(re.findall("M", line.path)) for line in waited.lines] == [2, 2, 2]
    assert [len(re.findall("L", line.path)) for line in waited.lines] == [1, 1, 1]
    heights = [float(y) for line in waited.lines for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line.path)]
    assert all(charts.TOP <= y <= charts.BOTTOM for y in heights)
    assert waited.grid[0].text == "1 ms"
    assert "p50" in waited.description


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.001, 1.0, 7200.0, 1e9])
def test_whatever_was_measured_lies_within_the_drawing(seconds):
    _, waited, ran = charts.charts(figures(s5=slot(1, 0, 0, seconds)))
    for drawn in (waited, ran):
        for line in drawn.lines:
            ((_, y),) = re.findall(r"M([\d.]+) ([\d.]+)", line.path)
            assert charts.TOP <= float(y) <= charts.BOTTOM
        places = [float(label.place) for label in drawn.grid]
        assert len(places) >= 2
        assert all(below > above for below, above in pairwise(places))


def test_the_scale_is_the_next_round_number():
    assert [charts._above(count) for count in (0, 2, 3, 6, 11, 21, 51, 100, 101)] == [
        2,
        2,
        5,
        10,
        20,
        50,
        100,
        100,
        200,
    ]
    assert all(charts._above(count) >= count for count in range(3000))


def minute() -> datetime:
    """By the database's clock, not by the transaction's."""
    with connection.cursor() as cursor:
        cursor.execute("select date_trunc('minute', clock_timestamp())")
        found: datetime = cursor.fetchone()[0]
    return found


def test_the_figures_are_those_of_the_span_and_of_the_queue(db):
    read: dict[tuple[Span, str | None], Figures] = {}
    begun = None
    # The slots go on with the clock: written and read in one minute.
    while begun != minute():
        begun = minute()
        with connection.cursor() as cursor:
            cursor.execute("delete from queue_tasks_figures")
        for queue in ("a", None):
            record(db, queue, 0, 60, 3, 1, 0.002, 0.3)
            record(db, queue, 59, 60, 2)
            record(db, queue, 60, 60, 100)
            record(db, queue, 95, 900, 7)
            record(db, queue, 167, 3600, 9, 2)
        read = {(span, queue): read_figures(span, queue) for span in Span for queue in ("a", None, "b")}
    for queue in ("a", None):
        hour = read[Span.HOUR, queue]
        assert (hour.total("succeeded"), hour.total("failed"), len(hour.slots)) == (5, 1, 60)
        assert (hour.slots[-1].succeeded, hour.slots[0].succeeded) == (3, 2)
        assert hour.slots == sorted(hour.slots, key=lambda one: one.begins_at)
        assert (read[Span.DAY, queue].slots[0].succeeded, read[Span.WEEK, queue].slots[0].failed) == (7, 2)
    p50, p95, p99 = read[Span.HOUR, None].percentiles("ran") or []
    assert 0.001 < p50 <= 0.0025
    assert 0.25 < p95 < p99 <= 0.5
    assert read[Span.HOUR, "b"].total("succeeded") == 0


@pytest.mark.parametrize("span", ["hour", "day", "week"])
def test_the_page_draws_says_and_lists_them(viewer, db, span):
    grain = next(one.grain for one in Span if one.word == span)
    record(db, None, 1, grain, 1234, 1, 0.002, 0.3)
    text = text_of(viewer.get(address("overview"), {"span": span}))
    assert "1,234 succeeded, 1 failed" in text
    drawings = re.findall(r'<svg class="chart".*?</svg>', text, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        root = ET.fromstring(drawing)  # noqa: S314 - our own page
        named = {element.get("id"): element.text for element in root.iter() if element.get("id")}
        assert all(named[word] for word in (root.get("aria-labelledby") or "").split())
    ended, waited, _ = (ET.fromstring(drawing) for drawing in drawings)  # noqa: S314 - the same
    assert len(ended.findall("rect")) == 2
    assert [path.get("class") for path in waited.findall("path") if "line" in (path.get("class") or "")] == [
        "line is-p50",
        "line is-p95",
        "line is-p99",
    ]
    assert re.search(r'<details id="figures-table">.*?<td class="n">1234</td>', text, re.DOTALL)


def test_the_page_draws_a_queue_of_its_own(viewer, make_job, db):
    make_job(queue_name="a<b")
    record(db, "a<b", 1, 60, 77)
    record(db, None, 1, 60, 99)
    text = text_of(viewer.get(address("overview"), {"queue": "a<b"}))
    assert "The last hour in the queue a&lt;b" in text
    assert "77 succeeded" in text
    assert "<option selected>a&lt;b</option>" in text
    assert 'href="?span=week&amp;queue=a%3Cb"' in text
    assert "99 succeeded" in text_of(viewer.get(address("overview"), {"span": "nonsense", "queue": ""}))
    assert viewer.get(address("overview"), {"queue": "\x00"}).status_code == 200
