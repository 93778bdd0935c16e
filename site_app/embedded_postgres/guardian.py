"""The guardian: a small detached process that starts the server, waits for its last user to go, and stops it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from .accounts import Account, as_account, clean_environment, give_to
from .folders import folder_beside, socket_folder_of
from .processes import (
    POLL,
    START_TIMEOUT,
    end_server,
    is_alive,
    is_ready,
    is_same_file,
    last_lines,
    postmaster_of,
    take_lock,
)


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
            [sys.executable, "-I", str(Path(__file__).parent), "guard", charge.as_json()],
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
                remove_folder(folder)
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


def clear_socket(folder: Path) -> None:
    """Remove a socket folder that was made in the temporary folder."""
    pointer = folder / "socket.path"
    with contextlib.suppress(OSError):
        shutil.rmtree(pointer.read_text(), ignore_errors=True)
        pointer.unlink()


def remove_folder(folder: Path) -> None:
    """Remove a folder and what is in it now, and nothing of whoever makes it anew meanwhile.

    It goes out of the way in one step: else the next one would move in while it is being emptied.
    """
    doomed = folder
    with contextlib.suppress(OSError):
        # Takes the place of the empty one. Where the folder above is not ours, it is emptied where it is.
        doomed = folder.rename(folder_beside(folder))
    shutil.rmtree(doomed, ignore_errors=True)


def guard_detached(charge: Charge) -> None:
    """Go on as the guardian in a forked child, and let this process end at once."""
    if os.fork() != 0:
        return
    try:
        guard(charge)
    except Exception as problem:
        tell(charge, f"the guardian ended: {problem!r}")
        raise
