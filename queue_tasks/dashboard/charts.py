"""Charts: figures as shapes for a template, which writes them as SVG. In: figures.Figures. Out: values, no markup.

Coordinates are those of a drawing WIDTH wide and HEIGHT high, whose text is as large as the page's when it stands in a
column of the page. No colour says anything alone: lines have patterns, and everything is in a table as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from queue_tasks.durations import in_one_unit, in_words
from queue_tasks.figures import Figures, Slot, Span, added_up, percentiles

WIDTH, HEIGHT = 380, 190
LEFT, RIGHT, TOP, BOTTOM = 58, 372, 10, 164
"""The edges of what is drawn; beside and below it stand the labels."""

GAP = 0.2
"""The part of a slot that is left between two bars."""

LEAST = 2.0
"""Height of a bar of a single failure among thousands: it is seen."""

PARTS = ("p50", "p95", "p99")

EACH = {Span.HOUR: "a minute", Span.DAY: "in 15 minutes", Span.WEEK: "an hour"}
LOOKED_BACK = {Span.HOUR: "hour", Span.DAY: "day", Span.WEEK: "week"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; `kind` is what it counts."""

    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, slots=True)
class Line:
    """A path; `kind` is what it follows."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text beside a line of the grid, or below a time."""

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing."""

    name: str
    """A word for its id."""
    title: str
    description: str
    """What it shows, for who does not see it."""
    shape: str
    """bar or line: what its legend shows."""
    legend: Sequence[tuple[str, str]]
    """Each kind, and its name."""
    grid: Sequence[Label]
    """Lines from left to right."""
    times: Sequence[Label]
    bars: Sequence[Bar] = ()
    lines: Sequence[Line] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One slot in words, for the table."""

    begins_at: datetime
    slot: Slot
    waited: Sequence[float]
    ran: Sequence[float]


def charts(figures: Figures) -> list[Chart]:
    """What was done, how long jobs waited, how long they ran."""
    return [
        _bars(figures),
        _lines(figures, "waited", "Queue wait", "how long jobs waited once they could start"),
        _lines(figures, "ran", "Run time", "how long attempts ran"),
    ]


def table(figures: Figures) -> list[Row]:
    """The slots in which anything was done, newest first."""
    return [
        Row(slot.begins_at, slot, _percentiles(slot.waited), _percentiles(slot.ran))
        for slot in reversed(figures.slots)
        if slot.succeeded or slot.failed or slot.retried or slot.other
    ]


def _bars(figures: Figures) -> Chart:
    """Attempts that ended, in each slot; what failed for good stands at the foot."""
    slots = figures.slots
    top = _above(max(slot.succeeded + slot.failed + slot.retried for slot in slots))
    step = (RIGHT - LEFT) / len(slots)
    bars = []
    for place, slot in enumerate(slots):
        x, y = LEFT + step * (place + GAP / 2), float(BOTTOM)
        for kind in ("failed", "retried", "succeeded"):
            count = getattr(slot, kind)
            if not count:
                continue
            height = min(max(LEAST, (BOTTOM - TOP) * count / top), y - TOP + LEAST)
            y -= height
            bars.append(Bar(kind, _at(x), _at(y), _at(step * (1 - GAP)), _at(height)))
    word, each = LOOKED_BACK[figures.span], EACH[figures.span]
    counts = ", ".join(f"{figures.total(kind):,} {name}" for kind, name in KINDS.items())
    return Chart(
        name="ended",
        title=f"Attempts that ended, {each}",
        description=f"In the last {word}: {counts}. At most {max(ended(slot) for slot in slots):,} {each}.",
        shape="bar",
        legend=list(KINDS.items()),
        grid=[Label(_at(_height(part)), f"{top * part:,.10g}") for part in (0, 0.5, 1)],
        times=_times(figures),
        bars=bars,
    )


KINDS = {"succeeded": "succeeded", "retried": "tried again", "failed": "failed"}


def _lines(figures: Figures, name: str, title: str, what: str) -> Chart:
    """Percentiles in each slot, on a scale on which each line of the grid is ten times the one below."""
    found = [_percentiles(getattr(slot, name)) for slot in figures.slots]
    values = [seconds for slot in found for seconds in slot]
    low = max(-3, math.floor(math.log10(max(min(values), 0.001)))) if values else -3
    high = max(math.ceil(math.log10(max(*values, 0.001))) if values else 0, low + 1)
    step = (RIGHT - LEFT) / len(found)
    lines = []
    for number, kind in enumerate(PARTS):
        path, drawing = [], False
        for place, slot in enumerate(found):
            if slot:
                x = LEFT + step * (place + 0.5)
                y = _height((math.log10(max(slot[number], 10.0**low)) - low) / (high - low))
                # A lone slot is a line of no length, whose round ends make it a dot.
                path.append(f"L{_at(x)} {_at(y)}" if drawing else f"M{_at(x)} {_at(y)}h.01")
            drawing = bool(slot)
        if path:
            lines.append(Line(kind, "".join(path)))
    whole = figures.percentiles(name)
    words = ", ".join(f"{kind} {in_words(seconds)}" for kind, seconds in zip(PARTS, whole or (), strict=bool(whole)))
    return Chart(
        name=name,
        title=title,
        description=f"In the last {LOOKED_BACK[figures.span]}, {what}: {words or 'nothing was measured'}.",
        shape="line",
        legend=[(kind, kind) for kind in PARTS],
        grid=[
            Label(_at(_height((power - low) / (high - low))), in_one_unit(10.0**power).replace(".0", ""))
            for power in range(low, high + 1, max(1, (high - low) // 4))
        ],
        times=_times(figures),
        lines=lines,
    )


def _times(figures: Figures) -> list[Label]:
    """When it begins, its middle, and now."""
    slots = figures.slots
    form = "%a %H:%M" if figures.span is Span.WEEK else "%H:%M"
    middle = timezone.localtime(slots[len(slots) // 2].begins_at)
    return [
        Label(_at(LEFT), f"{timezone.localtime(slots[0].begins_at):{form}}"),
        Label(_at((LEFT + RIGHT) / 2), f"{middle:{form}}"),
        Label(_at(RIGHT), "now"),
    ]


def ended(slot: Slot) -> int:
    """Attempts that ended in a slot, but for those that are not in the chart."""
    return slot.succeeded + slot.failed + slot.retried


def _percentiles(buckets: Sequence[int]) -> list[float]:
    return percentiles(added_up([buckets])) or []


def _above(count: int) -> int:
    """The round number that is not below a count: 2, 5, 10, 20, 50, ..."""
    top = 2
    while top < count:
        top = top * 5 // 2 if str(top)[0] == "2" else top * 2
    return top


def _height(part: float) -> float:
    """The place of a value; 0 is at the foot, 1 at the top."""
    return BOTTOM - (BOTTOM - TOP) * part


def _at(number: float) -> str:
    """A coordinate: text, so that no setting of the project writes a comma into it."""
    return f"{number:.1f}"
