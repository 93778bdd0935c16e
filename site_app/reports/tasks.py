"""Making a report."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models.functions import Now

from queue_tasks import RetryPolicy, task
from site_app.reports import visits
from site_app.reports.models import Report
from site_app.states import State
from site_app.whole_files import put_in_place, written_beside

ONCE_MORE = RetryPolicy(max_attempts=2, wait=5.0, retry_on=(OSError,))
DAYS_PER_NOTE = 5  # days between two words on the progress


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
