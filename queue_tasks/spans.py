"""The spans themselves: of what enqueues, and of each attempt. Imported where there are any, as OpenTelemetry's API is.

The names are those of OpenTelemetry's messaging conventions. No argument, return value or exception message is ever in
a span: its readers are not those who may read a job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from queue_tasks.frames import path_of
from queue_tasks.jobs import FetchedJob

SYSTEM = "queue_tasks"
"""messaging.system, the tracer's name, and the beginning of attributes that no convention names."""

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
"""The conventions that the attributes are of."""

_found: tuple[Any, Tracer] | None = None
# The provider a tracer was asked of, and that tracer: a provider makes a new one each time.


class Enqueueing:
    """The span of one statement that enqueues. trace: what its jobs' rows say of it, as JSON text; None: nothing."""

    def __init__(self, span: Span) -> None:
        self._span = span
        carried = carrier()
        self.trace = json.dumps({"trace": carried}) if carried else None

    def note_id(self, job_id: str) -> None:
        """Say which job it was, if it was one."""
        self._span.set_attribute("messaging.message.id", job_id)


@contextmanager
def enqueueing(queues: Sequence[str], tasks: Sequence[str], jobs: int) -> Iterator[Enqueueing]:
    """The span of enqueueing so many jobs, current within. queues, tasks: the names."""
    queue, task = _same(queues), _same(tasks)
    attributes: dict[str, Any] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
    }
    if queue is not None:
        attributes["messaging.destination.name"] = queue
    if task is not None:
        attributes["queue_tasks.task"] = task
    if jobs > 1:
        attributes["messaging.batch.message_count"] = jobs
    name = "enqueue" if queue is None else f"enqueue {queue}"
    with _tracer().start_as_current_span(
        name, kind=trace.SpanKind.PRODUCER, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield Enqueueing(span)
        except BaseException as exc:
            # The database's message may quote what it was given.
            _fail(span, path_of(type(exc)), "")
            raise


class Executing:
    """The span of one attempt, current from its making to `end` in the asyncio task of both."""

    def __init__(self, job: FetchedJob, worker_id: int) -> None:
        self._span = _tracer().start_span(
            f"execute {job.queue_name}",
            # Not a child of what enqueued it, which may be days old, and have enqueued a million: linked to it.
            context=context.Context(),
            kind=trace.SpanKind.CONSUMER,
            attributes={
                "messaging.system": SYSTEM,
                "messaging.operation.name": "execute",
                "messaging.operation.type": "process",
                "messaging.destination.name": job.queue_name,
                "messaging.message.id": str(job.id),
                "messaging.client.id": str(worker_id),
                "queue_tasks.task": job.task_name,
                "queue_tasks.attempt": job.attempt,
            },
            links=_links(job.meta),
            record_exception=False,
            set_status_on_exception=False,
        )
        self._token = context.attach(trace.set_span_in_context(self._span))

    def end(self, outcome: str, error: str | None, frames: str) -> None:
        """Say how it ended. outcome: a word of OutcomeKind. error: the exception's class; frames: where it came up."""
        context.detach(self._token)
        self._span.set_attribute("queue_tasks.outcome", outcome)
        if error is not None:
            _fail(self._span, error, frames)
        self._span.end()


def carrier() -> dict[str, str]:
    """The current span as W3C's headers `traceparent` and `tracestate`; empty when there is none."""
    carried: dict[str, str] = {}
    # Not the project's propagators: baggage is not for a row that stays for days.
    TraceContextTextMapPropagator().inject(carried)
    return carried


@contextmanager
def continuing(carried: dict[str, str]) -> Iterator[None]:
    """Within, the span that another process carried here is the current one."""
    token = context.attach(TraceContextTextMapPropagator().extract(carried, context.Context()))
    try:
        yield
    finally:
        context.detach(token)


def _tracer() -> Tracer:
    global _found  # noqa: PLW0603 - a cache
    provider = trace.get_tracer_provider()
    if _found is None or _found[0] is not provider:
        _found = (provider, provider.get_tracer(SYSTEM, schema_url=SCHEMA))
    return _found[1]


def _links(meta: str | None) -> list[Any]:
    """A link to what enqueued the job; none when the row says nothing of it that can be read."""
    if meta is None or "traceparent" not in meta:
        return []
    try:
        carried = json.loads(meta)["trace"]
        found = TraceContextTextMapPropagator().extract(carried, context.Context())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Rows are written by whoever may insert them.
        return []
    creator = trace.get_current_span(found).get_span_context()
    return [trace.Link(creator)] if creator.is_valid else []


def _fail(span: Span, error: str, frames: str) -> None:
    span.set_attribute("error.type", error)
    said = {"exception.type": error}
    if frames:
        said["exception.stacktrace"] = frames
    span.add_event("exception", said)
    span.set_status(trace.StatusCode.ERROR, error)


def _same(names: Sequence[str]) -> str | None:
    return names[0] if len(set(names)) == 1 else None
