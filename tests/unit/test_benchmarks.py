"""The arithmetic of the benchmarks: turns, medians, ratios, tables."""

import sys

import pytest

from benchmarks.__main__ import chosen
from benchmarks.harness import Series, TurnFailed, number, paired, percentile, slope
from benchmarks.programs import Program
from benchmarks.report import Cell, Finding, Found, as_markdown, as_text, figure_rows, finding_rows, put_into_page


def counting(order, name, values):
    left = iter(values)

    def turn():
        order.append(name)
        value = next(left)
        if isinstance(value, Exception):
            raise value
        return {"rate": value}

    return turn


def test_the_sides_take_turns_and_every_second_round_goes_backwards():
    order: list[str] = []
    turns = {name: counting(order, name, [1.0] * 3) for name in "abc"}
    paired(turns, 3)
    assert "".join(order) == "abccbaabc"


def test_a_ratio_is_the_median_of_the_ratios_within_each_round():
    # A machine that slows down ten times: the ratio of the medians would be 0.2, in no round was it.
    series = Series({"a": [{"rate": x} for x in (100, 20, 10)], "b": [{"rate": x} for x in (50, 100, 5)]})
    assert series.ratio("a", "b", "rate") == 2
    assert series.median("a", "rate") == 20
    assert series.worst("a", "rate") == 100


def test_a_side_that_fails_is_left_out_of_the_following_rounds_and_the_reason_kept():
    order: list[str] = []
    turns = {"a": counting(order, "a", [1.0, 2.0]), "b": counting(order, "b", [3.0, TurnFailed("no such thing")])}
    series = paired(turns, 2, required=("a",))
    assert "a" in series
    assert "b" not in series
    assert series.failed == {"b": "no such thing"}
    assert series.values("a", "rate") == [1.0, 2.0]


def test_a_required_side_that_fails_ends_the_measure():
    with pytest.raises(TurnFailed, match="gone"):
        paired({"a": counting([], "a", [TurnFailed("gone")])}, 1, required=("a",))


@pytest.mark.parametrize(("part", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentiles_are_values_that_were_found(part, expected):
    assert percentile(list(range(100, 0, -1)), part) == expected


def test_a_percentile_of_one_value_is_that_value_and_of_none_an_error():
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_slope_is_found_among_noise_and_is_none_for_one_point():
    points = [(x, 3 * x + 50 + (1 if x % 2 else -1)) for x in range(100)]
    assert slope(points) == pytest.approx(3, abs=0.01)
    assert slope([(1, 5)]) == 0
    assert slope([]) == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0312, "0.031"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (54_900, "54,900"),
        (-2.5, "-2.50"),
    ],
)
def test_figures_have_the_digits_that_count(value, text):
    assert number(value) == text


def test_a_finding_says_whether_what_was_asked_was_reached():
    assert Finding.at_least("rate", 1.2, 1.2, "x").reached
    assert not Finding.at_least("rate", 1.2, 1.19, "x").reached
    assert Finding.at_most("p99", 3, 3.0, "ms").reached
    assert not Finding.at_most("p99", 3, 3.01, "ms").reached
    assert Finding.seen("rate", 5).reached is None
    assert Finding.missing("rate", "at least 1.2x", "no peer").verdict == ""


def test_a_gap_stays_a_gap_and_order_is_that_of_arrival():
    cells = [Cell("b", "W1", 1.0), Cell("a", "W2", 2000.0), Cell("b", "W2", 3.0)]
    assert figure_rows(cells) == [["", "W1", "W2"], ["b", "1.00", "3.00"], ["a", "", "2,000"]]


def test_tables_for_people_and_for_the_docs():
    rows = finding_rows([Finding.at_least("rate a|b", 2, 3, "x")])
    assert as_text(rows).splitlines() == [
        "          asked           found  reached",
        "--------  --------------  -----  -------",
        "rate a|b  at least 2.00x  3.00x  yes",
    ]
    assert as_markdown(rows).splitlines() == [
        "|  | asked | found | reached |",
        "|---|---|---|---|",
        "| rate a/b | at least 2.00x | 3.00x | yes |",
    ]


def test_a_page_keeps_everything_but_what_stands_at_its_place():
    page = "# A\n\n<!-- measured: speed -->\nold\n<!-- end of speed -->\n\nrest\n"
    written = put_into_page(page, "speed", r"new \1")
    assert written == "# A\n\n<!-- measured: speed -->\n\nnew \\1\n\n<!-- end of speed -->\n\nrest\n"
    assert put_into_page(written, "speed", r"new \1") == written
    with pytest.raises(ValueError, match="no place for 'steady'"):
        put_into_page(page, "steady", "new")


def test_parts_add_up():
    found = Found()
    found.add(Found(cells=[Cell("a", "b", 1)], notes=["one"]))
    found.add(Found(findings=[Finding.seen("c", 2)], notes=["two"]))
    assert (len(found.cells), len(found.findings), found.notes) == (1, 1, ["one", "two"])


def test_without_a_name_the_speed_group_is_measured_and_a_group_is_all_of_its_parts():
    assert chosen([]) == chosen(["speed"])
    assert chosen(["soak", "steady"])[0] == "soak"
    assert sorted(chosen(["soak", "steady"])) == sorted(chosen(["steady"]))


def test_what_a_program_said_too_early_is_not_lost():
    said = "print('first 1'); print('ready: all'); print('mark 2'); print('mark 3'); print('last 4')"
    with Program([sys.executable, "-c", said], {}) as program:
        assert program.wait_for("ready") == ["all"]
        assert program.wait_for("first") == ["1"]
        assert program.wait_for("last") == ["4"]
        assert [program.wait_for("mark"), program.wait_for("mark")] == [["2"], ["3"]]


def test_a_program_that_ends_says_why():
    with (
        Program([sys.executable, "-c", "import sys; sys.exit('no such database')"], {}) as program,
        pytest.raises(TurnFailed, match="ended with 1: no such database"),
    ):
        program.wait_for("ready")
