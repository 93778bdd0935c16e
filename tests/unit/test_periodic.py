"""@periodic: what is declared, what is wrong with it, and that the system checks say so."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import override_settings

from queue_tasks import All, compat, periodic
from queue_tasks.checks import check_schedules
from queue_tasks.periodic import declared, rows_for
from tests.schedules import declare, nothing_declared
from tests.testapp.tasks import add, noop, succeed_on_attempt


@pytest.fixture(autouse=True)
def _nothing_declared() -> Iterator[None]:
    with nothing_declared():
        yield


def row(**options: Any) -> dict[str, Any]:
    declare(options.pop("task", noop), **options)
    return declared[-1].as_row()


def test_a_schedule_over_a_task_leaves_the_task_as_it_is() -> None:
    assert periodic(cron="@daily")(noop) is noop


def test_what_is_not_said_has_a_default() -> None:
    found = row(cron="0 3 * * *")
    assert found["name"] == found["task_name"] == noop.module_path
    assert (found["timezone"], found["missed"], found["overlap"], found["jitter"]) == ("UTC", "latest", "allow", 0)
    assert found["args"] == '{"args":[],"kwargs":{}}'


def test_the_default_zone_is_djangos() -> None:
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        assert row(cron="0 3 * * *")["timezone"] == "Asia/Tokyo"


def test_everything_that_is_said_is_kept() -> None:
    found = row(
        task=add,
        every=timedelta(minutes=5),
        missed=All(max=7),
        overlap="skip",
        jitter=timedelta(seconds=30),
        args=[1],
        kwargs={"b": 2},
        name="sum",
    )
    assert (found["cron"], found["every"], found["missed"], found["max_missed"]) == (None, 300, "all", 7)
    assert (found["overlap"], found["jitter"], found["name"]) == ("skip", 30, "sum")
    assert found["args"] == '{"args":[1],"kwargs":{"b":2}}'


def test_schedules_may_be_stacked() -> None:
    periodic(cron="0 3 * * *", name="night")(periodic(cron="0 12 * * *", name="noon")(noop))
    rows, wrong = rows_for("default")
    assert [found["name"] for found in rows] == ["noon", "night"]
    assert wrong == []


def test_django_s_own_tasks_may_be_periodic() -> None:
    plain = importlib.import_module(compat.FRAMEWORK).task(add.func)
    periodic(every=60, args=(1,))(plain)
    assert declared[-1].as_row()["queue_name"] == "default"


def test_over_what_is_no_task_it_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="which is not a task; write it above @task"):
        periodic(cron="@daily")(print)  # type: ignore[type-var]


def test_a_module_that_is_imported_again_declares_its_schedules_once(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "anew_tasks.py").write_text(
        "from queue_tasks import periodic, task\n"
        "@periodic(cron='@daily', name='a')\n@periodic(cron='@daily', name='b')\n@task\ndef anew(): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("anew_tasks")
    importlib.reload(module)
    assert [found.name for found in declared] == ["b", "a"]
    assert check_schedules() == []


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "a line": ({"cron": "61 * * * *"}, "queue_tasks.E010", "the field minute is wrong"),
    "nothing said": ({}, "queue_tasks.E010", "expected one of the two"),
    "both said": ({"cron": "@daily", "every": 60}, "queue_tasks.E010", "expected one of the two"),
    "too often": ({"every": 0.1}, "queue_tasks.E010", "every=0.1; expected a timedelta, or 1 to"),
    "every is no time": ({"every": "often"}, "queue_tasks.E010", "every='often'"),
    "a zone": ({"cron": "@daily", "timezone": "Mars/Olympus"}, "queue_tasks.E011", "expected an IANA name"),
    "an argument too many": (
        {"cron": "@daily", "args": (1, 2, 3)},
        "queue_tasks.E012",
        "too many positional arguments",
    ),
    "an argument that is not there": ({"cron": "@daily"}, "queue_tasks.E012", "missing a required argument: 'a'"),
    "an argument that is no JSON": ({"cron": "@daily", "args": ({1},)}, "queue_tasks.E012", 'argument "a"'),
    "missed": ({"cron": "@daily", "missed": "often"}, "queue_tasks.E013", "missed='often'"),
    "too many missed": ({"cron": "@daily", "missed": All(max=0)}, "queue_tasks.E013", "a max from 1 to 1,000"),
    "overlap": ({"cron": "@daily", "overlap": "no"}, "queue_tasks.E013", "overlap='no'"),
    "jitter": ({"cron": "@daily", "jitter": -1}, "queue_tasks.E013", "jitter=-1"),
    "a name": ({"cron": "@daily", "name": ""}, "queue_tasks.E013", "name=''"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_an_error_of_the_system_checks(case: str) -> None:
    options, check, said = WRONG[case]
    fitting: dict[str, Any] = {} if "argument" in case else {"args": (1,)}
    declare(add, **{"name": "it", **fitting, **options})
    found = check_schedules()
    assert [message.id for message in found] == [check]
    assert said in found[0].msg
    assert f"of task {add.module_path}" in found[0].msg
    assert found[0].level == checks.ERROR
    rows, wrong = rows_for("default")
    assert rows == []
    assert said in wrong[0]


def raising(error: Exception) -> Callable[..., str]:
    def lock() -> str:
        raise error

    return lock


def test_a_lock_that_raises_is_an_error_of_the_system_checks_and_none_of_the_command() -> None:
    declare(noop.using(lock=raising(KeyError("photo"))), cron="@daily")
    (found,) = check_schedules()
    assert (found.id, found.level) == ("queue_tasks.E012", checks.ERROR)
    assert "its lock raised KeyError: 'photo'" in found.msg
    rows, wrong = rows_for("default")
    assert rows == []
    assert found.msg.partition(": ")[2] in wrong[0]


def test_a_database_that_a_lock_asks_need_not_be_there_for_a_check() -> None:
    declare(noop.using(lock=raising(OperationalError("no such table"))), cron="@daily")
    assert check_schedules() == []
    with pytest.raises(OperationalError):
        # A worker tries again: it may be there by then.
        rows_for("default")


def test_two_schedules_of_one_name_are_an_error() -> None:
    declare(noop, cron="@daily")
    declare(noop, cron="@hourly")
    (found,) = check_schedules()
    assert found.id == "queue_tasks.E014"
    assert "name=" in str(found.hint)


def test_a_task_of_another_backend_is_warned_of() -> None:
    dummy = {"BACKEND": f"{compat.FRAMEWORK}.backends.dummy.DummyBackend"}
    with override_settings(TASKS={"default": dummy}):
        declare(noop, cron="@daily")
        (found,) = check_schedules()
        assert found.id == "queue_tasks.W002"
        assert rows_for("default") == ([], [])


def test_wrong_settings_of_the_backend_are_told_once_and_by_their_own_check() -> None:
    wrong = {"BACKEND": "queue_tasks.backend.PostgresBackend", "OPTIONS": {"grace": -1}}
    with override_settings(TASKS={"default": wrong}):
        declare(noop, cron="@daily")
        assert check_schedules() == []
        with pytest.raises(CommandError, match="E001"):
            call_command("check")


def test_manage_py_check_says_it_before_anything_runs() -> None:
    declare(noop, cron="61 * * * *")
    with pytest.raises(CommandError, match="E010"):
        call_command("check")


def test_a_task_with_a_context_is_given_none_by_its_schedule() -> None:
    declare(succeed_on_attempt, cron="@daily", args=(1,))
    assert check_schedules() == []
