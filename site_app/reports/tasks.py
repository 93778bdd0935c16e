"""Making a report, and the reports' own upkeep."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from queue_tasks import All, RetryPolicy, task
from site_app.reports import visits
from site_app.reports.models import Report
from site_app.states import State
from site_app.upkeep import scheduled
from site_app.whole_files import put_in_place, written_beside

ONCE_MORE = RetryPolicy(max_attempts=2, wait=5.0, retry_on=(OSError,))
DAYS_PER_NOTE = 5  # days between two words on the progress


def ask_for(days: int) -> None:
    """Write the report's row and enqueue its job: both, or neither."""
    with transaction.atomic():
        report = Report.objects.create(days=days)
        report.job_id = make_report.enqueue(report.pk).id
        report.save(update_fields=["job_id"])


@task(queue_name="reports", takes_context=True, retry=ONCE_MORE, lock="reports")
def make_report(context: Any, report_id: int) -> dict[str, Any]:
    """Read the visits day by day and write the CSV file; the lock lets one report at a time read the big table."""
    with attempt(context, report_id) as report:
        if report is None:
            return {"skipped": "the report was deleted"}
        context.progress(0, message="Looking for visits; the first report makes a million of them up")
        visits.fill()
        text, lines = table(context, report.days)
        report.file.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(report.file) as file:
            file.write(text)
            put_in_place(file, report.file)
        made = {"lines": lines, "size_bytes": len(text)}
        Report.objects.filter(pk=report_id).update(state=State.DONE, reason="", ended_at=Now(), **made)
        return made


def table(context: Any, days: int) -> tuple[bytes, int]:
    """The whole CSV file, and the number of its lines without the heading; tells its progress on the way."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(visits.HEADINGS)
    lines = 0
    for number, day in enumerate(chosen := visits.days_until_newest(days), start=1):
        for line in visits.lines_of_day(day):
            writer.writerow(line)
            lines += 1
        if number % DAYS_PER_NOTE == 0 or number == len(chosen):
            context.progress(number, len(chosen), f"{number} of {len(chosen)} days, {lines:,} lines")
    return text.getvalue().encode(), lines


@contextmanager
def attempt(context: Any, report_id: int) -> Iterator[Report | None]:
    """The report this attempt is about, None when it was deleted; an error inside becomes the report's reason."""
    row = Report.objects.filter(pk=report_id)
    if not row.update(state=State.WORKING, started_at=Now(), ended_at=None, reason=""):
        yield None
        return
    try:
        yield row.get()
    except Exception as error:
        again = ONCE_MORE.wait_after(context.attempt, error) is not None
        reason = f"Something went wrong inside the site ({type(error).__name__})."
        row.update(state=State.RETRYING if again else State.FAILED, reason=reason, ended_at=Now())
        raise


@scheduled(cron="0 * * * *", missed=All(max=48), overlap="skip")
@task(queue_name="reports", takes_context=True, retry=3)
def count_hour(context: Any) -> int:
    """Roll up the visits of the hour before the tick, page by page. Counted twice, it is the same."""
    tick = (context.scheduled_for or timezone.now()).replace(minute=0, second=0, microsecond=0)
    return visits.roll_up_hour(tick - timedelta(hours=1))


@scheduled(cron="0 6 * * MON", timezone="Europe/Paris", missed="latest")
@task(queue_name="reports")
def ask_for_weekly_report() -> None:
    """Ask for a report of the last seven days, as a visitor would."""
    ask_for(days=7)
