"""manage.py queue roles: what a worker's, a producer's and a viewer's login may do in the database."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from queue_tasks import roles
from queue_tasks.database_errors import brief, is_of_the_role
from queue_tasks.management.usage import USAGE
from queue_tasks.management.verb import Asked, Verb


def _add_arguments(parser: CommandParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--print", action="store_true", help="the SQL, for psql (the default)")
    how.add_argument("--apply", action="store_true", help="run it, on the backend's database")
    for word in roles.ROLES:
        parser.add_argument(
            f"--{word}-role", metavar="NAME", default=f"queue_tasks_{word}", help="(default: %(default)s)"
        )


def print_or_apply(asked: Asked) -> None:
    """Print the roles, or make them."""
    names = {word: asked.flags[f"{word}_role"] for word in roles.ROLES}
    try:
        if asked.flags["apply"]:
            roles.apply(names, database=asked.database)
            made = ", ".join(names.values())
            asked.console.write(f"the roles {made} are as this release needs them; grant each to its logins")
        else:
            asked.console.write(roles.text(names))
    except ValueError as exc:
        raise CommandError(f"queue roles: {exc}", returncode=USAGE) from exc
    except DatabaseError as exc:
        if not is_of_the_role(exc):
            raise
        raise CommandError(
            f"queue roles: {brief(exc)}. It takes the owner of the tables, and CREATEROLE unless the roles are there. "
            "Or have a superuser run what it prints without --apply, in psql."
        ) from exc


VERBS = (
    Verb(
        "roles",
        "print or apply what a worker, a producer and a viewer may do in the database",
        print_or_apply,
        _add_arguments,
    ),
)
