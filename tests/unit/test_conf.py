"""Options: each one's good values, bad ones, and the message."""

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from typing import Any

import pytest

from queue_tasks.conf import Options, queues_problem
from queue_tasks.exceptions import OptionsInvalid

GOOD: dict[str, list[Any]] = {
    "database": ["default", "other"],
    "listen_database": [None, "direct"],
    "concurrency": [1, 1000],
    "heartbeat": [0.1, 5, timedelta(seconds=3)],
    "dead_after": [4.1, 60, timedelta(minutes=1)],
    "poll_interval": [0.05, 5, timedelta(seconds=1)],
    "grace": [0, 30.5, timedelta(minutes=5)],
    "keep": [None, timedelta(0), timedelta(days=3650)],
    "max_crashes": [1, 100],
    "unknown_task_grace": [0, timedelta(days=1)],
    "max_argument_bytes": [64, 268_435_455],
    "max_prefetch": [0, 5000],
    "timeout_patience": [0.1, 5, 3600, timedelta(seconds=5)],
    "block_warning": [0.05, 1, 3600, timedelta(seconds=1)],
    "statement_timeout": [1, 86_400, timedelta(minutes=1)],
    "metrics_token": [None, "0123456789abcdef"],
}
BAD: dict[str, list[Any]] = {
    "database": ["", None, 1],
    "listen_database": ["", 1, True],
    "concurrency": [0, 1001, True, "20", 2.0, None],
    "heartbeat": [0, -1, True, "2", float("nan"), float("inf"), 10**400, timedelta.max, None],
    "dead_after": [0, "30", timedelta(0)],
    "poll_interval": [0, 0.01, "5", 1e300],
    "grace": [-0.1, "30", None],
    "keep": [3600, "7 days", timedelta(-1), timedelta.max, False],
    "max_crashes": [0, 1.5, True, 10**30],
    "unknown_task_grace": [-1, "1"],
    "max_argument_bytes": [0, 63, 2**28, "1 MB"],
    "max_prefetch": [-1, 1.0, 10**30],
    "timeout_patience": [0, 0.05, 3601, "5", None],
    "block_warning": [0, 0.01, 3601, True],
    "statement_timeout": [0.5, 86_401, "30"],
    "metrics_token": ["", "0123456789abcde", " 0123456789abcdef", 1234567890123456, b"0123456789abcdef"],
}
EVERY = [field.name for field in fields(Options)]


@pytest.mark.parametrize("name", EVERY)
def test_every_option_is_tested_here(name):
    assert GOOD[name]
    assert BAD[name]


def test_no_option_is_needed_and_the_defaults_are_those_of_the_contract():
    assert Options.read({}) == Options()
    options = Options()
    assert (options.database, options.heartbeat, options.dead_after) == ("default", 2, 30)
    assert (options.poll_interval, options.grace, options.keep) == (5, 30, timedelta(days=7))
    assert (options.max_crashes, options.unknown_task_grace, options.max_argument_bytes) == (3, 3600, 1_048_576)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in GOOD for value in GOOD[name]])
def test_a_right_value_is_taken(name, value):
    taken = getattr(Options.read({name: value}), name)
    if isinstance(value, timedelta) and name != "keep":
        assert taken == value.total_seconds()
        assert isinstance(taken, float)
    else:
        assert taken == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_a_wrong_value_is_named_with_what_was_expected(name, value):
    with pytest.raises(OptionsInvalid) as refusal:
        Options.read({name: value})
    [problem] = refusal.value.problems
    shown = "not fit" if name == "metrics_token" else repr(value)
    assert problem.startswith(f'OPTIONS["{name}"] is {shown}; expected ')


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("concurrency", 0, "a whole number from 1 to 1,000"),
        ("grace", -1, "0 or more seconds, or a timedelta"),
        ("heartbeat", 0, "0.1 or more seconds, or a timedelta"),
        ("statement_timeout", 0, "1 to 86,400 seconds, or a timedelta"),
        ("keep", 1, "a timedelta of 0 or more, or None to keep finished jobs for ever"),
        ("database", None, "an alias of DATABASES, as text"),
    ],
)
def test_the_message_says_what_is_allowed(name, value, expected):
    with pytest.raises(OptionsInvalid, match=f"expected {expected}"):
        Options.read({name: value})


def test_an_unknown_option_is_told_its_neighbour():
    with pytest.raises(
        OptionsInvalid, match=r'OPTIONS\["poll_intervall"\] is not an option. Did you mean "poll_interval"\?'
    ):
        Options.read({"poll_intervall": 5})


def test_an_unknown_option_without_a_neighbour_is_told_all_there_are():
    with pytest.raises(OptionsInvalid, match="Known: block_warning, concurrency, database,"):
        Options.read({"colour": "red"})


def test_all_problems_are_told_at_once():
    with pytest.raises(OptionsInvalid) as refusal:
        Options.read({"grace": -1, "max_crashes": 0, 5: 1})  # type: ignore[dict-item]
    assert len(refusal.value.problems) == 3


@pytest.mark.parametrize("given", [None, [], "heartbeat"])
def test_options_that_are_no_mapping_are_told_so(given):
    with pytest.raises(OptionsInvalid, match="expected a dict of options"):
        Options.read(given)


def test_a_worker_must_have_two_heartbeats_before_it_is_dead():
    with pytest.raises(OptionsInvalid, match=r"expected more than two heartbeats \(4 s\)"):
        Options.read({"dead_after": 4})
    with pytest.raises(OptionsInvalid, match="expected more than two heartbeats"):
        Options.read({"heartbeat": 15})
    assert Options.read({"dead_after": 4.1}).dead_after == 4.1


def test_a_secret_is_not_shown():
    assert "0123456789abcdef" not in repr(Options(metrics_token="0123456789abcdef"))


def test_options_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Options().grace = 1  # type: ignore[misc]


@pytest.mark.parametrize("queues", [[], ["default"], ("a", "b"), {"a"}])
def test_queues_are_names(queues):
    assert queues_problem(queues) is None


@pytest.mark.parametrize("queues", ["default", None, {"default": 1}, [""], [1], 5])
def test_queues_that_are_no_list_of_names_are_told_so(queues):
    assert "expected" in str(queues_problem(queues))
