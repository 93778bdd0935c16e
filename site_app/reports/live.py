"""How open pages are told about reports."""

import json
from collections.abc import Collection, Iterable

from django.template.loader import render_to_string
from procrastinate.contrib.django.models import ProcrastinateJob

from site_app.live.topic import Topic
from site_app.reports.models import Report
from site_app.reports.tasks import make_report
from site_app.states import ENDED, State

JOB_ENDED_BADLY = ("failed", "cancelled", "aborted")  # the row's words; a job that succeeded has said so itself


def rows(ids: Collection[int]) -> dict[int, str]:
    """What is sent about each of these reports."""
    found = {report.pk: report for report in with_progress(Report.objects.filter(pk__in=ids))}
    return {id_: json.dumps(letter(found[id_]) if id_ in found else {"id": id_, "gone": True}) for id_ in sorted(ids)}


def letter(report: Report) -> dict[str, object]:
    """The report's state in values, and the HTML that shows it."""
    return {
        "id": report.pk,
        "title": report.title,
        "state": report.state,
        "reason": report.reason,
        "html": render_to_string("reports/_report.html", {"report": report}),
    }


def with_progress(reports: Iterable[Report]) -> list[Report]:
    """The reports; those that are being made know how far they are."""
    found = list(reports)
    for report in found:
        if report.state == State.WORKING:
            report.progress = make_report.get_result(report.job_id).progress
    return found


def newer_than(report_id: int) -> list[int]:
    """The reports asked for since, oldest first."""
    return list(Report.objects.filter(pk__gt=report_id).order_by("pk").values_list("pk", flat=True)[:50])


def rows_of_jobs(job_ids: Collection[str] | None) -> list[int]:
    """The reports whose job went on; one whose job ended without a word from its task is marked so."""
    settle()
    if job_ids is None:
        return []
    return list(Report.objects.filter(job_id__in=job_ids).values_list("pk", flat=True))


def settle() -> None:
    """Mark the reports whose job ended without a word: its worker died too often, or an operator stopped it."""
    unfinished = Report.objects.exclude(state__in=ENDED)
    jobs = [int(job_id) for job_id in unfinished.values_list("job_id", flat=True) if job_id.isdecimal()]
    if jobs:
        ended = ProcrastinateJob.objects.filter(id__in=jobs, status__in=JOB_ENDED_BADLY).values_list("id", flat=True)
        stopped = unfinished.filter(job_id__in=[str(job_id) for job_id in ended])
        stopped.update(state=State.FAILED, reason="It could not be finished.")


REPORTS = Topic(name="row", channel="site_reports", render=rows, newer=newer_than, rows_of_jobs=rows_of_jobs)
