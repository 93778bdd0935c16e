"""Why a job is not running: what stands between it and its start, in words, the gravest first.

Reads only, on Django's connection. What it says was so at one moment: workers go on meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

from queue_tasks import bridge
from queue_tasks.caller import rows
from queue_tasks.compat import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from queue_tasks.conf import Options
from queue_tasks.durations import in_words
from queue_tasks.exceptions import JobNotFound, TaskNotFound
from queue_tasks.jobs import FINISHED, JobState
from queue_tasks.statements import EXPLAIN_JOB
from queue_tasks.tasks import declared, find_task, may_be_imported

if TYPE_CHECKING:
    from queue_tasks.overview import JobLine, QueueControl, WorkerLine

CAP = 10_000
"""Where the count of jobs ahead ends."""

LOOK = 20_000
"""Jobs that are looked at for how fast a queue is worked."""


class Why(StrEnum):
    """The reasons there are, for programs."""

    ENDED = "ended"
    RUNNING = "running"
    STOPPING = "stopping"
    LOST = "lost"
    DUE = "due"
    PARKED = "parked"
    PAUSED = "paused"
    LIMITED = "limited"
    NO_WORKER = "no_worker"
    NOT_SERVED = "not_served"
    QUIET = "quiet"
    UNKNOWN_TASK = "unknown_task"
    LOCKED = "locked"
    BEHIND_LOCK = "behind_lock"
    BEHIND = "behind"
    BUSY = "busy"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that keeps a job from running."""

    why: Why
    text: str
    """A sentence."""
    job_id: int | None = None
    """The other job that it is about."""
    worker_id: int | None = None
    """The worker that it is about."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job is not running; str() is all of it."""

    job: JobLine
    reasons: list[Reason]
    """At least one."""

    def __str__(self) -> str:
        return "\n".join(reason.text for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Facts:
    """The columns of sql/queries/explain_job.sql."""

    ahead: int
    finished: int
    holder_id: int | None
    holder_worker_id: int | None
    holder_task: str | None
    holder_seconds: float | None
    before_id: int | None
    running: int | None
    """Of a queue that has a limit."""
    running_ids: list[int] | None
    """The first five of them."""


def explain(job_id: int | str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> Explanation:
    """Why a job is not running.

    job_id: a job's id, also as `TaskResult.id` has it. backend: the entry of TASKS that has it.
    Raises JobNotFound.
    SQL: sql/queries/list_jobs.sql, sql/queries/explain_job.sql, sql/queries/list_workers.sql,
    sql/queries/list_controls.sql
    """
    options = getattr(task_backends[backend], "settings", None)
    if not isinstance(options, Options):
        raise ImproperlyConfigured(f'TASKS["{backend}"] has no jobs in Postgres; name one that is ours: backend=...')
    text = str(job_id)
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise JobNotFound(job_id)
    return explain_job(int(text), database=options.database, dead_after=options.dead_after)


def explain_job(job_id: int, *, database: str, dead_after: float) -> Explanation:
    """See `explain`. dead_after: seconds without a sign of life after which a worker is not counted on."""
    from queue_tasks import overview  # noqa: PLC0415 - no worker has to hold it

    lines = overview.list_jobs(ids=[job_id], database=database)
    if not lines:
        raise JobNotFound(job_id)
    job = lines[0]
    workers = overview.list_workers(database=database)
    live = [worker for worker in workers if worker.heartbeat_age <= dead_after]
    if job.state in FINISHED:
        text = f"It has ended: it is {job.state}."
        if job.state is not JobState.SUCCEEDED:
            text += " Retry it to run it once more."
        return Explanation(job, [Reason(Why.ENDED, text)])
    if job.state is JobState.RUNNING:
        return Explanation(job, [_running(job, live)])
    found = rows(database, EXPLAIN_JOB, {"id": job_id, "cap": CAP, "look": LOOK})
    if not found:
        raise JobNotFound(job_id)
    gate = overview.list_controls(database=database).get(job.queue_name, overview.QueueControl(job.queue_name))
    return Explanation(job, list(_waiting(job, Facts(*found[0]), gate, live, dead_after)))


def _running(job: JobLine, live: Sequence[WorkerLine]) -> Reason:
    since = f" for {in_words(round((job.now - job.attempted_at).total_seconds()))}" if job.attempted_at else ""
    if job.worker_id not in {worker.id for worker in live}:
        who = "no worker" if job.worker_id is None else f"worker {job.worker_id}"
        text = f"It was started by {who}, which gives no sign of life: it is taken back as soon as a live worker looks."
        return Reason(Why.LOST, text, worker_id=job.worker_id)
    if job.abort_requested:
        text = f"It runs{since} on worker {job.worker_id} and was told to stop, which it does when it next looks."
        return Reason(Why.STOPPING, text, worker_id=job.worker_id)
    return Reason(Why.RUNNING, f"It is running{since}, on worker {job.worker_id}.", worker_id=job.worker_id)


def _waiting(
    job: JobLine, facts: Facts, gate: QueueControl, live: Sequence[WorkerLine], dead_after: float
) -> Iterator[Reason]:
    serving = [worker for worker in live if worker.queues is None or job.queue_name in worker.queues]
    obstacles = [*_shut(job, facts, gate), *_obstacles(job, facts, live, serving, dead_after)]
    yield from obstacles
    serving = [worker for worker in serving if worker.told is None]
    if job.state is not JobState.READY:
        return
    if facts.ahead:
        yield Reason(Why.BEHIND, _ahead(facts))
    free = [worker for worker in serving if worker.concurrency is None or worker.running < worker.concurrency]
    if serving and not free:
        many = "the one worker" if len(serving) == 1 else f"all {len(serving)} workers"
        yield Reason(Why.BUSY, f'Every slot of {many} of the queue "{job.queue_name}" is taken.')
    elif not obstacles and not facts.ahead:
        yield Reason(Why.NEXT, "Nothing stands in its way: it is the next that a worker takes.")


def _shut(job: JobLine, facts: Facts, gate: QueueControl) -> Iterator[Reason]:
    """What an operator has decided about its queue."""
    if gate.paused:
        end = "until it is resumed"
        if gate.paused_until is not None and gate.resumes_in is not None:
            end = f"until {gate.paused_until:%Y-%m-%d %H:%M:%S %Z}, for {in_words(round(gate.resumes_in))} more"
        who = f", by {gate.paused_by}" if gate.paused_by else ""
        yield Reason(Why.PAUSED, f'Its queue "{job.queue_name}" is paused {end}{who}.')
    if gate.concurrency is None or facts.running is None or facts.running < gate.concurrency:
        return
    some = ", ".join(map(str, facts.running_ids or ())) + (
        ", ..." if facts.running > len(facts.running_ids or ()) else ""
    )
    text = (
        f'The limit of {gate.concurrency:,} of its queue "{job.queue_name}" is reached: {facts.running:,} run ({some}).'
    )
    yield Reason(Why.LIMITED, text, facts.running_ids[0] if facts.running_ids else None)


def _obstacles(
    job: JobLine, facts: Facts, live: Sequence[WorkerLine], serving: Sequence[WorkerLine], dead_after: float
) -> Iterator[Reason]:
    if job.state is JobState.PARKED:
        yield Reason(Why.PARKED, "It is parked: it waits for something else to free it, not for a time.")
    elif job.state is not JobState.READY:
        yield Reason(Why.DUE, _due(job))
    if not live:
        yield Reason(
            Why.NO_WORKER,
            f"No worker is alive: none gave a sign of life within {dead_after:g} s. Start one: manage.py queue_worker",
        )
    elif not serving:
        names = sorted({name for worker in live for name in worker.queues or ()})
        text = f'No live worker serves the queue "{job.queue_name}"; they serve {", ".join(names) or "none"}.'
        yield Reason(Why.NOT_SERVED, text)
    elif all(worker.told for worker in serving):
        many = "The one worker that serves" if len(serving) == 1 else f"Each of the {len(serving)} workers that serve"
        text = f'{many} the queue "{job.queue_name}" was told to fetch nothing more.'
        yield Reason(Why.QUIET, text, worker_id=serving[0].id)
    unknown = _unknown(job.task_name)
    if unknown:
        yield Reason(Why.UNKNOWN_TASK, f"The code here does not know its task; a worker may have other code. {unknown}")
    if facts.holder_id is not None:
        since = "" if facts.holder_seconds is None else f", running for {in_words(round(facts.holder_seconds))}"
        text = f'Its lock "{job.lock}" is held by job {facts.holder_id} ({facts.holder_task}){since}'
        text += "." if facts.holder_worker_id is None else f", on worker {facts.holder_worker_id}."
        yield Reason(Why.LOCKED, text, facts.holder_id, facts.holder_worker_id)
    if facts.before_id not in (None, job.id) and job.state is JobState.READY:
        text = f'Job {facts.before_id} is before it in the line of its lock "{job.lock}".'
        yield Reason(Why.BEHIND_LOCK, text, facts.before_id)


def _due(job: JobLine) -> str:
    if job.run_after is None:
        return "It is scheduled for a time that no calendar has."
    left = (job.run_after - job.now).total_seconds()
    what = f"It failed {job.attempts} times and is tried again" if job.state is JobState.RETRYING else "It is due"
    what = what.replace("1 times", "once")
    if left <= 0:
        return f"{what} now: its time came {in_words(round(-left))} ago, and a worker makes it ready at its next look."
    return f"{what} in {in_words(round(left))}, at {job.run_after:%Y-%m-%d %H:%M:%S %Z}."


def _ahead(facts: Facts) -> str:
    number = f"{CAP:,} or more jobs are" if facts.ahead >= CAP else f"{facts.ahead:,} jobs are"
    if facts.ahead == 1:
        number = "1 job is"
    if not facts.finished or facts.ahead >= CAP:
        return f"{number} ahead of it in its queue."
    seconds = 60 * facts.ahead / facts.finished
    return f"{number} ahead of it in its queue: about {in_words(round(seconds))} at the speed of the last minute."


def _unknown(task_name: str) -> str | None:
    module = task_name.rpartition(".")[0]
    if task_name not in declared and module not in sys.modules and may_be_imported(module):
        return None  # a worker would import it; a look must not, whatever a row names
    try:
        find_task(task_name)
    except TaskNotFound as exc:
        bridge.import_stock_tasks()
        return None if bridge.find_stock_task(task_name) else str(exc)
    return None


def as_dict(explanation: Explanation) -> dict[str, Any]:
    """What `manage.py queue explain --json` prints."""
    return {
        "id": explanation.job.id,
        "state": explanation.job.state,
        "reasons": [
            {"why": reason.why, "text": reason.text, "job_id": reason.job_id, "worker_id": reason.worker_id}
            for reason in explanation.reasons
        ],
    }
