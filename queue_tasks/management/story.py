"""One job's whole story, as lines for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from queue_tasks.arguments import decode
from queue_tasks.dashboard.preferences import hides_of
from queue_tasks.dashboard.queries import names_of
from queue_tasks.dashboard.redaction import redacted, redacted_call
from queue_tasks.durations import in_one_unit
from queue_tasks.jobs import JobState
from queue_tasks.management.terminal import clean, when
from queue_tasks.overview import JobLine, JobStory

INDENT = "  "
LABEL = 12
"""Characters of a line's label."""


def tell(story: JobStory) -> Iterator[str]:
    """The lines, without ends."""
    yield f"Job {story.job.id} is {_state(story.job)}."
    for label, text in _facts(story):
        if text:
            yield f"{INDENT}{label:<{LABEL}}{clean(text)}"
    for number, error in enumerate(story.errors, start=1):
        yield ""
        yield from _attempt(error, number, story.job.now)


def _state(job: JobLine) -> str:
    match job.state:
        case JobState.SCHEDULED | JobState.RETRYING if job.run_after is not None:
            late = job.run_after <= job.now
            due = f"was due {when(job.run_after, job.now)}" if late else f"due {when(job.run_after, job.now)}"
            return f"{job.state}, {due}"
        case JobState.RUNNING if job.abort_requested:
            return "running, and told to stop"
    return job.state.value


def _facts(story: JobStory) -> Iterator[tuple[str, str]]:
    job = story.job
    yield "task", job.task_name
    yield "arguments", arguments(shown_args(job.task_name, job.args))
    yield "queue", job.queue_name
    yield "priority", str(job.priority)
    yield "lock", job.lock or ""
    yield "only once", story.queueing_lock or ""
    yield "attempts", str(job.attempts)
    yield "progress", progress(story.meta)
    yield "worker", _worker(story)
    yield "enqueued", _time(job.enqueued_at, job.now)
    yield "due", _time(job.run_after, job.now)
    yield "started", _time(job.started_at, job.now)
    if job.attempted_at != job.started_at:
        yield "last try", _time(job.attempted_at, job.now)
    yield "finished", _time(job.finished_at, job.now)
    if job.started_at and job.finished_at:
        yield "took", in_one_unit((job.finished_at - job.started_at).total_seconds())
    if job.state is JobState.SUCCEEDED:
        yield "returned", json.dumps(redacted(story.result, hides_of(job.task_name)), ensure_ascii=False)
    yield "kept", _kept(story)


def shown_args(task_name: str, text: str | None) -> Any:
    """A row's arguments without what is shown nowhere: words of the preferences, and the task's `redact`."""
    stored = decode(text) if text else {}
    try:
        return redacted_call(stored, partial(names_of, task_name), hides_of(task_name))
    except RecursionError:
        return "too deep to be shown"


def arguments(given: Any) -> str:
    """The arguments as they were passed: 1, width=64."""
    if isinstance(given, dict) and given.keys() <= {"args", "kwargs"}:
        positional, named = given.get("args"), given.get("kwargs")
    else:
        # A procrastinate task has named ones only.
        positional, named = [], given
    if not isinstance(positional, list) or not isinstance(named, dict):
        return _json(given)
    return ", ".join(
        [*(_json(value) for value in positional), *(f"{name}={_json(value)}" for name, value in named.items())]
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def progress(meta: Mapping[str, Any]) -> str:
    """How far the task said it has come: 3 of 4 (75 %): resizing."""
    told = meta.get("progress")
    if not isinstance(told, dict) or not isinstance(told.get("done"), (int, float)):
        return ""
    done, total, message = told["done"], told.get("total"), told.get("message")
    text = f"{done:,g}"
    if isinstance(total, (int, float)) and total > 0:
        text += f" of {total:,g} ({min(max(done / total, 0), 1):.0%})"
    return f"{text}: {message}" if message else text


def _worker(story: JobStory) -> str:
    if story.job.worker_id is None:
        return ""
    place = f" on {story.worker_host}, process {story.worker_pid}" if story.worker_host else ""
    name = f" ({story.worker_name}{place})" if story.worker_name else ""
    return f"{story.job.worker_id}{name}"


def _time(moment: datetime | None, now: datetime) -> str:
    return f"{when(moment, now)}, {moment:%Y-%m-%d %H:%M:%S %Z}".rstrip() if moment else ""


def _kept(story: JobStory) -> str:
    if story.ephemeral:
        return "until it succeeds"
    if story.expires_at is None:
        return "for ever" if story.job.finished_at else ""
    left = (story.expires_at - story.job.now).total_seconds()
    return f"{in_one_unit(left)} more" if left > 0 else "until the next prune"


def _attempt(error: Mapping[str, Any], number: int, now: datetime) -> Iterator[str]:
    started, finished = _moment(error.get("started_at")), _moment(error.get("finished_at"))
    head = f"Attempt {error.get('attempt', number)} failed"
    if started and finished:
        head += f" after {in_one_unit((finished - started).total_seconds())}"
    if finished:
        head += f", {when(finished, now)}"
    if error.get("worker_id") is not None:
        head += f", on worker {error['worker_id']}"
    yield clean(f"{head}: {error.get('exception', 'an unknown error')}")
    text = str(error.get("traceback") or error.get("message") or "")
    for line in clean(text, lines=True).expandtabs().splitlines():
        yield f"{INDENT}{line}".rstrip()


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.utcoffset() is not None else None
