"""Our columns, indexes and triggers on procrastinate's tables; see sql/migrations/0001_initial.sql."""

from typing import ClassVar

from django.db import migrations, models

from queue_tasks.schema import run_sql_file


class Migration(migrations.Migration):
    """Depends on procrastinate's newest migration by name: an older procrastinate is refused by Django itself."""

    initial = True
    dependencies: ClassVar = [("procrastinate", "0041_post_retry_failed_job")]
    operations: ClassVar = [
        run_sql_file("0001_initial"),
        # The table is in the SQL; Django is told of it for the sake of the permissions.
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField()),
                ("user_name", models.TextField()),
                ("action", models.TextField()),
            ],
            options={
                "managed": False,
                "db_table": "queue_tasks_changes",
                "default_permissions": (),
                "permissions": (
                    ("view_job", "Can see jobs, queues, workers, schedules and changes"),
                    ("view_job_args", "Can see arguments, return values, error messages and tracebacks"),
                    ("retry_job", "Can retry jobs"),
                    ("cancel_job", "Can cancel waiting jobs and abort running ones"),
                    ("delete_job", "Can delete jobs"),
                    ("pause_schedule", "Can pause and resume schedules"),
                    ("run_schedule", "Can run schedules now and change when they tick"),
                    ("control_queue", "Can pause, resume and limit queues"),
                    ("control_worker", "Can quiet and stop workers"),
                ),
            },
        ),
        # The same for the admin's pages.
        *(
            migrations.CreateModel(
                name=name,
                fields=[(key, kind(primary_key=True, serialize=False))],
                options={
                    "managed": False,
                    "abstract": False,
                    "db_table": table,
                    "default_permissions": (),
                    "base_manager_name": "objects",
                },
            )
            for name, table, key, kind in (
                ("Job", "procrastinate_jobs", "id", models.BigAutoField),
                ("Queue", "queue_tasks_queues", "queue_name", models.TextField),
                ("Schedule", "queue_tasks_schedules", "id", models.BigAutoField),
                ("Worker", "procrastinate_workers", "id", models.BigAutoField),
            )
        ),
    ]
