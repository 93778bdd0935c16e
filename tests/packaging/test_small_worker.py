"""What a worker, and a child that runs bodies of executor="process", load: nothing that only other processes need."""

from __future__ import annotations

import subprocess
import sys

import pytest

OF_OTHERS = (
    "http.server",
    "queue_tasks.deploy_checks",
    "queue_tasks.schema",
    "queue_tasks.testing",
    "queue_tasks.worker.port",
    "queue_tasks.worker.supervisor",
)
"""Modules for those who have a port, who supervise, who migrate, who deploy, who test."""

START = """
import sys
import django
django.setup()
import queue_tasks.management.commands.queue_worker
print("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    settings = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings", "DATABASE_URL": "postgresql:///nowhere"}
    said = subprocess.run([sys.executable, "-c", START], env=settings, check=True, capture_output=True, text=True)
    return set(said.stdout.splitlines())


@pytest.mark.parametrize("module", OF_OTHERS)
def test_a_worker_does_not_load(loaded: set[str], module: str) -> None:
    assert "queue_tasks.worker.worker" in loaded
    assert module not in loaded


IN_A_CHILD = """
import sys
import django
django.setup()
import queue_tasks.worker.serving
print("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def loaded_by_a_child() -> set[str]:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "postgresql:///nowhere"}
    said = subprocess.run([sys.executable, "-c", IN_A_CHILD], env=settings, check=True, capture_output=True, text=True)
    return set(said.stdout.splitlines())


@pytest.mark.parametrize(
    "package", ["queue_tasks.dashboard", "queue_tasks.overview", "queue_tasks.admin.pages", *OF_OTHERS]
)
def test_a_child_of_a_project_with_the_admin_does_not_load(loaded_by_a_child: set[str], package: str) -> None:
    assert {"django.contrib.admin.options", "queue_tasks.admin", "queue_tasks.worker.serving"} <= loaded_by_a_child
    assert [name for name in loaded_by_a_child if f"{name}.".startswith(f"{package}.")] == []
