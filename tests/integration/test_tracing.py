"""OpenTelemetry: a span for what enqueues, one for each attempt with a link to it, through the row."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from queue_tasks import aenqueue_many, enqueue_many, enqueue_stream
from queue_tasks.testing import drain as drain_inline
from queue_tasks.tracing import carrier
from tests.acceptance.workers import by_sql
from tests.postgres import PROJECT
from tests.testapp import tasks, traced
from tests.workers import drain

pytestmark = pytest.mark.django_db(transaction=True)


class Spans:
    """What was told."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def of(self, kind: trace.SpanKind) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.kind is kind]

    @property
    def enqueued(self) -> list[ReadableSpan]:
        return self.of(trace.SpanKind.PRODUCER)

    @property
    def executed(self) -> list[ReadableSpan]:
        return self.of(trace.SpanKind.CONSUMER)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """A provider of the SDK for one test; OpenTelemetry's API lets it be set only once in a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield Spans(exporter)
    provider.shutdown()


def ids(span: ReadableSpan) -> list[str]:
    found = span.get_span_context()
    return [f"{found.trace_id:032x}", f"{found.span_id:016x}"]


def told_by(span: Any) -> dict[str, Any]:
    """The attributes of a span, or of an event."""
    return dict(span.attributes)


def links(span: ReadableSpan) -> list[list[str]]:
    return [[f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}"] for link in span.links]


def meta_of(job_id: str | int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("select qt_meta from procrastinate_jobs where id = %s", [job_id])
        found = cursor.fetchone()[0]
    return json.loads(found) if isinstance(found, str) else found


def test_the_run_is_linked_to_the_enqueue(spans: Spans) -> None:
    result = tasks.add.enqueue(1)
    drain()
    [enqueued], [executed] = spans.enqueued, spans.executed
    assert enqueued.name == "enqueue default"
    assert told_by(enqueued) == {
        "messaging.system": "queue_tasks",
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": "default",
        "messaging.message.id": result.id,
        "queue_tasks.task": "tests.testapp.tasks.add",
    }
    assert executed.name == "execute default"
    told = told_by(executed)
    assert told.pop("messaging.client.id").isdigit()
    assert told == {
        "messaging.system": "queue_tasks",
        "messaging.operation.name": "execute",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": result.id,
        "queue_tasks.task": "tests.testapp.tasks.add",
        "queue_tasks.attempt": 1,
        "queue_tasks.outcome": "succeeded",
    }
    assert links(executed) == [ids(enqueued)]
    # A trace of its own: what enqueued it may be long ago, and have enqueued a million.
    assert executed.parent is None
    assert ids(executed)[0] != ids(enqueued)[0]
    assert executed.status.status_code is trace.StatusCode.UNSET


def test_the_enqueue_belongs_to_the_request_and_its_state_travels(spans: Spans) -> None:
    state = trace.TraceState([("vendor", "opaque")])
    there = trace.SpanContext(2**100, 2**50, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    with trace.use_span(trace.NonRecordingSpan(there)):
        result = tasks.add.enqueue(1)
    [enqueued] = spans.enqueued
    assert enqueued.parent.span_id == 2**50
    assert meta_of(result.id)["trace"] == {
        "traceparent": "00-{}-{}-01".format(*ids(enqueued)),
        "tracestate": "vendor=opaque",
    }


@pytest.mark.parametrize(
    "enqueue",
    [enqueue_many, enqueue_stream],
    ids=["many", "stream"],
)
def test_jobs_enqueued_together_have_one_span(spans: Spans, enqueue: Callable[..., Any]) -> None:
    enqueue([tasks.add.bind(number) for number in range(5)])
    drain()
    [enqueued] = spans.enqueued
    assert told_by(enqueued)["messaging.batch.message_count"] == 5
    assert "messaging.message.id" not in told_by(enqueued)
    assert [links(span) for span in spans.executed] == [[ids(enqueued)]] * 5


def test_jobs_of_several_queues_and_tasks_have_one_span_that_names_neither(spans: Spans) -> None:
    enqueue_many([tasks.add.bind(1), tasks.add.using(queue_name="mail").bind(2), traced.in_thread.bind()])
    drain()
    [enqueued] = spans.enqueued
    assert enqueued.name == "enqueue"
    assert not {"messaging.destination.name", "queue_tasks.task"} & told_by(enqueued).keys()
    assert {span.name for span in spans.executed} == {"execute default", "execute mail"}
    assert [links(span) for span in spans.executed] == [[ids(enqueued)]] * 3


async def test_enqueueing_from_async_code_has_a_span(spans: Spans) -> None:
    with trace.get_tracer("tests").start_as_current_span("request") as request:
        await traced.on_loop.aenqueue()
        await aenqueue_many([traced.on_loop.bind(), traced.on_loop.bind()])
    assert [span.parent.span_id for span in spans.enqueued] == [request.get_span_context().span_id] * 2


def test_a_job_that_has_a_time_keeps_both(spans: Spans) -> None:
    from datetime import UTC, datetime

    past = datetime(2020, 1, 1, tzinfo=UTC)
    jobs = [
        tasks.add.using(run_after=past).enqueue(1),
        *enqueue_many([tasks.add.using(run_after=past).bind(number) for number in range(2)]),
        *enqueue_many([tasks.add.using(run_after=past).bind(1), tasks.add.using(run_after=past, priority=1).bind(2)]),
    ]
    assert [meta_of(job.id).keys() for job in jobs] == [{"run_after", "trace"}] * 5


def test_sql_enqueues_in_the_span_that_the_transaction_names(spans: Spans) -> None:
    with trace.get_tracer("tests").start_as_current_span("request") as request, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select set_config('queue_tasks.traceparent', %s, true)", [carrier()["traceparent"]])
        job = by_sql("tests.testapp.tasks.add", "1")
    # The next transaction names none.
    other = by_sql("tests.testapp.tasks.add", "2")
    drain()
    found = {int(told_by(span)["messaging.message.id"]): links(span) for span in spans.executed}
    told = request.get_span_context()
    assert found == {job: [[f"{told.trace_id:032x}", f"{told.span_id:016x}"]], other: []}
    assert meta_of(other) is None


@pytest.mark.parametrize("said", ["nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "'; drop table x; --"])
def test_a_setting_that_names_no_span_harms_nobody(spans: Spans, said: str) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select set_config('queue_tasks.traceparent', %s, true)", [said])
        by_sql("tests.testapp.tasks.add", "1")
    assert drain().tally.succeeded == 1
    assert links(spans.executed[0]) == []


@pytest.mark.parametrize(
    "meta",
    [
        '{"trace": null, "x": "traceparent"}',
        '{"trace": {"traceparent": 7}}',
        '["traceparent"]',
        '{"trace": ["traceparent"]}',
    ],
)
def test_a_hostile_row_has_a_span_without_a_link(spans: Spans, meta: str) -> None:
    result = tasks.add.enqueue(1)
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set qt_meta = %s::jsonb where id = %s", [meta, result.id])
    assert drain().tally.succeeded == 1
    assert links(spans.executed[0]) == []


@pytest.mark.parametrize("task", [traced.in_thread, traced.on_loop, traced.in_atomic, traced.in_process])
def test_the_body_runs_within_the_span(spans: Spans, task: Any) -> None:
    first, second = task.enqueue(), task.enqueue()
    drain(concurrency=1)
    for result in (first, second):
        result.refresh()
    told = [result.return_value for result in (first, second)]
    assert told == [ids(span) for span in spans.executed]
    assert told[0] != told[1]


def test_what_a_body_enqueues_belongs_to_its_run(spans: Spans) -> None:
    traced.enqueues_another.enqueue()
    drain(concurrency=1)
    _, within = spans.enqueued
    outer, inner = spans.executed
    assert within.parent.span_id == outer.get_span_context().span_id
    assert links(inner) == [ids(within)]


def test_every_attempt_has_a_span_that_says_how_it_failed(spans: Spans) -> None:
    traced.fails_with.enqueue("s3cr3t")
    drain()
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set scheduled_at = now() where status = 'todo'")
    drain()
    first, second = spans.executed
    assert [told_by(span)["queue_tasks.attempt"] for span in (first, second)] == [1, 2]
    assert [told_by(span)["queue_tasks.outcome"] for span in (first, second)] == ["retried", "failed"]
    for span in (first, second):
        assert span.status.status_code is trace.StatusCode.ERROR
        assert told_by(span)["error.type"] == "builtins.ValueError"
        [event] = span.events
        assert event.name == "exception"
        assert told_by(event)["exception.type"] == "builtins.ValueError"
        frames = told_by(event)["exception.stacktrace"]
        assert "in fails_with" in frames
        assert "queue_tasks/worker" not in frames
        assert links(span) == [ids(spans.enqueued[0])]


def test_a_process_that_is_killed_has_a_span_all_the_same(spans: Spans) -> None:
    traced.kills_its_process.enqueue("s3cr3t")
    drain()
    [executed] = spans.executed
    assert told_by(executed)["error.type"] == "queue_tasks.exceptions.ProcessDied"
    assert executed.status.status_code is trace.StatusCode.ERROR


def test_an_enqueue_that_the_database_refuses_is_an_error(spans: Spans) -> None:
    @transaction.atomic
    def refused() -> None:
        with connection.cursor() as cursor:
            cursor.execute("alter table procrastinate_jobs add constraint tests_none check (priority <> 77) not valid")
        tasks.add.using(priority=77).enqueue(1)

    with pytest.raises(IntegrityError):
        refused()
    [enqueued] = spans.enqueued
    assert told_by(enqueued)["error.type"] == "django.db.utils.IntegrityError"
    assert enqueued.status.status_code is trace.StatusCode.ERROR
    assert enqueued.status.description == "django.db.utils.IntegrityError"


def test_without_an_sdk_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    result = tasks.add.enqueue(1)
    assert meta_of(result.id) is None
    assert drain().tally.succeeded == 1


def test_without_the_package_the_library_works_and_says_nothing() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from queue_tasks import tracing\n"
        "assert not tracing.wanted()\n"
        "assert tracing.carrier() == {}\n"
        "with tracing.continuing({'traceparent': '00-' + '1' * 32 + '-' + '1' * 16 + '-01'}): pass\n"
        "print('fine')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "fine\n"


def test_a_test_that_drains_has_spans_too(spans: Spans) -> None:
    tasks.add.enqueue(1)
    drain_inline()
    [enqueued], [executed] = spans.enqueued, spans.executed
    assert links(executed) == [ids(enqueued)]
