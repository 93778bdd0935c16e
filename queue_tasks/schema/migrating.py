"""What the migrations are made of, and whether they have run."""

from __future__ import annotations

from pathlib import Path

from django.db import migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from queue_tasks.statements import sql_root


def run_sql_file(name: str) -> migrations.RunSQL:
    """The migration operation that runs sql/migrations/<name>.sql, and its .reverse.sql backwards."""
    folder = sql_root() / "migrations"
    return migrations.RunSQL(
        sql=(folder / f"{name}.sql").read_text(encoding="utf-8"),
        reverse_sql=(folder / f"{name}.reverse.sql").read_text(encoding="utf-8"),
    )


def is_migrated(connection: BaseDatabaseWrapper) -> bool:
    """Whether all migrations of queue_tasks that this release has are applied to this database."""
    names = {file.stem for file in (Path(__file__).parent.parent / "migrations").glob("[0-9]*.py")}
    applied = MigrationRecorder(connection).applied_migrations()
    return all(("queue_tasks", name) in applied for name in names)
