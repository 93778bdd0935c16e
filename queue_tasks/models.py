"""What Django hangs on models: the dashboard's permissions, and pages of the admin.

Who may do what is given as everywhere in Django, to users and groups. Nobody but a superuser has any of it by default.
"""

from __future__ import annotations

from django.db import models


class Change(models.Model):
    """One thing that somebody did on the dashboard: a row of queue_tasks_changes, which our SQL writes and reads."""

    id = models.BigAutoField(primary_key=True)
    made_at = models.DateTimeField()
    user_name = models.TextField()
    action = models.TextField()

    class Meta:
        """The table is made by sql/; Django only knows of it."""

        managed = False
        db_table = "queue_tasks_changes"
        default_permissions = ()
        permissions = (
            ("view_job", "Can see jobs, queues, workers, schedules and changes"),
            ("view_job_args", "Can see arguments, return values, error messages and tracebacks"),
            ("retry_job", "Can retry jobs"),
            ("cancel_job", "Can cancel waiting jobs and abort running ones"),
            ("delete_job", "Can delete jobs"),
            ("pause_schedule", "Can pause and resume schedules"),
            ("run_schedule", "Can run schedules now and change when they tick"),
            ("control_queue", "Can pause, resume and limit queues"),
            ("control_worker", "Can quiet and stop workers"),
        )

    def __str__(self) -> str:
        return f"{self.user_name}: {self.action}"


class NoRows(models.Manager[models.Model]):
    """Finds nothing, and asks nobody: rows are read by sql/ alone, within what the visitor may see and wait for.

    So nothing that goes through all models (dumpdata, a generic view, the admin's own links) tells of a job.
    """

    def get_queryset(self) -> models.QuerySet[models.Model]:
        """No rows."""
        return super().get_queryset().none()


class AdminPages(models.Model):
    """What the admin hangs pages on. Read rows by queue_tasks.overview and queue_tasks.schedules."""

    objects = NoRows()

    class Meta:
        """The tables are procrastinate's, and those of sql/."""

        abstract = True
        managed = False
        default_permissions = ()
        base_manager_name = "objects"

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"


class Job(AdminPages):
    """The pages of jobs."""

    id = models.BigAutoField(primary_key=True)

    class Meta(AdminPages.Meta):
        """One row is one job."""

        db_table = "procrastinate_jobs"


class Queue(AdminPages):
    """The pages of queues."""

    queue_name = models.TextField(primary_key=True)

    class Meta(AdminPages.Meta):
        """A queue that nobody has paused or limited has no row."""

        db_table = "queue_tasks_queues"


class Worker(AdminPages):
    """The pages of workers."""

    id = models.BigAutoField(primary_key=True)

    class Meta(AdminPages.Meta):
        """One row is one registered worker."""

        db_table = "procrastinate_workers"


class Schedule(AdminPages):
    """The pages of schedules."""

    id = models.BigAutoField(primary_key=True)

    class Meta(AdminPages.Meta):
        """One row is one schedule."""

        db_table = "queue_tasks_schedules"
