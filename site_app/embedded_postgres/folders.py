"""Where its files are: the folder asked for or a stand-in for it, and a place for the socket."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .accounts import Account, give_to, is_ours
from .errors import EmbeddedPostgresError

PORT = 5432  # only a part of the socket's name: the server does not listen on the network

# Bytes of a unix socket's path, the ending NUL not counted: 107 on Linux, 103 on macOS and the BSDs.
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103


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
