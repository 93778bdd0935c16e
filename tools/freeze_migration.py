"""Freeze what changed in sql/ into a new migration.

Usage   python tools/freeze_migration.py NAME        the next delta: every living file that differs from its newest
                                                     frozen copy; with its reverse and its Django migration
        python tools/freeze_migration.py --initial   0001_initial.sql anew, and the drops in its reverse, as long as
                                                     it is not released
        ... --project FOLDER                         another project folder (for the tool's tests)

A migration is made of living files, each after the line "-- from sql/<folder>/<file>", by which the next run finds the
newest frozen copy. Read what was written before you commit it: columns that went, and tables with rows in them, are
yours to think about. Released migrations (sql/migrations/frozen.sha256, tools/lint_sql.py) are never touched.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
INITIAL = "0001_initial.sql"
FIRST = "queue_tasks_parked_until_v1"  # other functions are checked against it when they are created
DROPPED = ("triggers", "functions", "indexes", "tables")
"""The folders whose objects the first migration's reverse drops, in this order."""
MARK = re.compile(r"^-- from (sql/\S+)\n", re.MULTILINE)
DJANGO_MIGRATION = '''"""{title}; see sql/migrations/{name}.sql."""

from typing import ClassVar

from django.db import migrations

from queue_tasks.schema import run_sql_file


class Migration(migrations.Migration):
    dependencies: ClassVar = [("queue_tasks", "{before}")]
    operations: ClassVar = [run_sql_file("{name}")]
'''


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the migration; returns the exit code."""
    parser = argparse.ArgumentParser(description="Freeze what changed in sql/ into a new migration.")
    parser.add_argument("name", nargs="?", help="what the change does, in words joined by _")
    parser.add_argument("--initial", action="store_true", help=f"write {INITIAL} anew, while it is not released")
    parser.add_argument("--project", type=Path, default=PROJECT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.initial == bool(options.name):
        parser.error("give the new migration's name, or --initial")
    if options.initial:
        return write_initial(options.project)
    if not re.fullmatch(r"[a-z]\w*", options.name):
        parser.error(f"the name is {options.name!r}; expected words of a-z, 0-9 joined by _")
    return write_delta(options.project, options.name)


def write_initial(project: Path) -> int:
    """Write the first migration from all living files."""
    folder = project / "sql" / "migrations"
    released = folder / "frozen.sha256"
    if released.exists() and INITIAL in released.read_text():
        print(f"{INITIAL} is released and never changes again: give the new migration's name", file=sys.stderr)
        return 1
    (folder / INITIAL).write_text(initial_text(project), encoding="utf-8")
    reverse = folder / INITIAL.replace(".sql", ".reverse.sql")
    reverse.write_text(reverse_text(project, reverse.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote sql/migrations/{INITIAL}, and the drops in its reverse")
    return 0


def initial_text(project: Path) -> str:
    """Return the first migration: what upstream has and we replace goes, then every living file in its order."""
    parts = [
        "-- 0001_initial: everything in sql/ at version 0.1.0, frozen\n-- Called by  manage.py migrate queue_tasks\n"
    ]
    parts.extend(section(path, (project / path).read_text(encoding="utf-8")) for path in living_files(project))
    return "\n".join(parts)


def reverse_text(project: Path, text: str) -> str:
    """Return the first migration's reverse with its drops anew: between "-- drop <folder>" and "-- end of <folder>".

    What upstream had stands beside them, and is written by hand. Raises ValueError when a folder has no such place.
    """
    for folder in DROPPED:
        paths = [path for path in living_files(project) if path.startswith(f"sql/{folder}/")]
        drops = [drop(path, (project / path).read_text(encoding="utf-8")) for path in reversed(paths)]
        begin, end = f"-- drop {folder}\n", f"-- end of {folder}\n"
        before, found, rest = text.partition(begin)
        _, also_found, after = rest.partition(end)
        if not (found and also_found):
            raise ValueError(f"the reverse of {INITIAL} has no place for {folder}: lines {begin!r} and {end!r}")
        text = "".join([before, begin, *(f"{each}\n" for each in drops), end, after])
    return text


def write_delta(project: Path, name: str) -> int:
    """Write the next migration from the living files that differ from their newest frozen copies."""
    folder = project / "sql" / "migrations"
    existing = sorted(file.stem for file in folder.glob("*.sql") if not file.name.endswith(".reverse.sql"))
    frozen = newest_copies(project, existing)
    living = {path: (project / path).read_text(encoding="utf-8").strip() + "\n" for path in living_files(project)}
    changed = [path for path in dict.fromkeys([*living, *frozen]) if living.get(path) != frozen.get(path)]
    if not changed:
        print("nothing changed in sql/ since the newest migration", file=sys.stderr)
        return 1
    forward = [step(path, frozen.get(path), living.get(path)) for path in changed]
    reverse = [step(path, living.get(path), frozen.get(path)) for path in reversed(changed)]
    number = f"{len(existing) + 1:04}_{name}"
    title = name.replace("_", " ").capitalize()
    (folder / f"{number}.sql").write_text(
        "\n".join([f"-- {number}: {title.lower()}\n-- Called by  manage.py migrate queue_tasks\n", *forward]),
        encoding="utf-8",
    )
    (folder / f"{number}.reverse.sql").write_text(
        "\n".join(
            [f"-- {number}.reverse: back\n-- Called by  manage.py migrate queue_tasks {existing[-1][:4]}\n", *reverse]
        ),
        encoding="utf-8",
    )
    module = project / "queue_tasks" / "migrations" / f"{number}.py"
    module.write_text(DJANGO_MIGRATION.format(title=title, name=number, before=existing[-1]), encoding="utf-8")
    print(f"wrote sql/migrations/{number}.sql, its reverse and {module.relative_to(project)}, of: {', '.join(changed)}")
    return 0


def living_files(project: Path) -> Iterator[str]:
    """Give the paths of the living files in the order in which they can be installed."""
    for folder in ("upstream", "tables", "indexes", "functions", "triggers"):
        files = (project / "sql" / folder).glob("*.sql")
        for file in sorted(files, key=lambda file: (file.stem != FIRST, file.name)):
            yield f"sql/{folder}/{file.name}"


def section(path: str, text: str) -> str:
    """Return a file's text as a part of a migration."""
    before = ""
    if path.startswith("sql/indexes/"):
        # "create index if not exists" would keep the old one under the same name, be it ours or upstream's.
        before = f"drop index if exists {Path(path).stem};\n"
    return f"-- from {path}\n{before}{text.strip()}\n"


def step(path: str, before: str | None, after: str | None) -> str:
    """Return what brings an object from one text to another; no text means that it is not there."""
    if after is None:
        return f"-- from {path}\n{drop(path, before or '')}\n"
    parts = [section(path, after)]
    gone = columns(before or "") - columns(after)
    parts += [f"alter table {Path(path).stem} drop column if exists {column};\n" for column in sorted(gone)]
    return "".join(parts)


def columns(text: str) -> set[str]:
    """Return the columns that a table's file adds."""
    return set(re.findall(r"add column if not exists (\w+)", text))


def newest_copies(project: Path, migrations: Sequence[str]) -> dict[str, str]:
    """Return each file's newest frozen copy: path -> text."""
    found: dict[str, str] = {}
    for name in migrations:
        text = (project / "sql" / "migrations" / f"{name}.sql").read_text(encoding="utf-8")
        pieces = MARK.split(text)
        for path, piece in zip(pieces[1::2], pieces[2::2], strict=True):
            # What stands around the copy: an index's own drop before it, dropped columns behind it.
            body = re.sub(r"\Adrop index if exists \w+;\n(?=--)", "", piece)
            body = re.sub(r"\n(alter table \w+ drop column if exists \w+;\n)+\s*\Z", "\n", body)
            if not body.startswith("--"):  # the header of a copy: it was dropped
                found.pop(path, None)
            else:
                found[path] = body.strip() + "\n"
    return found


def drop(path: str, text: str) -> str:
    """Return the statements that take a living file's objects away."""
    name = Path(path).stem
    match Path(path).parent.name:
        case "tables" if name.startswith("queue_tasks_"):
            return f"drop table if exists {name};"
        case "tables":
            gone = ",\n".join(f"    drop column if exists {column}" for column in sorted(columns(text)))
            return f"alter table {name}\n{gone};"
        case "indexes":
            return f"drop index if exists {name};"
        case "functions":
            return f"drop function if exists {name};"
        case "triggers":
            table = re.search(r"\bon (procrastinate_\w+|queue_tasks_\w+)", text)
            functions = re.findall(r"create or replace function (\w+)\(\)", text)
            lines = [f"drop trigger if exists {name} on {table[1] if table else '?'};"]
            return "\n".join([*lines, *(f"drop function if exists {function}();" for function in functions)])
    return "-- TODO: take it away by hand"


if __name__ == "__main__":
    raise SystemExit(main())
