"""The database objects we own: their files, whether they are installed as written, and their repair."""

from __future__ import annotations

from django.db import migrations

from queue_tasks.statements import sql_root


def run_sql_file(name: str) -> migrations.RunSQL:
    """The migration operation that runs sql/migrations/<name>.sql, and its .reverse.sql backwards."""
    folder = sql_root() / "migrations"
    return migrations.RunSQL(
        sql=(folder / f"{name}.sql").read_text(encoding="utf-8"),
        reverse_sql=(folder / f"{name}.reverse.sql").read_text(encoding="utf-8"),
    )
