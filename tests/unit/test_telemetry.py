"""Telemetry: whether a line that Django writes of a task would reach anybody."""

import logging

import pytest
from django.utils.log import CallbackFilter, RequireDebugFalse, RequireDebugTrue

from queue_tasks import compat, telemetry


@pytest.fixture
def framework(monkeypatch):
    """A logger in place of Django's, without a parent, at the level that Django's has where nobody set one."""
    logger = logging.Logger(compat.FRAMEWORK, logging.INFO)  # noqa: LOG001 - nobody else may find it
    monkeypatch.setattr(telemetry, "_framework_logger", logger)
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler())
    assert logging.lastResort is not None
    logging.lastResort.setLevel(logging.WARNING)
    return logger


def handler(level=logging.NOTSET, *filters):
    made = logging.StreamHandler()
    made.setLevel(level)
    for each in filters:
        made.addFilter(each)
    return made


@pytest.mark.parametrize(("debug", "heard"), [(False, False), (True, True)])
def test_django_s_own_console_is_for_debugging(framework, settings, debug, heard):
    settings.DEBUG = debug
    framework.addHandler(handler(logging.INFO, RequireDebugTrue()))
    framework.addHandler(handler(logging.ERROR, RequireDebugFalse()))
    assert telemetry.log_is_heard(logging.INFO) is heard
    assert telemetry.signal_is_heard(compat.task_started) is heard
    # The mail to the administrators, or the console.
    assert telemetry.log_is_heard(logging.ERROR)
    assert telemetry.signal_is_heard(compat.task_finished, failed=True)


@pytest.mark.parametrize(
    ("made", "heard"),
    [
        (handler(), True),
        (handler(logging.INFO), True),
        (handler(logging.WARNING), False),
        (handler(logging.INFO, RequireDebugFalse()), True),
        (handler(logging.INFO, CallbackFilter(lambda _: False)), True),  # of a stranger's filter nothing is known
        (logging.NullHandler(), False),
    ],
)
def test_a_handler_of_the_project_s(framework, settings, made, heard):
    settings.DEBUG = False
    framework.addHandler(made)
    assert telemetry.log_is_heard(logging.INFO) is heard


def test_a_logger_that_is_set_higher_is_silent(framework):
    framework.addHandler(handler())
    framework.setLevel(logging.WARNING)
    assert not telemetry.log_is_heard(logging.INFO)
    assert telemetry.log_is_heard(logging.WARNING)


@pytest.mark.parametrize("propagates", [True, False])
def test_handlers_further_up_hear_what_is_passed_on(framework, propagates):
    framework.parent = logging.Logger("above", logging.ERROR)  # noqa: LOG001 - the same
    framework.parent.addHandler(handler())
    framework.propagate = propagates
    assert telemetry.log_is_heard(logging.INFO) is propagates


def test_without_any_handler_there_is_a_last_resort(framework):
    assert telemetry.log_is_heard(logging.WARNING)
    assert not telemetry.log_is_heard(logging.INFO)


def test_a_receiver_of_the_project_s_hears_whatever_the_log_does(framework):
    def receiver(**_):
        pass

    assert not telemetry.signal_is_heard(compat.task_started)
    compat.task_started.connect(receiver)
    try:
        assert telemetry.signal_is_heard(compat.task_started)
    finally:
        compat.task_started.disconnect(receiver)
