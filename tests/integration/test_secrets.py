"""What a job is given is nobody's to read but in its row: not in the log, not in metrics, not in spans."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import connection
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from queue_tasks import metrics
from queue_tasks.conf import Options
from tests.testapp import traced
from tests.workers import drain

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "s3cr3t-4711"

FAILING = {
    traced.fails_with: "retried",
    traced.fails_in_process_with: "failed",
    traced.fails_atomic_with: "failed",
    traced.fails_on_loop_with: "failed",
    traced.discards: "failed",
    traced.wants_a_retry: "retried",
    traced.returns_what_is_not_json: "failed",
    traced.takes_too_long: "failed",
    traced.exits: "failed",
    traced.kills_its_process: "failed",
    traced.sleeps_first: "snoozed",
}
STANDARD = {"message", "asctime", *vars(logging.makeLogRecord({}))}


def everything_of(record: logging.LogRecord) -> str:
    """A log line as the most talkative of formatters writes it."""
    text = logging.Formatter("%(message)s").format(record)
    return f"{text} { ({name: value for name, value in vars(record).items() if name not in STANDARD})!r}"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return found


def test_a_secret_argument_is_in_no_log_line_no_metric_and_no_span_however_its_job_fails(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="queue_tasks"):
        for task in FAILING:
            task.enqueue(SECRET)
        with connection.cursor() as cursor:
            # And rows that others wrote.
            for task_name, args in (
                ("tests.testapp.traced.fails_with", f'["{SECRET}"]'),
                ("tests.testapp.traced.fails_with", f'{{"args": "{SECRET}", "kwargs": {{}}}}'),
                ("tests.testapp.traced.fails_with", f'{{"args": ["{SECRET}", "{SECRET}"], "kwargs": {{}}}}'),
                ("tests.testapp.traced.fails_with", f'{{"args": [], "kwargs": {{"other": "{SECRET}"}}}}'),
                ("tests.testapp.traced.there_is_none", f'{{"args": ["{SECRET}"], "kwargs": {{}}}}'),
            ):
                cursor.execute(
                    "insert into procrastinate_jobs (queue_name, task_name, args) values ('default', %s, %s::jsonb)",
                    [task_name, args],
                )
            # One that the database refuses to write down, a few times; in its message it quotes the whole row.
            cursor.execute("create sequence tests_refusals")
            cursor.execute(
                "alter table procrastinate_jobs add constraint tests_refuses check ("
                "status <> 'failed' or task_name <> 'tests.testapp.traced.discards' or nextval('tests_refusals') > 7"
                ") not valid"
            )
        try:
            worker = drain(grace=1)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("alter table procrastinate_jobs drop constraint tests_refuses")
                cursor.execute("drop sequence tests_refusals")
    told = [record for record in caplog.records if record.name.startswith("queue_tasks")]
    assert [record for record in told if SECRET in everything_of(record)] == []
    assert any("was refused" in record.getMessage() for record in told)
    assert SECRET not in metrics.exposition(metrics.of_worker(worker.meter)).decode()
    assert SECRET not in metrics.exposition(metrics.of_queues(Options())).decode()
    spans = exporter.get_finished_spans()
    assert len([span for span in spans if span.kind is trace.SpanKind.CONSUMER]) >= len(FAILING)
    assert [span.to_json() for span in spans if SECRET in span.to_json()] == []
    # It is where it may be: in the rows.
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where qt_errors::text like %s", [f"%{SECRET}%"])
        assert cursor.fetchone()[0] >= 4


def test_each_attempt_is_a_line_with_fields_for_programs(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = traced.in_thread.enqueue(), traced.fails_on_loop_with.enqueue("x")
    with caplog.at_level(logging.DEBUG, logger="queue_tasks.jobs"):
        worker = drain()
    lines = {vars(record)["job_id"]: record for record in caplog.records if record.name == "queue_tasks.jobs"}
    succeeded, failed = lines[int(good.id)], lines[int(bad.id)]
    assert (succeeded.levelno, failed.levelno) == (logging.DEBUG, logging.INFO)
    task = "tests.testapp.traced.fails_on_loop_with"
    assert failed.getMessage().startswith(f"job {bad.id} of {task} failed by builtins.ValueError (attempt 1, ")
    extra: dict[str, Any] = {name: value for name, value in vars(failed).items() if name not in STANDARD}
    assert extra.pop("run_seconds") >= 0
    assert extra.pop("wait_seconds") >= 0
    assert extra == {
        "job_id": int(bad.id),
        "task": task,
        "queue": "default",
        "attempt": 1,
        "worker_id": worker.worker_id,
        "outcome": "failed",
        "status": "failed",
        "error": "builtins.ValueError",
        "retry_seconds": None,
    }


def test_at_info_only_what_is_unusual_is_told(caplog: pytest.LogCaptureFixture) -> None:
    traced.in_thread.enqueue()
    bad = traced.fails_on_loop_with.enqueue("x")
    with caplog.at_level(logging.INFO, logger="queue_tasks.jobs"):
        drain()
    assert [vars(record)["job_id"] for record in caplog.records if record.name == "queue_tasks.jobs"] == [int(bad.id)]
