"""compat: one name for each thing of Django's task framework, whichever Django this is."""

import django
import pytest

from queue_tasks import compat


@pytest.mark.parametrize("name", compat.__all__)
def test_every_name_it_promises_is_there(name):
    assert getattr(compat, name) is not None


def test_the_framework_is_djangos_own_from_6_0_on():
    expected = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
    assert expected == compat.FRAMEWORK
    assert compat.Task.__module__.startswith(f"{expected}.")
    assert compat.InvalidTask.__module__ == f"{expected}.exceptions"


def test_no_other_module_asks_for_the_framework_by_name(pytestconfig):
    library = pytestconfig.rootpath / "queue_tasks"
    for file in library.rglob("*.py"):
        if file.name == "compat.py":
            continue
        text = file.read_text(encoding="utf-8")
        assert "import django_tasks" not in text, file
        assert "from django.tasks" not in text, file
        assert "from django_tasks" not in text, file
