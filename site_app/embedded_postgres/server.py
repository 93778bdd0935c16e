"""One process's handle on the server of one folder."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from .accounts import Account, account_for, give_to, is_ours, run_as
from .binaries import binaries_for
from .errors import EmbeddedPostgresError
from .folders import PORT, is_fit_for_socket, make_folder, make_socket_folder, reachable_folder, socket_folder_of
from .guardian import Charge, start_guardian
from .processes import (
    POLL,
    START_TIMEOUT,
    StopMode,
    accepts_connections,
    end_server,
    guardian_of,
    is_alive,
    is_same_file,
    last_lines,
    postmaster_of,
    take_lock,
    wait_until_settled,
)

DEFAULT_VERSION = "18"
SUPERUSER = "postgres"
START_LOCK = "start.lock"

# For tests: a commit need not reach the disk. Never for data somebody wants to keep.
FORGETFUL: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}

SettingValue = str | int | bool


class EmbeddedPostgres:
    """One process's handle on the server of one folder.

    Several processes may hold handles on one folder; the first starts the server, the settings of the first hold.
    Usable as a context manager. Start and stop may be called twice, and stop without start.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        version: str | int = DEFAULT_VERSION,
        settings: Mapping[str, SettingValue] | None = None,
        temporary: bool = False,
    ) -> None:
        """Describe a server; nothing happens on disk before `start`.

        folder:    where the data is kept; made when missing.
        version:   major version; 16 and 18 come with the wheel, others must be installed by Debian's packages.
        settings:  lines of postgresql.conf for this server, such as FORGETFUL.
        temporary: the folder is removed when the last user is gone.
        """
        self.version = str(version)
        self.wanted_folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow the user's links
        self.settings = {**self._defaults(), **(settings or {})}
        self.temporary = temporary
        self._within_process = threading.RLock()  # one thread at a time; the file locks do it between processes
        self._use: IO[str] | None = None  # our shared lock; closing it is the only way it is given back

    @staticmethod
    def _defaults() -> dict[str, SettingValue]:
        return {
            "listen_addresses": "",
            "port": PORT,
            "max_connections": 200,
            "shared_buffers": "128MB",
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",  # the tests and the error messages of this module read the log
        }

    def __repr__(self) -> str:
        """Name the folder and the version."""
        return f"EmbeddedPostgres({str(self.wanted_folder)!r}, version={self.version!r})"

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self.stop()

    # what it is

    @functools.cached_property
    def account(self) -> Account | None:
        """The account the server runs as; None when it is our own."""
        return account_for(self.wanted_folder)

    @functools.cached_property
    def folder(self) -> Path:
        """Where the data really is: the folder asked for, or one in the temporary folder when that is out of reach."""
        return reachable_folder(self.wanted_folder, self.account)

    @property
    def data(self) -> Path:
        """The cluster's folder (PGDATA)."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "postgres.log"

    @property
    def url(self) -> str:
        """The URL of the database `postgres`; known once the server was started."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the URL of one database of this server.

        The socket's folder is the host, percent-encoded: libpq, psycopg and dj-database-url all read this form, and
        Django then has it in HOST, where `dbshell` looks for it.
        """
        folder = quote(str(self.socket_folder()), safe="")
        return f"postgresql://{SUPERUSER}@{folder}:{PORT}/{quote(database, safe='')}"

    def socket_folder(self) -> Path:
        """Return the folder of the unix socket."""
        return socket_folder_of(self.folder)

    def is_running(self) -> bool:
        """Tell whether the server accepts connections now."""
        return postmaster_of(self.data) is not None and accepts_connections(self.socket_folder())

    def process_id(self) -> int | None:
        """Return the server's process id, None when it does not run."""
        return postmaster_of(self.data)

    # what it does

    def start(self) -> str:
        """Make sure that the server runs and stays for as long as this handle is in use; returns its URL."""
        with self._within_process:
            while self._use is None:
                with self._starting() as turn:
                    # Waits while the guardian stops the server: it holds the lock exclusively to the end.
                    self._use = take_lock(self.folder / "users.lock", fcntl.LOCK_SH, self.account)
                    if not is_same_file(turn, self.folder / START_LOCK):
                        self._leave()
                        continue  # a temporary folder, removed since: another process may be starting in the new one
                    try:
                        self._launch_unless_running()
                    except BaseException:
                        self._leave()
                        raise
            return self.url

    def stop(self) -> None:
        """Give up this handle. When it was the last one, the server has stopped on return."""
        with self._within_process:
            if self._use is None:
                return
            self._leave()
            # Either other users are left, and we get the shared lock at once; or the guardian has the exclusive one,
            # or will have it, and we wait for it to end with the server.
            guardian = guardian_of(self.folder)
            deadline = time.monotonic() + START_TIMEOUT
            while guardian is not None and not self._others_use_it() and is_alive(guardian):
                if time.monotonic() > deadline:
                    msg = f"the guardian of {self.folder} (process {guardian}) did not stop the server in time"
                    raise EmbeddedPostgresError(msg)
                time.sleep(POLL)

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop the server under its users' feet and start it again; the URL stays the same."""
        with self._within_process:
            self.halt(mode)
            self.resume()

    def halt(self, mode: StopMode = "fast") -> None:
        """Stop the server and leave it down although it has users: for tests of a database that is away."""
        with self._starting():
            process = postmaster_of(self.data)
            if process is not None:
                end_server(process, self.data, [mode])

    def resume(self) -> None:
        """Start a halted server."""
        if self._use is None:
            msg = f"{self!r} is not in use by this process: call start() instead of resume()"
            raise EmbeddedPostgresError(msg)
        with self._starting():
            self._launch_unless_running()

    # how it does it

    @contextlib.contextmanager
    def _starting(self) -> Iterator[IO[str]]:
        """Hold the start lock: one process at a time makes, starts or halts the server of this folder."""
        lock = take_lock(self.folder / START_LOCK, fcntl.LOCK_EX, self.account)
        try:
            yield lock
        finally:
            lock.close()

    def _leave(self) -> None:
        if self._use is not None:
            # Closed, never unlocked: a forked child shares the lock, and unlocking would take it from both.
            self._use.close()
            self._use = None

    def _others_use_it(self) -> bool:
        """Tell whether a process other than the guardian holds the users' lock."""
        try:
            with (self.folder / "users.lock").open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass  # somebody has it: users share it, the guardian does not
                else:
                    return False
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True
        except FileNotFoundError:
            return False  # a temporary folder, removed already

    def _launch_unless_running(self) -> None:
        """Start the server when it does not run, and a guardian when there is none (under the start lock)."""
        binaries = binaries_for(self.version, self.folder, self.account)
        self._make_cluster(binaries)
        wait_until_settled(self.data, self.socket_folder())
        if not self.is_running():
            (self.data / "postmaster.pid").unlink(missing_ok=True)  # a leftover: its process was looked for in vain
            self._prepare_socket()
            self._write_settings()
            self._ask_guardian(binaries, launch=True)
        elif guardian_of(self.folder) is None:
            self._ask_guardian(binaries, launch=False)  # the server outlived a guardian that was killed

    def _make_cluster(self, binaries: Path) -> None:
        """Run initdb unless the cluster is there, under another name first: an interrupted one leaves no trace."""
        for leftover in self.folder.glob("data.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.data / "PG_VERSION").exists():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != self.version:
                msg = (
                    f"{self.data} was made by Postgres {found}, and Postgres {self.version} cannot read it.\n"
                    f"Remove the folder to start with an empty database, or ask for version {found}."
                )
                raise EmbeddedPostgresError(msg)
            return
        fresh = self.folder / f"data.new-{os.getpid()}"
        make_folder(fresh, self.account)
        # Names sort by code point and letters of every language have two cases, the same on every machine.
        locale = ["--no-locale"]
        if int(self.version) >= 17:  # noqa: PLR2004 - the first version with a provider of its own
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        run_as(
            self.account,
            [
                *(str(binaries / "initdb"), "--pgdata", str(fresh), "--username", SUPERUSER, "--auth=trust"),
                *("--encoding=UTF8", *locale),
                *(["--no-sync"] if self.settings.get("fsync") in ("off", False) else []),
            ],
            what=f"Postgres {self.version} could not make its data folder {fresh}",
        )
        with (fresh / "postgresql.conf").open("a") as file:
            file.write("\ninclude_if_exists 'queue_tasks.conf'\n")
        if self.data.exists():
            shutil.rmtree(self.data)  # half a cluster, of somebody else's making
        fresh.rename(self.data)

    def _write_settings(self) -> None:
        settings = {**self.settings, "unix_socket_directories": str(self.socket_folder())}
        lines = [f"{name} = {as_setting(value)}\n" for name, value in settings.items()]
        file = self.data / "queue_tasks.conf"
        file.write_text("".join(lines))
        give_to(self.account, file)

    def _prepare_socket(self) -> None:
        """Make an empty folder for the socket, in a short place when the path is too long for one."""
        pointer = self.folder / "socket.path"
        usual = self.folder / "socket"
        if is_fit_for_socket(usual):
            pointer.unlink(missing_ok=True)
            shutil.rmtree(usual, ignore_errors=True)
            make_folder(usual, self.account)
            return
        elsewhere = self.socket_folder()
        if elsewhere == usual or not is_ours(elsewhere, self.account):
            elsewhere = make_socket_folder(self.account)
            pointer.write_text(str(elsewhere))
            give_to(self.account, pointer)
        for leftover in elsewhere.iterdir():
            leftover.unlink()

    def _ask_guardian(self, binaries: Path, *, launch: bool) -> None:
        """Have the guardian launch the server, starting the guardian first when there is none; wait for the outcome."""
        outcome = self.folder / "launch.outcome"
        outcome.unlink(missing_ok=True)
        guardian = guardian_of(self.folder)
        if guardian is not None:
            os.kill(guardian, signal.SIGUSR1)
        else:
            start_guardian(
                Charge(
                    folder=str(self.folder),
                    binaries=str(binaries),
                    account=self.account,
                    temporary=self.temporary,
                    launch=launch,
                )
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not outcome.exists():
            if time.monotonic() > deadline:
                self._refuse("no answer from the guardian")
            time.sleep(POLL)
        answer = outcome.read_text()
        if answer != "ready":
            self._refuse(answer)

    def _refuse(self, found: str) -> None:
        msg = (
            f"Postgres {self.version} did not start in {self.folder}: {found}.\n"
            f"{last_lines(self.log)}{last_lines(self.folder / 'guardian.log')}"
            "Remove that folder to start with an empty database, or set DATABASE_URL to use a server of your own."
        )
        raise EmbeddedPostgresError(msg)


def as_setting(value: SettingValue) -> str:
    """Write a value as postgresql.conf wants it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    escaped = str(value).replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
