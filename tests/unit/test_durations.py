"""A length of time, in words."""

import pytest

from queue_tasks.durations import in_one_unit, in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0004, "0.4 ms"),
        (3.25, "3.25 s"),
        (59.96, "60 s"),
        (60, "1 m 0 s"),
        (119.9, "1 m 59 s"),
        (7500, "2 h 5 m"),
        (273_600, "3 d 4 h"),
        (86_400 * 12_345, "12,345 d 0 h"),
        (-250, "-4 m 10 s"),
    ],
)
def test_in_two_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.3, "300 ms"), (9.96, "10.0 s"), (42.9, "42 s"), (750, "12 min"), (90_000, "25 h"), (3e5, "3 d")],
)
def test_in_one_unit(seconds: float, words: str) -> None:
    assert in_one_unit(seconds) == words
