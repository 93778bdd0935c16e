"""Pages of reports."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from site_app.live.stream import live_response
from site_app.reports import live
from site_app.reports.forms import ReportForm
from site_app.reports.models import Report
from site_app.reports.tasks import ask_for
from site_app.states import State

SHOWN = 20  # the newest reports on the page


@never_cache
def index(request: HttpRequest) -> HttpResponse:
    """The reports, newest first; a POST asks for one more."""
    form = ReportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        ask_for(form.cleaned_data["days"])
        return redirect("reports:index")
    live.settle()
    reports = live.with_progress(Report.objects.all()[:SHOWN])
    status = 422 if form.errors else 200
    return render(request, "reports/index.html", {"form": form, "reports": reports}, status=status)


@require_safe
def download(_request: HttpRequest, report_id: int) -> HttpResponse:
    """The report's file."""
    report = get_object_or_404(Report, pk=report_id, state=State.DONE)
    try:
        text = report.file.read_bytes()
    except FileNotFoundError:
        raise Http404(f"The file of report {report_id} is no longer there; ask for a new one.") from None
    headers = {"Content-Disposition": f'attachment; filename="{report.file.name}"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
async def events(request: HttpRequest) -> HttpResponseBase:
    """The stream the page follows."""
    return live_response(request, live.REPORTS)
