"""Roles: what a worker's, a producer's and a viewer's login may do in the database, as sql/roles/roles.sql says it.

In: names for the roles. Out: SQL to read, or the roles as this release needs them. An owner runs it after an upgrade.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db import connections, transaction

from queue_tasks.statements import sql_root

ROLES = ("worker", "producer", "viewer")
"""Each role's name by default is queue_tasks_<word>."""

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
    statement = (sql_root() / "roles" / "roles.sql").read_text(encoding="utf-8")
    literals = {f"'queue_tasks_{word}'": "'" + name.replace("'", "''") + "'" for word, name in chosen.items()}
    # All in one go: a name may be another's default.
    return re.sub("|".join(literals), lambda found: literals[found[0]], statement)


def apply(names: Mapping[str, str] | None = None, *, database: str = "default") -> None:
    """Make the roles, or bring them to what this release needs, in one transaction.

    Raises Django's errors: the login must own the tables, and may create roles unless they are there.
    SQL: sql/roles/roles.sql
    """
    with transaction.atomic(using=database), connections[database].cursor() as cursor:
        cursor.execute(text(names))
