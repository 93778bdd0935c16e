"""The database objects we own: their files, whether they are installed as written, and their repair.

What comes in is a Django connection to the database the jobs live in. The living files in sql/ say how things should
be; the catalogs say how they are. Looking takes no lock that anybody would notice and changes nothing.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

from django.db import DatabaseError, OperationalError, migrations, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from queue_tasks.statements import (
    BEGIN_BUILD,
    END_BUILD,
    PREPARE_TRANSACTION,
    SCHEMA_COLUMNS,
    SCHEMA_CONSTRAINTS,
    SCHEMA_FUNCTIONS,
    SCHEMA_INDEXES,
    SCHEMA_LOCK,
    SCHEMA_TRIGGERS,
    SCHEMA_TYPES,
    sql_root,
)


class Kind(StrEnum):
    """What an object is."""

    COLUMN = "table column"
    INDEX = "index"
    FUNCTION = "function"
    TRIGGER = "trigger"
    UPSTREAM_TRIGGER = "upstream trigger"
    UPSTREAM_CONSTRAINT = "upstream constraint"
    UPSTREAM_FUNCTION = "upstream function"
    UPSTREAM_TYPE = "upstream type"


class State(StrEnum):
    """How an object stands to its file."""

    INSTALLED = "installed"
    """As its file says; of upstream's: there, as we need it."""
    OUTDATED = "outdated"
    """There, but not as its file says, or switched off."""
    MISSING = "missing"
    UNWANTED = "unwanted"
    """Upstream's own object, which ours replaces, is back."""
    UNKNOWN = "unknown"
    """Named as ours are, and in no file: left behind, or of a newer release. Never touched."""


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """One database object and how it stands to its file."""

    kind: Kind
    name: str
    """Of a column: table.column."""
    file: str
    """Path within sql/; empty when no file is about it."""
    state: State

    def __str__(self) -> str:
        """Say what it is and how it is, for logs and terminals."""
        return f"{self.kind} {self.name}: {self.state}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as its living file makes it."""

    kind: Kind
    name: str
    file: str
    definition: str
    """Normalised; compared with that of the catalogs."""
    signature: str = ""
    """Of a function: what `create or replace` cannot change."""


@dataclass(frozen=True, slots=True)
class Found:
    """One object as the catalogs describe it."""

    definition: str
    signature: str = ""
    identity: str = ""
    """Of a function: what `drop function` needs to know it by."""


# Upstream's objects that our functions and statements use; its tables are seen by our columns.
NEEDED_OF_UPSTREAM = (
    (Kind.UPSTREAM_FUNCTION, "procrastinate_defer_periodic_job_v2"),
    (Kind.UPSTREAM_TYPE, "procrastinate_job_event_type"),
    (Kind.UPSTREAM_TYPE, "procrastinate_job_status"),
)

LOCK_TIMEOUT = 0.4
"""Seconds a repair waits for each of the four tables at a time: whoever comes after it waits behind it."""

LOCK_REFUSED = ("55P03", "40P01")
"""SQLSTATEs of a wait for a lock that was given up: by the timeout, or because two sessions waited for each other."""

LOCK_PAUSE = 1.0
"""Seconds it leaves them to the others before it tries again."""

LOCK_PATIENCE = 60.0
"""Seconds after which it does not try again; and for which the making of an index waits for others at the most."""

LOCK_NOTE = (
    "For {:g} s transactions have held one of procrastinate's tables, which queue_tasks must lock to repair what is "
    "not as sql/ says. Find the oldest in pg_stat_activity by its xact_start, let it end, and migrate again."
)

REPLACED = "upstream/replaced.sql"
FIRST_FUNCTION = "queue_tasks_parked_until_v1"  # other functions are checked against it when they are created
WRONG = frozenset({State.OUTDATED, State.MISSING, State.UNWANTED})


def run_sql_file(name: str) -> migrations.RunSQL:
    """The migration operation that runs sql/migrations/<name>.sql, and its .reverse.sql backwards."""
    folder = sql_root() / "migrations"
    return migrations.RunSQL(
        sql=(folder / f"{name}.sql").read_text(encoding="utf-8"),
        reverse_sql=(folder / f"{name}.reverse.sql").read_text(encoding="utf-8"),
    )


def is_migrated(connection: BaseDatabaseWrapper) -> bool:
    """Whether all migrations of queue_tasks that this release has are applied to this database."""
    names = {file.stem for file in (Path(__file__).parent / "migrations").glob("[0-9]*.py")}
    applied = MigrationRecorder(connection).applied_migrations()
    return all(("queue_tasks", name) in applied for name in names)


# -------------------------------------------------------------------------------------------------------------- status


def status(connection: BaseDatabaseWrapper) -> list[SchemaObject]:
    """Every object of ours, and those of upstream that we need or replace, in the order of installation.

    Upstream's objects that ours replace are listed only when they are back. Takes no lock and changes nothing.
    SQL: sql/queries/schema_*.sql
    """
    found = _read_catalogs(connection)
    objects = []
    for want in wanted():
        copies = found.get((want.kind, want.name), [])
        if not copies:
            state = State.MISSING
        elif [copy.definition for copy in copies] == [want.definition]:
            state = State.INSTALLED
        else:
            state = State.OUTDATED
        objects.append(SchemaObject(want.kind, want.name, want.file, state))
    for kind, name in NEEDED_OF_UPSTREAM:
        objects.append(SchemaObject(kind, name, "", State.INSTALLED if (kind, name) in found else State.MISSING))
    for kind, name in replaced():
        if (kind, name) in found:
            objects.append(SchemaObject(kind, name, REPLACED, State.UNWANTED))
    ours = {(want.kind, want.name) for want in wanted()}
    for kind, name in sorted(found):
        if (kind, name) not in ours and _is_named_as_ours(kind, name):
            objects.append(SchemaObject(kind, name, "", State.UNKNOWN))
    return objects


def _read_catalogs(connection: BaseDatabaseWrapper) -> dict[tuple[Kind, str], list[Found]]:
    """What this database has: (kind, name) -> its definition; of a function, of each overload."""
    found: dict[tuple[Kind, str], list[Found]] = {}
    for table, column, definition in _rows(connection, SCHEMA_COLUMNS):
        found[Kind.COLUMN, f"{table}.{column}"] = [Found(_normal_column(definition))]
    for name, definition, namespace, valid in _rows(connection, SCHEMA_INDEXES):
        text = _normal_statement(definition.replace(namespace, ""))
        found[Kind.INDEX, name] = [Found(text if valid else f"invalid {text}")]
    for name, head, body, identity, namespace in _rows(connection, SCHEMA_FUNCTIONS):
        kind = Kind.FUNCTION if name.startswith("queue_tasks_") else Kind.UPSTREAM_FUNCTION
        normal = _normal_function_head(head.replace(namespace, ""))
        found.setdefault((kind, name), []).append(Found(normal + body, _signature(normal), identity))
    replaced_names = {name for _, name in replaced()}
    for table, name, definition, namespace, enabled in _rows(connection, SCHEMA_TRIGGERS):
        full = f"{name} on {table}"
        kind = Kind.UPSTREAM_TRIGGER if full in replaced_names else Kind.TRIGGER
        text = _normal_statement(definition.replace(namespace, ""))
        found[kind, full if kind is Kind.UPSTREAM_TRIGGER else name] = [Found(text if enabled else f"disabled {text}")]
    for table, name in _rows(connection, SCHEMA_CONSTRAINTS):
        found[Kind.UPSTREAM_CONSTRAINT, f"{name} on {table}"] = [Found("")]
    for (name,) in _rows(connection, SCHEMA_TYPES):
        found[Kind.UPSTREAM_TYPE, name] = [Found("")]
    return found


def _rows(connection: BaseDatabaseWrapper, statement: LiteralString) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _is_named_as_ours(kind: Kind, name: str) -> bool:
    match kind:
        case Kind.COLUMN:
            return True  # only columns of ours are read
        case Kind.FUNCTION:
            return name.startswith("queue_tasks_")
        case Kind.INDEX | Kind.TRIGGER:
            return name.startswith("queue_tasks_") or "_qt_" in name
    return False


# -------------------------------------------------------------------------------------------------------- living files


@cache
def wanted() -> tuple[Wanted, ...]:
    """Every object of ours, as the living files make it, in the order of installation."""
    return (*_wanted_columns(), *_wanted_indexes(), *_wanted_functions(), *_wanted_triggers())


@cache
def replaced() -> tuple[tuple[Kind, str], ...]:
    """Upstream's triggers and constraints that ours replace, as (kind, "name on table")."""
    text = _read(REPLACED)
    triggers = re.findall(r"drop trigger if exists (\w+) on (\w+)", text)
    constraints = re.findall(r"alter table (\w+) drop constraint if exists (\w+)", text)
    return (
        *((Kind.UPSTREAM_TRIGGER, f"{name} on {table}") for name, table in triggers),
        *((Kind.UPSTREAM_CONSTRAINT, f"{name} on {table}") for table, name in constraints),
    )


def _wanted_columns() -> Iterator[Wanted]:
    for file in _files("tables"):
        text = _without_comments(_read(file))
        table = Path(file).stem
        defaults = dict(re.findall(r"alter column (\w+) set default ([^;]+);", text))
        for name, definition in re.findall(r"add column if not exists (\w+) ([^,;]+)[,;]", text):
            default = f" default {defaults[name]}" if name in defaults else ""
            yield Wanted(Kind.COLUMN, f"{table}.{name}", file, _normal_column(definition + default))


def _wanted_indexes() -> Iterator[Wanted]:
    for file in _files("indexes"):
        text = _without_comments(_read(file))
        yield Wanted(Kind.INDEX, Path(file).stem, file, _normal_statement(text.replace("if not exists ", "")))


def _wanted_functions() -> Iterator[Wanted]:
    files = sorted([*_files("functions"), *_files("triggers")], key=lambda file: Path(file).stem != FIRST_FUNCTION)
    for file in files:
        for head, name, body in re.findall(
            r"^(create or replace function (\w+)\(.*?)\bas \$body\$(.*?)\$body\$;",
            _read(file),
            re.DOTALL | re.MULTILINE,
        ):
            normal = _normal_function_head(head)
            yield Wanted(Kind.FUNCTION, name, file, normal + body, _signature(normal))


def _wanted_triggers() -> Iterator[Wanted]:
    for file in _files("triggers"):
        found = re.search(r"^create or replace trigger .*?;", _read(file), re.DOTALL | re.MULTILINE)
        if found:
            text = found.group().replace("create or replace", "create")
            yield Wanted(Kind.TRIGGER, Path(file).stem, file, _normal_statement(text))


def _files(folder: str) -> list[str]:
    return sorted(f"{folder}/{file.name}" for file in (sql_root() / folder).glob("*.sql"))


def _read(file: str) -> str:
    return (sql_root() / file).read_text(encoding="utf-8")


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)


# --------------------------------------------------------------------- one way to write it, for files and for catalogs


def _normal(text: str) -> str:
    text = " ".join(text.lower().split()).rstrip("; ")
    return re.sub(r"\( ", "(", re.sub(r" \)", ")", text)).replace("table (", "table(")


def _normal_statement(text: str) -> str:
    """An index or a trigger: Postgres puts parentheses around every expression, twice around some."""
    text = _normal(text)
    while (shorter := re.sub(r"\((\([^()]*(?:\(\)[^()]*)*\))\)", r"\1", text)) != text:
        text = shorter
    return text


def _normal_column(text: str) -> str:
    return _without_casts(_normal(text))


def _normal_function_head(text: str) -> str:
    text = re.sub(r"\bset (\w+) (?:=|to) '?(\w+)'?", r"set \1 to \2", _normal(text))
    return _without_casts(text) + " "


def _without_casts(text: str) -> str:
    """A default without the type that Postgres notes beside it."""
    return re.sub(r"(default (?:'[^']*'|\w+(?:\(\))?))::[a-z ]+(?=[,)]|$)", r"\1", text)


def _signature(head: str) -> str:
    """Arguments and result of a function: up to its language."""
    return head.partition(" language ")[0]


# -------------------------------------------------------------------------------------------------------------- repair


def repair(connection: BaseDatabaseWrapper) -> list[SchemaObject]:
    """Bring every object to the state of its living file, in one transaction; what was wrong and is right now.

    Missing objects are made, outdated ones replaced, and upstream's own dropped where ours stand in for them. Unknown
    objects, and columns of another type, are left as they are: see them in `status`.
    Outside of a transaction, indexes are built before, while everybody goes on. Locks procrastinate's four tables until
    it commits, if there is anything to do; else nothing. While a transaction of others holds one of them, it gives way,
    so that workers go on, and tries again for a minute; then it raises OperationalError, with a note on what to do.
    """
    before = _wrong(connection)
    if not before:
        return []
    built = _build_indexes(connection, before)
    last = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            return _repair_under_lock(connection, built)
        except OperationalError as exc:
            if not _is_refused(exc):
                raise
            if time.monotonic() > last:
                exc.add_note(LOCK_NOTE.format(LOCK_PATIENCE))
                raise
        time.sleep(LOCK_PAUSE)


def _is_refused(error: OperationalError) -> bool:
    return getattr(error.__cause__, "sqlstate", None) in LOCK_REFUSED


def _build_indexes(connection: BaseDatabaseWrapper, wrong: list[SchemaObject]) -> dict[str, str]:
    """Build the indexes that are not as they should be, while everybody goes on: file -> the name until it is in place.

    Not in a transaction, through a pooler, while another session builds, or before all columns are there: then the
    repair does it under its lock.
    """
    files = {item.file: item.name for item in wrong if item.kind is Kind.INDEX}
    if not files or connection.in_atomic_block or any(item.kind is Kind.COLUMN for item in wrong):
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            BEGIN_BUILD,
            {
                "backend_pid": connection.connection.info.backend_pid,
                "lock_timeout": str(round(LOCK_PATIENCE * 1000)),
            },
        )
        settings = cursor.fetchone()
        if settings is None:
            return {}
        built: dict[str, str] = {}
        try:
            for file, name in files.items():
                built[file] = f"{name}_new"
                # One that was broken off left its own, which is not valid.
                cursor.execute(f"drop index concurrently if exists {name}_new")
                text = _without_comments(_read(file)).strip()
                cursor.execute(re.sub(r"\bindex if not exists \w+", f"index concurrently {name}_new", text))
        except Exception as exc:
            if isinstance(exc, OperationalError) and _is_refused(exc):
                exc.add_note(LOCK_NOTE.format(LOCK_PATIENCE))
            for new in built.values():
                with contextlib.suppress(DatabaseError):
                    cursor.execute(f"drop index concurrently if exists {new}")
            raise
        finally:
            cursor.execute(END_BUILD, {"lock_timeout": settings[0], "statement_timeout": settings[1]})
    return built


def _repair_under_lock(connection: BaseDatabaseWrapper, built: Mapping[str, str]) -> list[SchemaObject]:
    # Making an index may take its time; only the wait for a lock is limited.
    limits = {"statement_timeout": "0", "lock_timeout": str(round(LOCK_TIMEOUT * 1000)), "synchronous_commit": "on"}
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(PREPARE_TRANSACTION, limits)
        cursor.execute(SCHEMA_LOCK)
        found = _read_catalogs(connection)
        before = _wrong(connection)  # another session may have been quicker
        for file in dict.fromkeys(item.file for item in before if item.file):
            for statement in _statements_before(file, found):
                cursor.execute(statement)
            if file in built:
                cursor.execute(f"alter index {built[file]} rename to {Path(file).stem}")
            else:
                cursor.execute(_read(file))
        for new in built.values():
            cursor.execute(f"drop index if exists {new}")
        after = _wrong(connection)
    return [item for item in before if item not in after]


def _wrong(connection: BaseDatabaseWrapper) -> list[SchemaObject]:
    wrong = [item for item in status(connection) if item.state in WRONG]
    # What upstream has made anew goes first: our index of the same name, and our triggers, take its place.
    return sorted(wrong, key=lambda item: item.state is not State.UNWANTED)


def _statements_before(file: str, found: dict[tuple[Kind, str], list[Found]]) -> Iterator[str]:
    """What must go before a living file can be run: what it could not replace."""
    for want in wanted():
        copies = found.get((want.kind, want.name), [])
        if want.file != file or not copies or [copy.definition for copy in copies] == [want.definition]:
            continue
        match want.kind:
            case Kind.INDEX:
                yield f"drop index {want.name}"
            case Kind.TRIGGER:
                table = want.definition.partition(" on ")[2].partition(" ")[0]
                yield f"drop trigger {want.name} on {table}"
            case Kind.FUNCTION:
                for copy in copies:
                    if copy.signature != want.signature:
                        yield f"drop function {want.name}({copy.identity})"
