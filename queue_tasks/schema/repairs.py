"""Bring the objects of a database to the state of their files."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.db import DatabaseError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from queue_tasks.database_errors import sqlstate
from queue_tasks.schema.catalogs import read_catalogs, wrong
from queue_tasks.schema.files import read, wanted, without_comments
from queue_tasks.schema.objects import Found, Kind, SchemaObject
from queue_tasks.statements import BEGIN_BUILD, END_BUILD, PREPARE_TRANSACTION, SCHEMA_LOCK

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


def repair(connection: BaseDatabaseWrapper) -> list[SchemaObject]:
    """Bring every object to the state of its living file, in one transaction; what was wrong and is right now.

    Missing objects are made, outdated ones replaced, and upstream's own dropped where ours stand in for them. Unknown
    objects, and columns of another type, are left as they are: see them in `status`.
    Outside of a transaction, indexes are built before, while everybody goes on. Locks procrastinate's four tables until
    it commits, if there is anything to do; else nothing. While a transaction of others holds one of them, it gives way,
    so that workers go on, and tries again for a minute; then it raises OperationalError, with a note on what to do.
    """
    before = wrong(connection)
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
    return sqlstate(error) in LOCK_REFUSED


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
                text = without_comments(read(file)).strip()
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
        found = read_catalogs(connection)
        before = wrong(connection)  # another session may have been quicker
        for file in dict.fromkeys(item.file for item in before if item.file):
            for statement in _statements_before(file, found):
                cursor.execute(statement)
            if file in built:
                cursor.execute(f"alter index {built[file]} rename to {Path(file).stem}")
            else:
                cursor.execute(read(file))
        for new in built.values():
            cursor.execute(f"drop index if exists {new}")
        after = wrong(connection)
    return [item for item in before if item not in after]


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
