"""A live migration of the table that everybody works on: a column, and an index that comes and goes."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import OperationalError, migrations, transaction

from tests.waiting import hold

LOCK_TIMEOUT = 400  # milliseconds everybody else may have to wait behind it
PAUSE = 0.5  # seconds in which they go on
TRIES = 60


def add_column(apps: Any, schema_editor: Any) -> None:
    """Add a column, and give way while somebody holds the table."""
    for tried in range(TRIES):
        try:
            with transaction.atomic(schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
                cursor.execute(f"set local lock_timeout = {LOCK_TIMEOUT}")
                cursor.execute("alter table procrastinate_jobs add column shop_note text not null default 'none'")
        except OperationalError as exc:
            if not isinstance(exc.__cause__, psycopg.errors.LockNotAvailable) or tried == TRIES - 1:
                raise
            hold(PAUSE)
        else:
            return


class Migration(migrations.Migration):
    atomic = False  # an index cannot be made concurrently in a transaction
    dependencies = (("queue_tasks", "0001_initial"),)
    operations = (
        migrations.RunPython(add_column),
        migrations.RunSQL("create index concurrently shop_note_idx on procrastinate_jobs (shop_note, id)"),
        migrations.RunSQL("drop index concurrently shop_note_idx"),
    )
