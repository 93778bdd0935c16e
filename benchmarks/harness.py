"""Paired turns, medians and ratios: what makes figures of a shared machine comparable. No database, no process."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Figures = Mapping[str, float]
"""What one turn found: the name of a figure -> its value."""

Turn = Callable[[], Figures]
"""Measures one side once."""


class TurnFailed(Exception):  # noqa: N818 - it is read as a sentence
    """A side could not be measured; the message says why."""


@dataclass(frozen=True)
class Series:
    """The turns of several sides, round by round; round n of each was measured within the same minute."""

    turns: Mapping[str, Sequence[Figures]]
    failed: Mapping[str, str] = field(default_factory=dict)
    """Side -> why it was left out."""

    def __contains__(self, side: object) -> bool:
        """Whether a side was measured."""
        return side in self.turns

    def values(self, side: str, figure: str) -> list[float]:
        """A figure of a side, round by round."""
        return [turn[figure] for turn in self.turns[side]]

    def median(self, side: str, figure: str) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(self.values(side, figure))

    def worst(self, side: str, figure: str) -> float:
        """The largest value of a figure in any round."""
        return max(self.values(side, figure))

    def ratio(self, side: str, other: str, figure: str, *, of: str | None = None) -> float:
        """The median over the rounds of side's figure divided by other's in the same round.

        of: the figure of the other, where it has another name.
        """
        pairs = zip(self.values(side, figure), self.values(other, of or figure), strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def paired(
    turns: Mapping[str, Turn],
    rounds: int,
    *,
    required: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Series:
    """Measure every side once a round, in the order given and, every second round, from the last to the first.

    So whatever else the machine does, and whatever one turn leaves for the next, meets all sides alike.
    A side whose turn fails is left out, and the failure is kept; a required side's failure is raised.
    Raises TurnFailed.
    """
    found: dict[str, list[Figures]] = {side: [] for side in turns}
    failed: dict[str, str] = {}
    for number in range(rounds):
        order = list(turns) if number % 2 == 0 else list(turns)[::-1]
        for side in order:
            if side in failed:
                continue
            try:
                figures = turns[side]()
            except TurnFailed as exc:
                if side in required:
                    raise
                failed[side] = str(exc)
                say(f"{side}: left out: {exc}")
                continue
            found[side].append(figures)
            say(f"round {number + 1} of {rounds}, {side}: {shown(figures)}")
    return Series({side: turns for side, turns in found.items() if side not in failed}, failed)


def shown(figures: Figures) -> str:
    """Figures in one line, for whoever watches."""
    return ", ".join(f"{name} {number(value)}" for name, value in figures.items())


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a percentile of no values")
    # The small step back keeps 0.99 of 100 values at the 99th, where floats would say the 100th.
    return ordered[min(len(ordered) - 1, max(0, -int(-(part * len(ordered) - 1e-9) // 1) - 1))]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much y grows for each x, by least squares; 0 for fewer than two different x."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def number(value: float) -> str:
    """A figure for people: three digits that count, and no more than four places."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}"
