"""What the dashboard's permissions hang on: Django gives permissions to models, and this is the one model there is.

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
