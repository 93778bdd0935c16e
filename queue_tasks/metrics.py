"""Figures for Prometheus: of the queues, read from the database, and of a worker, read from its meter.

Needs the package prometheus-client, of the extra "metrics"; everything else of queue_tasks works without it. Names
follow Prometheus' customs: seconds, `_total` for what only grows. No metric has an argument, a result or the text of an
error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from queue_tasks.caller import reading
from queue_tasks.conf import Options
from queue_tasks.meter import BOUNDS, Histogram, Meter
from queue_tasks.overview import list_controls, list_workers, measure_backlog

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

NEEDED = "the package prometheus-client: pip install 'queue-tasks[metrics]'"
"""What to say where it is missing."""

MAX_COUNTED = 100_000
"""Jobs of one kind, in one queue, beyond which they are not counted."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of an exposition."""

PATIENCE = 2.0
"""Seconds that the statements of one answer may take each."""


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The metrics as Prometheus reads them. Raises ImportError when prometheus-client is not installed."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - optional

    class Gathered:
        def collect(self) -> Iterator[Metric]:
            yield from metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Gathered())
    return generate_latest(registry)


def of_queues(options: Options) -> Iterator[Metric]:
    """What waits and runs in each queue, and who works: a worker without a heartbeat for `dead_after` does not count.

    SQL: sql/queries/measure_backlog.sql, sql/queries/list_workers.sql, sql/queries/list_controls.sql
    """
    from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - optional

    with reading(options.database, PATIENCE):
        backlogs = measure_backlog(most=MAX_COUNTED, database=options.database)
        workers = list_workers(database=options.database)
        controls = list_controls(database=options.database)
    jobs = Gauge(
        "queue_tasks_jobs",
        f"Jobs that are not over, or failed, counted up to {MAX_COUNTED} of a kind.",
        labels=["queue", "state"],
    )
    oldest = Gauge(
        "queue_tasks_oldest_ready_seconds", "How long the oldest ready job has been ready; 0: none.", labels=["queue"]
    )
    work = Gauge(
        "queue_tasks_ready_work_seconds",
        "What the ready jobs will take in one slot, by what others of their queue took of late.",
        labels=["queue"],
    )
    for backlog in backlogs:
        queue = [backlog.name]
        for state in ("ready", "scheduled", "retrying", "parked", "running", "failed"):
            jobs.add_metric([*queue, state], getattr(backlog, state))
        oldest.add_metric(queue, backlog.oldest_ready or 0.0)
        if backlog.work is not None:
            work.add_metric(queue, backlog.work)
    yield from (jobs, oldest, work)

    paused = Gauge("queue_tasks_queue_paused", "1: no worker fetches jobs of this queue.", labels=["queue"])
    limit = Gauge(
        "queue_tasks_queue_limit", "How many jobs of this queue may run at once; absent: no limit.", labels=["queue"]
    )
    for name in sorted({*controls, *(backlog.name for backlog in backlogs)}):
        gate = controls.get(name)
        paused.add_metric([name], float(gate is not None and gate.paused))
        if gate is not None and gate.concurrency is not None:
            limit.add_metric([name], gate.concurrency)
    yield from (paused, limit)

    live = [worker for worker in workers if worker.heartbeat_age <= options.dead_after]
    yield Gauge("queue_tasks_workers", "Registered workers with a fresh heartbeat.", value=len(live))
    yield Gauge(
        "queue_tasks_slots", "Jobs that all these run at a time.", value=sum(worker.concurrency or 0 for worker in live)
    )


def of_worker(meter: Meter) -> Iterator[Metric]:
    """What a worker process has done, or several that a supervisor adds up."""
    from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415 - optional

    pair = ["queue", "task"]
    series = meter.series.copy()
    ended = Counter("queue_tasks_attempts", "Attempts that ended, by what became of them.", labels=[*pair, "outcome"])
    for key, of in series.items():
        for outcome, number in of.ended.copy().items():
            ended.add_metric([*key, outcome], number)
    yield ended
    waited, ran = ({key: getattr(of, what) for key, of in series.items()} for what in ("waited", "ran"))
    yield _histograms("queue_tasks_wait_seconds", "From when a job could start to its first start.", pair, waited)
    yield _histograms("queue_tasks_run_seconds", "From the start of a body to its end.", pair, ran)
    yield _histograms("queue_tasks_fetch_seconds", "What a fetch of jobs took the database.", [], {(): meter.fetches})
    yield Counter("queue_tasks_fetched_jobs", "Jobs fetched.", value=meter.fetched)
    yield Counter("queue_tasks_notifications", "Notifications heard.", value=meter.notifications)
    yield Counter("queue_tasks_rescued_jobs", "Jobs taken from workers that died.", value=meter.rescued)
    failures = Counter("queue_tasks_loop_failures", "Failures of the worker's own loops.", labels=["loop"])
    for service, number in meter.failures.copy().items():
        failures.add_metric([service], number)
    yield failures


def _histograms(name: str, help_text: str, labels: Sequence[str], found: Mapping[Any, Histogram]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - optional

    family = HistogramMetricFamily(name, help_text, labels=labels)
    for key, histogram in found.items():
        cumulative = list(accumulate(histogram.buckets))
        bounds = [*map(str, BOUNDS), "+Inf"]
        family.add_metric(key, list(zip(bounds, cumulative, strict=True)), histogram.total)
    return family
