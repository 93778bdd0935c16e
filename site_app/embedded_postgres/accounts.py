"""Whose server it is: the account it runs as, programs run as that account, files given to it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from .errors import EmbeddedPostgresError


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
