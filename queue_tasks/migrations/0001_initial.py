"""Our columns, indexes and triggers on procrastinate's tables; see sql/migrations/0001_initial.sql."""

from typing import ClassVar

from django.db import migrations

from queue_tasks.schema import run_sql_file


class Migration(migrations.Migration):
    """Depends on procrastinate's newest migration by name: an older procrastinate is refused by Django itself."""

    initial = True
    dependencies: ClassVar = [("procrastinate", "0041_post_retry_failed_job")]
    operations: ClassVar = [run_sql_file("0001_initial")]
