"""The objects that a database has, and how each stands to its file.

Looking takes no lock that anybody would notice and changes nothing.
"""

from __future__ import annotations

from typing import Any, LiteralString

from django.db.backends.base.base import BaseDatabaseWrapper

from queue_tasks.schema.files import REPLACED, replaced, wanted
from queue_tasks.schema.objects import WRONG, Found, Kind, SchemaObject, State
from queue_tasks.schema.writing import normal_column, normal_function_head, normal_statement, signature
from queue_tasks.statements import (
    SCHEMA_COLUMNS,
    SCHEMA_CONSTRAINTS,
    SCHEMA_FUNCTIONS,
    SCHEMA_INDEXES,
    SCHEMA_TRIGGERS,
    SCHEMA_TYPES,
)

# Upstream's objects that our functions and statements use; its tables are seen by our columns.
NEEDED_OF_UPSTREAM = (
    (Kind.UPSTREAM_FUNCTION, "procrastinate_defer_periodic_job_v2"),
    (Kind.UPSTREAM_TYPE, "procrastinate_job_event_type"),
    (Kind.UPSTREAM_TYPE, "procrastinate_job_status"),
)


def status(connection: BaseDatabaseWrapper) -> list[SchemaObject]:
    """Every object of ours, and those of upstream that we need or replace, in the order of installation.

    Upstream's objects that ours replace are listed only when they are back. Takes no lock and changes nothing.
    SQL: sql/queries/schema_*.sql
    """
    found = read_catalogs(connection)
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


def wrong(connection: BaseDatabaseWrapper) -> list[SchemaObject]:
    """The objects to repair, in the order to do it."""
    items = [item for item in status(connection) if item.state in WRONG]
    # What upstream has made anew goes first: our index of the same name, and our triggers, take its place.
    return sorted(items, key=lambda item: item.state is not State.UNWANTED)


def read_catalogs(connection: BaseDatabaseWrapper) -> dict[tuple[Kind, str], list[Found]]:
    """What this database has: (kind, name) -> its definition; of a function, of each overload."""
    found: dict[tuple[Kind, str], list[Found]] = {}
    for table, column, definition in _rows(connection, SCHEMA_COLUMNS):
        found[Kind.COLUMN, f"{table}.{column}"] = [Found(normal_column(definition))]
    for name, definition, namespace, valid in _rows(connection, SCHEMA_INDEXES):
        text = normal_statement(definition.replace(namespace, ""))
        found[Kind.INDEX, name] = [Found(text if valid else f"invalid {text}")]
    for name, head, body, identity, namespace in _rows(connection, SCHEMA_FUNCTIONS):
        kind = Kind.FUNCTION if name.startswith("queue_tasks_") else Kind.UPSTREAM_FUNCTION
        normal = normal_function_head(head.replace(namespace, ""))
        found.setdefault((kind, name), []).append(Found(normal + body, signature(normal), identity))
    replaced_names = {name for _, name in replaced()}
    for table, name, definition, namespace, enabled in _rows(connection, SCHEMA_TRIGGERS):
        full = f"{name} on {table}"
        kind = Kind.UPSTREAM_TRIGGER if full in replaced_names else Kind.TRIGGER
        text = normal_statement(definition.replace(namespace, ""))
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
