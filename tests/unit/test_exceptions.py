"""Every error says what was found, what was expected, where, and what to do."""

import inspect
from datetime import UTC, datetime, timedelta

import pytest

from queue_tasks import Discard, Retry, Snooze, exceptions
from queue_tasks.exceptions import (
    ArgumentsNotStorable,
    ArgumentsOutOfRange,
    JobNotFound,
    OptionsInvalid,
    QueueTasksError,
    ScheduleNotFound,
    TaskNotFound,
    TaskTimeout,
    WaitTimeout,
)

EVERY = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__]


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_is_one_of_ours_is_documented_and_in_the_tree(kind):
    assert issubclass(kind, QueueTasksError)
    assert kind.__doc__
    assert kind.__name__ in exceptions.__doc__


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (ArgumentsNotStorable, TypeError),
        (ArgumentsOutOfRange, ValueError),
        (TaskTimeout, TimeoutError),
        (WaitTimeout, TimeoutError),
    ],
)
def test_an_error_can_be_caught_as_the_standard_one(kind, standard):
    assert issubclass(kind, standard)


@pytest.mark.parametrize(
    ("error", "where", "found", "remedy"),
    [
        (
            ArgumentsNotStorable("shop.tasks.send", 'argument "order"', "<class 'Order'>", "Pass its id (7)."),
            'shop.tasks.send: argument "order"',
            "Unsupported type: <class 'Order'>, which is not JSON",
            "Pass its id (7).",
        ),
        (
            ArgumentsOutOfRange(
                "shop.tasks.send", 'argument "price"', "is nan, which JSON does not have", "Pass None."
            ),
            'shop.tasks.send: argument "price"',
            "is nan, which JSON does not have",
            "Pass None.",
        ),
        (
            TaskNotFound("shop.tasks.sned", "no attribute 'sned'", ["shop.tasks.send"]),
            'Task "shop.tasks.sned" cannot be imported',
            "no attribute 'sned'",
            'Did you mean "shop.tasks.send"? If it was renamed, keep the old name until its jobs are done.',
        ),
        (JobNotFound(812), "Job 812", "does not exist", "it was deleted after it had finished"),
        (
            TaskTimeout("shop.tasks.send", 30),
            "Task shop.tasks.send",
            "ran longer than its timeout of 30 s",
            "was stopped",
        ),
        (
            WaitTimeout("812", 1.5, "RUNNING"),
            "Job 812",
            "did not finish within 1.5 s; it is RUNNING",
            "It goes on: wait again.",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_says_where_what_was_found_and_what_to_do(error, where, found, remedy):
    text = str(error)
    assert text.startswith(where)
    assert found in text
    assert remedy in text


def test_wrong_options_are_told_one_by_one():
    error = OptionsInvalid(iter(["one.", "two."]))
    assert error.problems == ["one.", "two."]
    assert str(error) == "one. two."


# ----------------------------------------------------------------------------------------------- what a task may raise


@pytest.mark.parametrize("after", [0, 1.5, timedelta(seconds=1.5)])
def test_snooze_and_retry_take_seconds_or_a_timedelta(after):
    expected = after.total_seconds() if isinstance(after, timedelta) else after
    assert Snooze(after).after == expected
    assert Retry(after).after == expected


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), 1e12, timedelta(-1), timedelta.max])
def test_a_wait_that_is_none_is_refused(after):
    with pytest.raises(ValueError, match="give 0 or more seconds, or a timedelta"):
        Snooze(after)
    with pytest.raises(ValueError, match="give 0 or more seconds, or a timedelta"):
        Retry(after)


def test_snooze_takes_one_of_after_and_until():
    until = datetime(2030, 1, 1, tzinfo=UTC)
    assert Snooze(until=until).until == until
    with pytest.raises(TypeError, match="either after= or until="):
        Snooze()
    with pytest.raises(TypeError, match="either after= or until="):
        Snooze(5, until)


@pytest.mark.parametrize("until", [datetime.max.replace(tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)])
def test_snooze_refuses_a_time_at_which_jobs_are_parked(until):
    with pytest.raises(ValueError, match="give a time before the year 9000"):
        Snooze(until=until)


def test_snooze_refuses_a_naive_time():
    with pytest.raises(ValueError, match="is a naive time; give an aware one"):
        Snooze(until=datetime(2030, 1, 1))  # noqa: DTZ001


def test_what_a_task_raises_reads_well_in_a_log():
    assert str(Retry()) == "asked to be tried again"
    assert str(Retry(5)) == "asked to be tried again after 5 s"
    assert str(Snooze(60)) == "snoozed for 60 s"
    assert str(Discard("no such order")) == "no such order"


@pytest.mark.parametrize(
    ("asked", "known", "near"),
    [
        ("purge", ["site.photos.tasks.purge", "purgatory"], "site.photos.tasks.purge"),
        ("shop.jobs.send", ["mail.send_all", "mail.tasks.send"], "mail.tasks.send"),
        ("nigthly", ["nightly"], "nightly"),
    ],
)
def test_a_name_that_is_not_there_has_its_neighbour_named(asked, known, near):
    assert f'Did you mean "{near}"?' in str(ScheduleNotFound(asked, known))
    assert f'Did you mean "{near}"?' in str(TaskNotFound(asked, "gone", known))


def test_no_neighbour_is_named_where_there_is_none():
    assert "Did you mean" not in str(ScheduleNotFound("purge", ["weekly"]))
