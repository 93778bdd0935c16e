"""The pytest plugin, as a project has it: loaded by its entry point, with pytest-django, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

PROJECT = Path(__file__).resolve().parents[2]
PLUGIN = "queue_tasks.pytest_plugin"

CONFIGURATION = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

TESTS = dedent(
    """
    import pytest
    from django.contrib.auth.models import Group
    from django.db import connection
    from django.test import TransactionTestCase
    from asgiref.sync import sync_to_async
    from tests.testapp.tasks import add, create_group
    from tests.waiting import wait_until

    sessions = []

    def session():
        connection.ensure_connection()
        return connection.connection.info.backend_pid

    @pytest.fixture(scope="session")
    def django_db_setup():
        '''The database of the test that started this one.'''

    def test_in_a_transaction(drain_jobs, enqueued_jobs, run_job):
        create_group.enqueue("g")
        assert run_job(add.enqueue(1)).return_value == 2
        (waiting,) = enqueued_jobs(create_group, name="g")
        assert [result.id for result in drain_jobs()] == [waiting.id]
        assert Group.objects.count() == 1
        assert connection.in_atomic_block

    def test_committing(transactional_db, drain_jobs):
        assert not Group.objects.exists()
        create_group.enqueue("g")
        assert len(drain_jobs()) == 1
        assert not connection.in_atomic_block
        add.enqueue(1)

    def test_nothing_was_left_by_committing(enqueued_jobs):
        assert enqueued_jobs() == []

    @pytest.mark.django_db(transaction=True)
    def test_committing_by_the_mark():
        add.enqueue(1)

    @pytest.mark.django_db(True)
    def test_nothing_was_left_by_the_mark(drain_jobs):
        assert drain_jobs() == []
        add.enqueue(1)

    class TestOldStyle(TransactionTestCase):
        def test_committing(self):
            assert add.enqueue(1)

    def test_nothing_was_left_by_the_test_case(drain_jobs):
        assert drain_jobs() == []

    async def test_async(adrain_jobs, aenqueued_jobs, arun_job):
        await create_group.aenqueue("g")
        assert (await arun_job(await add.aenqueue(1))).return_value == 2
        assert len(await aenqueued_jobs()) == 1
        assert len(await adrain_jobs()) == 1
        sessions.append(await sync_to_async(session)())

    async def test_another_async(arun_job):
        sessions.append(await sync_to_async(session)())

    def test_no_session_is_left_by_the_async_ones(transactional_db):
        def left():
            with connection.cursor() as cursor:
                cursor.execute("select pid from pg_stat_activity where pid = any (%s)", [sessions])
                return cursor.fetchall()

        assert len(set(sessions)) == 2
        wait_until(lambda: left() == [])

    def test_without_a_database():
        assert add.call(1) == 2
    """
)


def run_pytest(folder: Path, tests: str, dsn: str) -> str:
    """What pytest says to some tests where our package is installed."""
    (folder / "test_project.py").write_text(tests)
    (folder / "pytest.ini").write_text(CONFIGURATION)
    # As an installer writes it: the environment of these tests may have been made before there was an entry point.
    installed = folder / "site" / "queue_tasks_plugin-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: queue-tasks-plugin\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\nqueue_tasks = {PLUGIN}\n")
    (installed / "RECORD").write_text("queue_tasks/__init__.py,,\nqueue_tasks/pytest_plugin.py,,\n")
    environment = {
        **os.environ,
        "DATABASE_URL": dsn,
        "DJANGO_SETTINGS_MODULE": "tests.settings" if dsn else "",
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(folder / "site")]),
    }
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "-W",
            "error",
            "-v",
            "test_project.py",
        ],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_its_fixtures_serve_every_kind_of_test(tmp_path: Path, migrated_database: str) -> None:
    output = run_pytest(tmp_path, TESTS, migrated_database)
    assert "11 passed" in output, output


def test_it_is_silent_where_there_is_no_django(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, "def test_plain():\n    assert True\n", "")
    assert "1 passed" in output, output


def test_loading_it_does_not_ask_for_settings() -> None:
    program = f"import {PLUGIN}; from django.conf import settings; print(settings.configured)"
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_pytest_finds_it_by_itself() -> None:
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert pyproject["project"]["entry-points"]["pytest11"] == {"queue_tasks": PLUGIN}
