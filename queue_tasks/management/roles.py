"""The verb `queue roles`: what a worker's, a producer's and a viewer's login may do in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from queue_tasks import roles
from queue_tasks.management.usage import USAGE


def add_roles_arguments(parser: CommandParser) -> None:
    """What the verb takes."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--print", action="store_true", help="the SQL, for psql (the default)")
    how.add_argument("--apply", action="store_true", help="run it, on the backend's database")
    for word in roles.ROLES:
        parser.add_argument(
            f"--{word}-role", metavar="NAME", default=f"queue_tasks_{word}", help="(default: %(default)s)"
        )


class RoleVerbs:
    """The verb, for the command that inherits it."""

    flags: Mapping[str, Any]
    stdout: OutputWrapper
    database: Any

    def roles(self) -> None:
        """Print the roles, or make them."""
        names = {word: self.flags[f"{word}_role"] for word in roles.ROLES}
        try:
            if self.flags["apply"]:
                roles.apply(names, database=self.database)
                made = ", ".join(names.values())
                self.stdout.write(f"the roles {made} are as this release needs them; grant each to its logins")
            else:
                self.stdout.write(roles.text(names))
        except ValueError as exc:
            raise CommandError(f"queue roles: {exc}", returncode=USAGE) from exc
