"""Workers as an operator starts them: real processes, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection
from psycopg.rows import dict_row

from tests.postgres import PROJECT
from tests.waiting import PATIENCE, START, wait_until

CHILD = "tests.child"  # what the Django sessions of worker processes call themselves
BUSY = 10  # seconds a busy machine may need more than was promised


class WorkerProcess:
    """`manage.py queue_worker` with some flags, and what it prints.

    command: another command of manage.py. environment: variables beside the test's own.
    """

    def __init__(
        self,
        url: str,
        *flags: str,
        settings: str = "tests.settings",
        command: Sequence[str] = ("queue_worker",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev" if "-X dev" in flags else "utf8", "manage.py", *command, *flags],
            cwd=PROJECT,
            env={
                **os.environ,
                "DATABASE_URL": url,
                "DJANGO_SETTINGS_MODULE": settings,
                "PYTHONUNBUFFERED": "1",
                "PGAPPNAME": CHILD,
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Signals of the terminal are for pytest.
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(line.rstrip("\n") for line in iter(stream.readline, ""))

    def until_ready(self) -> WorkerProcess:
        wait_until(self._is_ready, START, message="the worker did not become ready")
        return self

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.output}"
        return self.said_ready

    @property
    def said_ready(self) -> bool:
        return any(line.startswith("ready: ") for line in self.lines)

    def send(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = START) -> int:
        """The exit code."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = START) -> tuple[int, float]:
        """Send a signal; the exit code, and the seconds it took."""
        begun = time.monotonic()
        self.send(number)
        return self.wait(timeout), time.monotonic() - begun

    @property
    def output(self) -> str:
        return "\n".join([*self.lines, *self.errors])

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


@contextlib.contextmanager
def worker_process(url: str, *flags: str, ready: bool = True, **settings: Any) -> Iterator[WorkerProcess]:
    """A worker, ready unless told otherwise; killed at the end if it still runs."""
    worker = WorkerProcess(url, *flags, **settings)
    try:
        yield worker.until_ready() if ready else worker
    finally:
        worker.end()


class Table:
    """The rows as the operator sees them."""

    def __init__(self, url: str) -> None:
        self.db = psycopg.connect(url, autocommit=True, application_name="tests.acceptance", row_factory=dict_row)

    def all(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        return self.db.execute(statement, parameters or None).fetchall()

    def statuses(self) -> dict[str, int]:
        return {
            row["status"]: row["count"]
            for row in self.all("select status::text, count(*) from procrastinate_jobs group by 1")
        }

    def job(self, job_id: int | str) -> dict[str, Any]:
        return self.all("select *, status::text as status from procrastinate_jobs where id = %s", int(job_id))[0]

    def workers(self) -> list[dict[str, Any]]:
        return self.all("select * from procrastinate_workers order by id")

    def backends(self, like: str = "queue_tasks %") -> list[int]:
        found = self.all(
            "select pid from pg_stat_activity where datname = current_database() and application_name like %s", like
        )
        return [row["pid"] for row in found]

    def terminate_workers(self) -> int:
        """End every session of the worker processes on this database, and wait until they are gone."""
        found = self.all(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() "
            "and (application_name = %s or application_name like 'queue\\_tasks %%')",
            CHILD,
        )
        return len(found)


def by_sql(task: str, *args: str) -> int:
    """Enqueue a task this process need not know; its id. args: JSON texts."""
    with connection.cursor() as cursor:
        cursor.execute("select queue_tasks_enqueue_v1(%s, %s::jsonb)", [task, f"[{','.join(args)}]"])
        return int(cursor.fetchone()[0])


def doing(table: Table, count: int = 1) -> None:
    """Wait until so many jobs are with a worker."""
    wait_until(lambda: table.statuses().get("doing", 0) == count, message=f"{count} jobs running")
