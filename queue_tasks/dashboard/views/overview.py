"""The overview: what needs attention first, then how the whole does."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse

from queue_tasks import schedules as schedule_service
from queue_tasks.dashboard.access import Permission, guarded, sees, visible_queues
from queue_tasks.dashboard.attention import attention
from queue_tasks.dashboard.charts import HEIGHT, LEFT, RIGHT, WIDTH, charts, ended, table
from queue_tasks.dashboard.filters import STATES
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.preferences import backend, database_alias
from queue_tasks.dashboard.serving import is_alive, served, visible_depths, visible_workers
from queue_tasks.figures import Span, read_figures


@guarded(get=Permission.VIEW_JOB)
def overview(request: HttpRequest) -> HttpResponse:
    """What needs attention first, then how the whole does.

    ?span=hour, day or week; ?queue=NAME: charts of one queue.
    """
    database = database_alias()
    depths, workers = visible_depths(request), visible_workers(request)
    lines = [line for line in schedule_service.list_schedules(database=database) if sees(request, line.queue_name)]
    span = next((span for span in Span if span.word == request.GET.get("span")), Span.HOUR)
    queue = request.GET.get("queue", "").replace("\x00", "") or None
    visible = visible_queues(request)
    if visible is not None and queue not in visible:
        # What all queues did together is not theirs to see.
        queue = next((depth.name for depth in depths), "")
    done = read_figures(span, queue, database=database)
    return page(
        request,
        "overview.html",
        {
            "attention": attention(depths, workers, lines, backend().settings),
            "depths": served(depths, workers),
            "totals": {state: sum(getattr(depth, state) for depth in depths) for state in STATES[:6]},
            "alive": sum(is_alive(worker) for worker in workers),
            "span": span.word,
            "queue": queue,
            "of_all": visible is None,
            "spans": [(one.word, urlencode({"span": one.word} | ({"queue": queue} if queue else {}))) for one in Span],
            "succeeded": f"{done.total('succeeded'):,}",
            "failed": f"{done.total('failed'):,}",
            "retried": f"{done.total('retried'):,}" if done.total("retried") else "",
            "last_minute": f"{ended(done.slots[-2]):,}" if span is Span.HOUR else None,
            "waited": done.percentiles("waited"),
            "ran": done.percentiles("ran"),
            "charts": charts(done),
            "rows": table(done),
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": RIGHT,
        },
    )
