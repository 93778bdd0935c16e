"""The overview: what needs attention first, then how the whole does."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from queue_tasks import overview as figures
from queue_tasks import schedules as schedule_service
from queue_tasks.dashboard import queries
from queue_tasks.dashboard.access import Permission, guarded
from queue_tasks.dashboard.attention import attention
from queue_tasks.dashboard.filters import STATES
from queue_tasks.dashboard.pages import page
from queue_tasks.dashboard.preferences import backend, database_alias, preferences
from queue_tasks.dashboard.serving import is_alive, served


@guarded(get=Permission.VIEW_JOB)
def overview(request: HttpRequest) -> HttpResponse:
    """What needs attention first, then how the whole does."""
    database = database_alias()
    depths = figures.measure_backlog(declared=sorted(backend().queues), most=queries.CAP, database=database)
    workers = figures.list_workers(database=database)
    lines = schedule_service.list_schedules(database=database)
    minutes = queries.recent_work(database=database)
    return page(
        request,
        "overview.html",
        {
            "attention": attention(depths, workers, lines, backend().settings),
            "depths": served(depths, workers),
            "totals": {state: sum(getattr(depth, state) for depth in depths) for state in STATES[:6]},
            "alive": sum(is_alive(worker) for worker in workers),
            "minutes": _bars(minutes),
            "succeeded": sum(good for good, _ in minutes),
            "failed": sum(bad for _, bad in minutes),
            "recent": queries.recent_figures(database=database),
            "look": f"{queries.RECENT:,}",
            "refresh": preferences().refresh,
        },
    )


def _bars(minutes: list[tuple[int, int]]) -> list[dict[str, int]]:
    """The bars of a chart 60 wide and 100 high."""
    highest = max((good + bad for good, bad in minutes), default=0) or 1
    bars = []
    for place, (good, bad) in enumerate(minutes):
        high, low = round(100 * (good + bad) / highest), round(100 * bad / highest)
        low = max(low, 4 if bad else 0)  # a single failure among thousands is seen
        high = max(high, low)
        bars.append({"x": place * 10, "good_y": 100 - high, "good": high - low, "bad_y": 100 - low, "bad": low})
    return bars
