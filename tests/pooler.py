"""A PgBouncer in front of the test's server, for tests: in transaction mode, killed and started again at will."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from site_app.embedded_postgres.accounts import account_for, as_account, give_to
from tests.waiting import wait_until

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")

needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)"
)


def _free_port() -> int:
    """One that no outgoing connection is given: it has to be free again after each kill."""
    while True:
        port = random.randint(10_000, 30_000)  # noqa: S311 - below those that Linux gives away by itself
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class PgBouncer:
    """`with PgBouncer(url) as pooler:` its `url` leads to the same database, through the pool.

    mode: transaction, session or statement. size: connections of the pool to the server.
    """

    def __init__(self, url: str, mode: str = "transaction", size: int = 5) -> None:
        place = urlsplit(url)
        self.database = place.path.lstrip("/")
        self.user = place.username or ""
        self.port = _free_port()
        self.url = f"postgresql://{place.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}/{self.database}"
        server = {"host": unquote(place.hostname or ""), "port": place.port, "user": self.user}
        if place.password:
            server["password"] = unquote(place.password)
        self._settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": size,
            "max_client_conn": 500,
            "server_login_retry": 1,
            "ignore_startup_parameters": "extra_float_digits,options",
        }
        self._database = " ".join(f"{name}={value}" for name, value in server.items() if value)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="queue_tasks-pgbouncer-"))
        # It refuses to run as root, and must reach the server's socket.
        self._account = account_for(Path(tempfile.gettempdir()))
        settings = "\n".join(f"{name} = {value}" for name, value in self._settings.items())
        file = self._folder / "pgbouncer.ini"
        databases = f"{self.database} = dbname={self.database} {self._database}"
        file.write_text(f"[databases]\n{databases}\n[pgbouncer]\n{settings}\n")
        for path in (self._folder, file):
            give_to(self._account, path)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-q", str(self._folder / "pgbouncer.ini")],
            **as_account(self._account),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, message="pgbouncer does not answer")

    def kill(self) -> None:
        """SIGKILL: every connection through it breaks."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"pgbouncer ended with {self._process.returncode}"
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, application_name="tests.pooler"):
            return True
        return False
