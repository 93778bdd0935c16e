"""manage.py queue schema: whether the database's objects are as sql/ has them."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from queue_tasks import schema
from queue_tasks.database_errors import migration
from queue_tasks.management.terminal import Column
from queue_tasks.management.verb import Asked, Verb
from queue_tasks.statements import sql_root


def _add_arguments(parser: CommandParser) -> None:
    parser.add_argument("what", choices=["status", "sql"], nargs="?", default="status")


def compare(asked: Asked) -> None:
    """Compare the database with sql/, or print the SQL."""
    console = asked.console
    if asked.flags["what"] == "sql":
        for file in dict.fromkeys([schema.REPLACED, *(want.file for want in schema.wanted())]):
            console.write(f"-- from sql/{file}\n{(sql_root() / file).read_text(encoding='utf-8')}")
        return
    objects = schema.status(connections[asked.database])
    others = [item for item in objects if item.state is not schema.State.INSTALLED]
    if others:
        columns = [Column("STATE"), Column("KIND"), Column("NAME", shrinks=True), Column("FILE", shrinks=True)]
        rows = [[item.state, item.kind, item.name, f"sql/{item.file}" if item.file else ""] for item in others]
        console.table(columns, rows)
    console.say(f"{len(objects) - len(others)} of {len(objects)} objects are installed as sql/ has them")
    wrong = sum(item.state in schema.WRONG for item in others)
    if wrong:
        raise CommandError(
            f"{wrong} objects are not as they should be. Run: {migration(asked.database)} (it repairs them)"
        )


VERBS = (Verb("schema", "compare the database's objects with sql/", compare, _add_arguments),)
