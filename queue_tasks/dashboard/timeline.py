"""What became of a job and when: one line for each change of its state, with the time since the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from queue_tasks.durations import in_words
from queue_tasks.overview import JobLine


@dataclass(frozen=True, slots=True)
class Step:
    """One line."""

    word: str
    at: datetime
    note: str = ""


def timeline(job: JobLine, errors: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps there are times of, in order; what lies ahead is last. errors: as the row has them, oldest first."""
    steps = [] if job.enqueued_at is None else [Step("enqueued", job.enqueued_at)]
    steps += _attempts(job, errors)
    if job.finished_at is not None:
        ran, whole = (_between(word, at, job.finished_at) for word, at in _spans(job))
        steps.append(Step(str(job.state), job.finished_at, ", ".join(note for note in (ran, whole) if note)))
    elif job.run_after is not None:
        steps.append(Step("due", job.run_after))
    elif job.state == "running" and job.attempted_at is not None:
        steps.append(Step("running", job.now, _between("for", job.attempted_at, job.now)))
    # What happened in one instant stays in its order.
    return sorted(steps, key=lambda step: step.at)


def _attempts(job: JobLine, errors: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    """The starts and ends of the failed attempts, and the starts of which no error tells."""
    told = set()
    free = job.enqueued_at
    for place, error in enumerate(errors, start=1):
        started, ended = _time(error.get("started_at")), _time(error.get("finished_at"))
        number = error.get("attempt")
        name = f"attempt {number if isinstance(number, int) else place}"
        if started is not None:
            told.add(started)
            yield Step(f"{name} started", started, _between("waited", free, started))
        if ended is not None:
            kind = str(error.get("exception") or "").rpartition(".")[2][:100]
            took = _between("after", started, ended)
            yield Step(f"{name} failed", ended, ": ".join(part for part in (took, kind) if part))
            free = ended
    if job.started_at is not None and job.started_at not in told:
        yield Step("first started", job.started_at, _between("waited", job.enqueued_at, job.started_at))
        told.add(job.started_at)
    if job.attempted_at is not None and job.attempted_at not in told:
        yield Step("latest attempt started", job.attempted_at, _between("waited", free, job.attempted_at))


def _spans(job: JobLine) -> tuple[tuple[str, datetime | None], tuple[str, datetime | None]]:
    return ("ran", job.attempted_at), ("in all", job.enqueued_at)


def _between(word: str, before: datetime | None, at: datetime) -> str:
    if before is None or at < before:
        return ""
    return f"{word} {in_words((at - before).total_seconds())}"


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.utcoffset() is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
