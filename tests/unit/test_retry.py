"""RetryPolicy: how often, how long, and which errors."""

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_tasks import RetryPolicy


def test_the_default_policy_tries_five_times_with_doubling_waits():
    policy = RetryPolicy()
    assert [policy.wait_after(attempt, OSError()) for attempt in range(1, 6)] == [2.0, 4.0, 8.0, 16.0, None]


def test_a_wait_is_never_longer_than_max_wait():
    assert RetryPolicy(max_attempts=100, max_wait=10.0).delay(50) == 10.0


def test_a_backoff_of_one_waits_the_same_each_time():
    policy = RetryPolicy(backoff=1, wait=3)
    assert [policy.delay(attempt) for attempt in (1, 2, 100_000)] == [3, 3, 3]


def test_a_wait_of_nothing_stays_nothing():
    assert [RetryPolicy(wait=0).delay(attempt) for attempt in (1, 2, 100_000)] == [0, 0, 0]


@pytest.mark.parametrize("attempt", [1_000, 10_000, 10**9])
def test_the_thousandth_attempt_does_not_overflow(attempt):
    assert RetryPolicy(max_attempts=10**10, wait=5).delay(attempt) == 600.0


@given(
    wait=st.floats(0, 1e9),
    backoff=st.floats(1, 1e9),
    max_wait=st.floats(0, 1e9),
    jitter=st.floats(0, 1),
    attempt=st.integers(1, 10**6),
    spread=st.floats(-1, 1),
)
def test_every_wait_is_finite_and_within_its_bounds(wait, backoff, max_wait, jitter, attempt, spread):
    delay = RetryPolicy(wait=wait, backoff=backoff, max_wait=max_wait, jitter=jitter).delay(attempt, spread)
    assert math.isfinite(delay)
    assert 0 <= delay <= max_wait * (1 + jitter)


def test_jitter_spreads_a_wait_by_its_part_in_both_directions():
    policy = RetryPolicy(wait=10, jitter=0.1)
    assert policy.delay(1, -1) == pytest.approx(9)
    assert policy.delay(1, 0) == 10
    assert policy.delay(1, 1) == pytest.approx(11)


def test_one_attempt_means_no_retry():
    assert RetryPolicy(max_attempts=1).wait_after(1, OSError()) is None


def test_only_errors_of_retry_on_are_tried_again():
    policy = RetryPolicy(retry_on=(OSError,))
    assert policy.wait_after(1, ConnectionError()) is not None
    assert policy.wait_after(1, ValueError()) is None


def test_errors_of_give_up_on_fail_at_once_although_retry_on_has_them():
    policy = RetryPolicy(retry_on=(OSError,), give_up_on=(FileNotFoundError,))
    assert policy.wait_after(1, OSError()) is not None
    assert policy.wait_after(1, FileNotFoundError()) is None


def test_system_exit_is_not_tried_again_by_default():
    assert RetryPolicy().wait_after(1, SystemExit()) is None


def test_durations_may_be_timedeltas_and_errors_one_class_or_a_list():
    policy = RetryPolicy(
        wait=timedelta(minutes=1),
        max_wait=timedelta(hours=1),
        retry_on=OSError,  # type: ignore[arg-type]
        give_up_on=[ValueError],  # type: ignore[arg-type]
    )
    assert (policy.wait, policy.max_wait) == (60.0, 3600.0)
    assert (policy.retry_on, policy.give_up_on) == ((OSError,), (ValueError,))


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("max_attempts", 0, "a whole number, 1 or more"),
        ("max_attempts", True, "a whole number, 1 or more"),
        ("max_attempts", 2.0, "a whole number, 1 or more"),
        ("max_attempts", None, "a whole number, 1 or more"),
        ("wait", -1, "0 or more seconds"),
        ("wait", timedelta(-1), "0 or more seconds"),
        ("wait", timedelta.max, "0 or more seconds"),
        ("wait", float("nan"), "0 or more seconds"),
        ("wait", float("inf"), "0 or more seconds"),
        ("wait", 10**400, "0 or more seconds"),
        ("wait", "1", "0 or more seconds"),
        ("backoff", 0.5, "1 or more"),
        ("backoff", float("nan"), "1 or more"),
        ("max_wait", -1, "0 or more seconds"),
        ("max_wait", 1e300, "0 or more seconds"),
        ("jitter", -0.1, "a part from 0 to 1"),
        ("jitter", 1.1, "a part from 0 to 1"),
        ("jitter", True, "a part from 0 to 1"),
        ("retry_on", (1,), "a tuple of exception classes"),
        ("retry_on", 5, "a tuple of exception classes"),
        ("give_up_on", (int,), "a tuple of exception classes"),
        ("give_up_on", "ValueError", "a tuple of exception classes"),
    ],
)
def test_a_wrong_option_is_named_with_what_was_expected(option: str, value: Any, expected: str):
    with pytest.raises(ValueError, match=rf"RetryPolicy\({option}=") as refusal:
        RetryPolicy(**{option: value})
    assert f"expected {expected}" in str(refusal.value)
