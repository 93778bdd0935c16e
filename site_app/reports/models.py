"""A report, and the big table it reads."""

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from queue_tasks import Progress
from site_app.states import State


class Visit(models.Model):
    """Somebody looked at a page. Real ones by `counting.note_visits`, a million made up by `reports_fill_visits`."""

    visited_at = models.DateTimeField(db_index=True)
    path = models.TextField()
    visitor = models.IntegerField()
    duration_ms = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.path} at {self.visited_at}"


class VisitHour(models.Model):
    """What `count_hour` makes of the visits of one hour to one page."""

    hour = models.DateTimeField()
    path = models.TextField()
    visits = models.IntegerField()
    visitors = models.IntegerField()
    median_ms = models.IntegerField()
    slow_ms = models.IntegerField()
    """The 95th percentile."""

    class Meta:
        """One row for each hour and page."""

        constraints = (models.UniqueConstraint(fields=("hour", "path"), name="reports_visithour_once"),)

    def __str__(self) -> str:
        return f"{self.path} in the hour from {self.hour}"


class Report(models.Model):
    """A report somebody asked for: one job, one file."""

    days = models.PositiveSmallIntegerField()
    """Days it covers, up to the newest visit."""
    job_id = models.CharField(max_length=64, db_index=True, default="")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    reason = models.TextField(default="", blank=True)
    lines = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    asked_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    progress: Progress | None = None
    """How far its job is, as its TaskResult says; set by reports.live.with_progress for reports that are being made."""

    class Meta:
        """Newest first."""

        ordering = ("-id",)

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """What a visitor reads."""
        return f"Visits of the last {self.days} days"

    @property
    def file(self) -> Path:
        """Where the report lies once it is made."""
        return Path(settings.MEDIA_ROOT) / "reports" / f"visits-{self.days}-days-{self.pk}.csv"

    @property
    def seconds(self) -> float | None:
        """How long it took; None until it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return float((self.ended_at - self.started_at).total_seconds())
