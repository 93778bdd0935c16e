"""manage.py queue stats, metrics: figures, for people and for Prometheus."""

from __future__ import annotations

from importlib.util import find_spec

from django.core.management.base import CommandError

from queue_tasks import metrics, overview, sizes
from queue_tasks.durations import in_one_unit
from queue_tasks.jobs import JobState
from queue_tasks.management.terminal import Column
from queue_tasks.management.usage import USAGE
from queue_tasks.management.verb import Asked, Verb


def stats(asked: Asked) -> None:
    """Tell counts, throughput, latency and sizes."""
    figures = overview.measure(database=asked.database)
    console = asked.console
    if asked.flags["json"]:
        console.json(overview.as_dict(figures))
        return
    states = [state for state, count in figures.states.items() if count] or [JobState.READY]
    console.table(
        [Column("STATE"), Column("JOBS", right=True)],
        [[state, f"{figures.states[state]:,}"] for state in states],
        lambda row, column: states[row] if column == 0 else None,
    )
    console.say("")
    console.say(
        f"finished    {figures.finished_last_minute:,} in the last minute, "
        f"{figures.finished_last_hour:,} in the last hour"
    )
    latency = [figures.latency_p50, figures.latency_p95, figures.latency_p99]
    if figures.sampled and None not in latency:
        p50, p95, p99 = (in_one_unit(value or 0.0) for value in latency)
        console.say(
            f"latency     p50 {p50}, p95 {p95}, p99 {p99} from enqueue to start, of {figures.sampled:,} recent jobs"
        )
    console.say(
        f"on disk     {sizes.in_words(figures.table_bytes)} of jobs, "
        f"{sizes.in_words(figures.index_bytes)} of their indexes, "
        f"{sizes.in_words(figures.event_bytes)} of events"
    )


def for_prometheus(asked: Asked) -> None:
    """Print the figures as the metrics page does."""
    if find_spec("prometheus_client") is None:
        raise CommandError(f"queue metrics needs {metrics.NEEDED}.", returncode=USAGE)
    asked.console.write(metrics.exposition(metrics.of_queues(asked.backend.settings)).decode().rstrip("\n"))


VERBS = (
    Verb("stats", "counts, throughput, latency, sizes", stats, lists=True),
    Verb("metrics", "what waits and runs in each queue, for Prometheus", for_prometheus),
)
