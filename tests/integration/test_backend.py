"""PostgresBackend as Django sees it: what it supports, its settings, its system checks."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections

import queue_tasks.checks
from queue_tasks import Task, compat
from queue_tasks.backend import PostgresBackend
from queue_tasks.checks import check_backend, check_database
from queue_tasks.conf import Options
from tests.testapp import tasks

PROJECT = Path(__file__).parents[2]


def backend(**params: Any) -> PostgresBackend:
    return PostgresBackend("default", {"QUEUES": [], **params})


def ids(found: list[checks.CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


# ------------------------------------------------------------------------------------------------------------- backend


@pytest.mark.parametrize("feature", ["defer", "async_task", "get_result", "priority"])
def test_it_supports_all_there_is_to_support(feature):
    assert getattr(backend(), f"supports_{feature}") is True


def test_django_makes_it_from_the_settings():
    assert isinstance(compat.task_backends["default"], PostgresBackend)


def test_making_it_reads_and_connects_nothing():
    """Django makes one for each thread and async context."""
    made = backend(OPTIONS={"nonsense": 1})
    assert "settings" not in made.__dict__


def test_its_settings_are_read_once():
    made = backend(OPTIONS={"grace": 5})
    assert made.settings == Options.read({"grace": 5})
    assert made.settings is made.settings


def test_wrong_options_are_told_with_the_name_of_the_entry():
    with pytest.raises(ImproperlyConfigured, match=re.escape('TASKS["default"]: OPTIONS["grace"] is -1; expected')):
        _ = backend(OPTIONS={"grace": -1}).settings


@pytest.mark.parametrize("queues", ["default", {"default": 1}, [""], [1]])
def test_queues_that_are_no_list_of_names_are_refused(queues):
    with pytest.raises(ImproperlyConfigured, match=r'TASKS\["default"\]\["QUEUES"\]'):
        backend(QUEUES=queues)


def test_any_queue_may_be_used_when_none_is_declared():
    backend(QUEUES=[]).validate_task(tasks.add.using(queue_name="anything"))


def test_only_declared_queues_may_be_used_when_some_are():
    made = backend(QUEUES=["default", "media"])
    made.validate_task(tasks.add)
    with pytest.raises(compat.InvalidTask, match="Queue 'mail' is not valid for backend") as refusal:
        made.validate_task(tasks.add.using(queue_name="mail"))
    assert str(refusal.value).endswith(
        'tests.testapp.tasks.add names it, and TASKS["default"]["QUEUES"] has: default, media. Add it there; '
        '"QUEUES": [] allows any name.'
    )


@pytest.mark.django_db
def test_a_task_is_checked_again_as_it_is_enqueued(settings, django_assert_num_queries):
    changed = tasks.add.using(queue_name="media")
    settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": ["default"]}}
    with django_assert_num_queries(0), pytest.raises(compat.InvalidTask):
        changed.enqueue(1)


@pytest.mark.skipif(not hasattr(compat.Task, "_reconstruct"), reason="tasks can be pickled from Django 6.1 on")
def test_a_task_can_be_pickled():
    changed = tasks.discard.using(priority=3)
    assert pickle.loads(pickle.dumps(changed)) == changed  # noqa: S301 - our own


@pytest.mark.django_db
def test_a_task_declared_by_djangos_decorator_works_with_it():
    django_task: Any = compat.Task(
        func=tasks.add.func, priority=0, queue_name="default", backend="default", takes_context=False, run_after=None
    )
    result = django_task.enqueue(1, b=2)
    assert isinstance(result.task, Task)
    assert django_task.get_result(result.id) == result


# -------------------------------------------------------------------------------------------------------------- checks


def test_good_settings_pass():
    assert check_backend("default", {}) == []


def test_E001_names_each_wrong_option():  # noqa: N802 - the id of the check
    found = check_backend("default", {"grace": -1, "poll_intervall": 5})
    assert ids(found) == ["queue_tasks.E001", "queue_tasks.E001"]
    assert found[0].msg.startswith('TASKS["default"]: OPTIONS["poll_intervall"] is not an option.')
    assert found[1].msg.startswith('TASKS["default"]: OPTIONS["grace"] is -1; expected 0 or more seconds')


def test_E002_names_the_database_that_is_not_there():  # noqa: N802
    [found] = check_backend("default", {"database": "jobs"})
    assert found.id == "queue_tasks.E002"
    assert found.msg == 'TASKS["default"]["OPTIONS"]["database"] is \'jobs\', which DATABASES does not have.'
    assert found.hint == "Use one of: default."


def test_E003_names_the_database_that_is_no_postgres(settings):  # noqa: N802
    connections.settings["lite"] = {
        **connections.settings["default"], "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"
    }  # fmt: skip
    settings.PROCRASTINATE_DATABASE_ALIAS = "lite"
    try:
        [found] = check_backend("default", {"database": "lite"})
    finally:
        del connections["lite"]
        del connections.settings["lite"]
    assert found.id == "queue_tasks.E003"
    assert found.msg == "Database 'lite' is sqlite; jobs need PostgreSQL."


def test_E004_names_the_app_that_is_missing(settings):  # noqa: N802
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "procrastinate.contrib.django"]
    [found] = check_backend("default", {})
    assert found.id == "queue_tasks.E004"
    assert 'INSTALLED_APPS lacks "procrastinate.contrib.django"' in found.msg


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"page_sise": 10}, "has 'page_sise', which is no preference. Did you mean \"page_size\"?"),
        ({"page_size": 0}, "page_size is 0; expected a whole number from 1 to 500"),
        ({"backend": "nowhere"}, 'TASKS["nowhere"], which is not a queue_tasks.backend.PostgresBackend'),
    ],
)
def test_E005_says_what_is_wrong_with_the_dashboard_s_setting(settings, setting, said):  # noqa: N802
    settings.QUEUE_TASKS_DASHBOARD = setting
    [found] = [message for message in checks.run_checks() if message.id == "queue_tasks.E005"]
    assert said in found.msg


def test_W001_names_two_databases_that_never_meet(settings):  # noqa: N802
    settings.PROCRASTINATE_DATABASE_ALIAS = "elsewhere"
    [found] = check_backend("default", {})
    assert found.id == "queue_tasks.W001"
    assert "keeps jobs in database 'default', procrastinate in 'elsewhere'" in found.msg


@pytest.mark.django_db
def test_W010_names_the_objects_that_are_not_as_they_should_be():  # noqa: N802
    assert check_database("default") == []
    with connection.cursor() as cursor:
        cursor.execute("drop index procrastinate_jobs_qt_expires_idx")
    [found] = check_database("default")
    assert found.id == "queue_tasks.W010"
    assert "procrastinate_jobs_qt_expires_idx" in found.msg


@pytest.mark.django_db
def test_W011_names_the_objects_that_nobody_knows():  # noqa: N802
    with connection.cursor() as cursor:
        cursor.execute("create function queue_tasks_mystery_v9() returns void language sql as ''")
    [found] = check_database("default")
    assert found.id == "queue_tasks.W011"
    assert "queue_tasks_mystery_v9" in found.msg


def test_every_check_has_a_test():
    library = PROJECT / "queue_tasks"
    sources = "".join((library / name).read_text(encoding="utf-8") for name in ("checks.py", "periodic.py"))
    here = Path(__file__).read_text(encoding="utf-8")
    of_schedules = (PROJECT / "tests/unit/test_periodic.py").read_text(encoding="utf-8")
    numbers = set(re.findall(r'"queue_tasks\.([EW]\d+)"', sources))
    assert {"E001", "E010"} <= numbers
    for number in numbers:
        assert f"def test_{number}_" in here or f"queue_tasks.{number}" in of_schedules, number


def test_every_check_says_what_to_do():
    source = Path(queue_tasks.checks.__file__).read_text(encoding="utf-8")
    assert source.count("hint=") == len(re.findall(r"\bid=", source))


def test_manage_py_check_tells_wrong_options(dsn):
    """As a process: Django runs the checks of every entry of TASKS by itself."""
    settings = "from tests.settings import *\nTASKS['default']['OPTIONS'] = {'grace': -1}\n"
    code = f"import sys, types; m = types.ModuleType('bad_settings'); exec({settings!r}, m.__dict__); "
    code += "sys.modules['bad_settings'] = m; from django.core.management import execute_from_command_line; "
    code += "execute_from_command_line(['manage.py', 'check'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "bad_settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert '(queue_tasks.E001) TASKS["default"]: OPTIONS["grace"] is -1; expected 0 or more seconds' in done.stderr
