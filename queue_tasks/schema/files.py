"""The living files in sql/: the objects they make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from queue_tasks.schema.objects import Kind, Wanted
from queue_tasks.schema.writing import normal_column, normal_function_head, normal_statement, signature
from queue_tasks.statements import sql_root

REPLACED = "upstream/replaced.sql"
"""Upstream's triggers and constraints that ours replace."""

FIRST_FUNCTION = "queue_tasks_parked_until_v1"  # other functions are checked against it when they are created


@cache
def wanted() -> tuple[Wanted, ...]:
    """Every object of ours, as the living files make it, in the order of installation."""
    return (*_wanted_columns(), *_wanted_indexes(), *_wanted_functions(), *_wanted_triggers())


@cache
def replaced() -> tuple[tuple[Kind, str], ...]:
    """Upstream's triggers and constraints that ours replace, as (kind, "name on table")."""
    text = read(REPLACED)
    triggers = re.findall(r"drop trigger if exists (\w+) on (\w+)", text)
    constraints = re.findall(r"alter table (\w+) drop constraint if exists (\w+)", text)
    return (
        *((Kind.UPSTREAM_TRIGGER, f"{name} on {table}") for name, table in triggers),
        *((Kind.UPSTREAM_CONSTRAINT, f"{name} on {table}") for table, name in constraints),
    )


def _wanted_columns() -> Iterator[Wanted]:
    for file in _files("tables"):
        text = without_comments(read(file))
        table = Path(file).stem
        defaults = dict(re.findall(r"alter column (\w+) set default ([^;]+);", text))
        for name, definition in re.findall(r"add column if not exists (\w+) ([^,;]+)[,;]", text):
            default = f" default {defaults[name]}" if name in defaults else ""
            yield Wanted(Kind.COLUMN, f"{table}.{name}", file, normal_column(definition + default))


def _wanted_indexes() -> Iterator[Wanted]:
    for file in _files("indexes"):
        text = without_comments(read(file))
        yield Wanted(Kind.INDEX, Path(file).stem, file, normal_statement(text.replace("if not exists ", "")))


def _wanted_functions() -> Iterator[Wanted]:
    files = sorted([*_files("functions"), *_files("triggers")], key=lambda file: Path(file).stem != FIRST_FUNCTION)
    for file in files:
        for head, name, body in re.findall(
            r"^(create or replace function (\w+)\(.*?)\bas \$body\$(.*?)\$body\$;",
            read(file),
            re.DOTALL | re.MULTILINE,
        ):
            normal = normal_function_head(head)
            yield Wanted(Kind.FUNCTION, name, file, normal + body, signature(normal))


def _wanted_triggers() -> Iterator[Wanted]:
    for file in _files("triggers"):
        found = re.search(r"^create or replace trigger .*?;", read(file), re.DOTALL | re.MULTILINE)
        if found:
            text = found.group().replace("create or replace", "create")
            yield Wanted(Kind.TRIGGER, Path(file).stem, file, normal_statement(text))


def _files(folder: str) -> list[str]:
    return sorted(f"{folder}/{file.name}" for file in (sql_root() / folder).glob("*.sql"))


def read(file: str) -> str:
    """The text of a file, by its path within sql/."""
    return (sql_root() / file).read_text(encoding="utf-8")


def without_comments(text: str) -> str:
    """The statements of a file."""
    return re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
