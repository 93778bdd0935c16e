"""queue_worker while its database is restarted: on a server of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import psycopg
import pytest

from site_app.embedded_postgres import FORGETFUL, EmbeddedPostgres, StopMode
from tests.acceptance.workers import BUSY, Table, worker_process
from tests.postgres import PROJECT
from tests.waiting import wait_until


def more_than(table: Table, count: int) -> bool:
    return table.statuses().get("succeeded", 0) > count


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_the_database_ends_no_worker_and_loses_no_job(tmp_path: Path, mode: StopMode) -> None:
    with EmbeddedPostgres(tmp_path / "pg", settings=FORGETFUL, temporary=True) as server:
        environment = {**os.environ, "DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=PROJECT, env=environment, check=True)
        with worker_process(server.url, "--concurrency", "8") as worker:
            for _ in range(2):
                before = Table(server.url)
                before.all(
                    "select queue_tasks_enqueue_v1('tests.testapp.tasks.sleep', '[0.05]') from generate_series(1, 150)"
                )
                wait_until(partial(more_than, before, 5))
                server.restart(mode)
                before.db.close()
            after = Table(server.url)
            try:
                wait_until(lambda: after.statuses() == {"succeeded": 300}, 60)
                after.all("select queue_tasks_enqueue_v1('tests.testapp.tasks.create_group', '[\"after\"]')")
                wait_until(lambda: after.all("select 1 from auth_group where name = 'after'"))
                wait_until(lambda: after.backends("queue_tasks listen"))
                assert worker.process.poll() is None
                assert len(after.workers()) == 1
                code, took = worker.stop()
                assert code == 0, worker.output
                assert took < 2 + BUSY, worker.output
            finally:
                after.db.close()


def test_a_worker_told_to_stop_while_its_database_is_away_ends_all_the_same(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "pg", settings=FORGETFUL, temporary=True) as server:
        environment = {**os.environ, "DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=PROJECT, env=environment, check=True)
        with worker_process(server.url, "--grace", "1") as worker:
            server.halt("immediate")
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.url).close()
            code, took = worker.stop()
            server.resume()
        assert code == 0, worker.output
        assert took < 1 + 2 + BUSY, worker.output
        assert "Traceback" not in worker.output
