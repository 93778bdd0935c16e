"""Who is alive: locks that end with their process, the guardian's and the server's process, and the server's end."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

from .accounts import Account, give_to
from .errors import EmbeddedPostgresError
from .folders import PORT, make_folder

START_TIMEOUT = 120.0  # seconds; a crash recovery on a slow disk takes its time
STOP_TIMEOUT = 30.0  # seconds, per step: polite, immediate, killed
POLL = 0.01  # seconds between looks at a file or a process of another program

StopMode = Literal["smart", "fast", "immediate", "kill"]
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}


def take_lock(path: Path, kind: int, account: Account | None) -> IO[str]:
    """Open a file, made when missing, and lock it; closing it gives the lock back."""
    deadline = time.monotonic() + START_TIMEOUT + STOP_TIMEOUT
    while True:
        make_folder(path.parent, account)
        try:
            # Close-on-exec, Python's default: programs we start do not count as users, forked children do.
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
            continue  # the folder was removed since
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


def is_same_file(file: IO[str], path: Path) -> bool:
    """Tell whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


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
