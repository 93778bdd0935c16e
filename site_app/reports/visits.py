"""Reading the big table, a day at a time, so that a report knows how far it is and never holds it all in memory."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import Max

from site_app.reports.models import Visit
from site_app.sql import read_sql

SQL = Path(__file__).parent / "sql"
ROWS = 1_000_000
HEADINGS = ("day", "page", "visits", "visitors", "median ms", "95th percentile ms")


def fill(rows: int = ROWS) -> int:
    """Make up visits unless there are some of before today; returns how many were written."""
    with connection.cursor() as cursor:
        cursor.execute(read_sql(SQL / "fill_visits.sql"), {"rows": rows})
        (written,) = cursor.fetchone() or (0,)
    return int(written)


def roll_up_hour(hour: datetime) -> int:
    """Count the visits of the hour that begins then, page by page; how many pages there were."""
    with connection.cursor() as cursor:
        cursor.execute(read_sql(SQL / "roll_up_hour.sql"), {"hour": hour})
        return int(cursor.rowcount)


def days_until_newest(days: int) -> list[date]:
    """The last `days` days that have visits, oldest first; empty when there are none."""
    newest = Visit.objects.aggregate(newest=Max("visited_at"))["newest"]
    if newest is None:
        return []
    return [newest.date() - timedelta(days=back) for back in reversed(range(days))]


def lines_of_day(day: date) -> Iterator[tuple[Any, ...]]:
    """One line of the report for each page that was visited on this day, most visited first."""
    with connection.cursor() as cursor:
        cursor.execute(read_sql(SQL / "visits_of_day.sql"), {"day": day})
        for path, visits, visitors, median_ms, slow_ms in cursor.fetchall():
            yield day.isoformat(), path, visits, visitors, int(median_ms), int(slow_ms)
