"""Roles: what a worker's, a producer's and a viewer's login may do in the database, as sql/roles/ says it.

In: names for the roles. Out: SQL to read, or the roles as this release needs them. An owner runs it after an upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connections, transaction

from queue_tasks.statements import sql_root

OWNER = "owner"
"""The file of what nobody but the owner keeps."""

ROLES = ("worker", "producer", "viewer")
"""The files of sql/roles/ that make a role, whose name by default is queue_tasks_<word>."""

MAX_NAME_BYTES = 63
"""Postgres cuts longer names."""


def text(names: Mapping[str, str] | None = None) -> str:
    """The SQL of all roles. names: other names for roles, by the words of ROLES.

    Raises ValueError for a name that Postgres cannot have.
    """
    chosen = {word: f"queue_tasks_{word}" for word in ROLES} | dict(names or {})
    for word, name in chosen.items():
        if not name or "\x00" in name or len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"the {word}'s role is named {name!r}; expected 1 to {MAX_NAME_BYTES} bytes.")
    return "\n".join([_read(OWNER), *(_named(word, chosen[word]) for word in ROLES)])


def apply(names: Mapping[str, str] | None = None, *, database: str = "default") -> None:
    """Make the roles, or bring them to what this release needs, in one transaction.

    Raises Django's errors: the login must own the tables, and may create roles unless they are there.
    SQL: sql/roles/*.sql
    """
    with transaction.atomic(using=database), connections[database].cursor() as cursor:
        cursor.execute(text(names))


def _named(word: str, name: str) -> str:
    literal = "'" + name.replace("'", "''") + "'"
    return _read(word).replace(f"'queue_tasks_{word}'", literal)


def _read(word: str) -> str:
    return (sql_root() / "roles" / f"{word}.sql").read_text(encoding="utf-8")
