"""manage.py queue jobs, show, explain, retry, cancel, abort, prune."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser

from queue_tasks import control, overview
from queue_tasks.dashboard.preferences import hides_of
from queue_tasks.dashboard.redaction import redacted
from queue_tasks.durations import in_one_unit
from queue_tasks.exceptions import JobNotFound
from queue_tasks.explain import as_dict as explained_as_dict
from queue_tasks.explain import explain_job
from queue_tasks.jobs import FINISHED, JobState
from queue_tasks.management import story
from queue_tasks.management.terminal import Column, ProgressBar, when
from queue_tasks.management.usage import whole
from queue_tasks.management.verb import Asked, Verb

# --------------------------------------------------------------------------------------------------------------- looks


def _add_list_arguments(parser: CommandParser) -> None:
    states = [state.value for state in JobState]
    parser.add_argument("--status", choices=states, action="append", help="may be given several times")
    parser.add_argument("--queue", metavar="NAME")
    parser.add_argument("--task", metavar="NAME", help="a dotted path, or its last name")
    parser.add_argument("--limit", metavar="N", type=whole, default=20, help="at most N jobs (default: 20)")
    parser.add_argument("--before", metavar="ID", type=whole, help="only jobs older than this: the next page")


def list_jobs(asked: Asked) -> None:
    """List jobs, newest first."""
    flags, console = asked.flags, asked.console
    lines = overview.list_jobs(
        states=[JobState(word) for word in flags["status"] or []] or None,
        queue_name=flags["queue"],
        task_name=flags["task"],
        before=flags["before"],
        with_args=flags["json"],
        limit=flags["limit"],
        database=asked.database,
    )
    if flags["json"]:
        console.json_list(_values(line) for line in lines)
        return
    if not lines:
        filtered = any(flags[name] for name in ("status", "queue", "task", "before"))
        console.say("no such jobs" if filtered else "no jobs")
        return
    columns = [
        Column("ID", right=True),
        Column("STATE"),
        Column("QUEUE", shrinks=True),
        Column("TASK", shrinks=True),
        Column("TRIES", right=True),
        Column("WHEN"),
    ]
    rows = [[str(job.id), job.state, job.queue_name, job.task_name, str(job.attempts), _since(job)] for job in lines]
    console.table(columns, rows, lambda row, column: lines[row].state if column == 1 else None)
    if len(lines) == flags["limit"]:
        console.say(f"The next page: --before {lines[-1].id}")


def _since(job: overview.JobLine) -> str:
    """The time that matters most of a job in its state."""
    match job.state:
        case JobState.SCHEDULED | JobState.RETRYING:
            return f"due {when(job.run_after, job.now)}"
        case JobState.RUNNING:
            return f"for {in_one_unit((job.now - job.attempted_at).total_seconds())}" if job.attempted_at else ""
        case state if state in FINISHED:
            return when(job.finished_at, job.now)
    return when(job.enqueued_at, job.now)


def _add_id(parser: CommandParser) -> None:
    parser.add_argument("id", metavar="ID", type=whole)


def show(asked: Asked) -> None:
    """Tell all about one job."""
    try:
        found = overview.describe_job(asked.flags["id"], database=asked.database)
    except JobNotFound as exc:
        raise CommandError(str(exc)) from exc
    if asked.flags["json"]:
        asked.console.json(
            _values(found.job)
            | {
                "return_value": redacted(found.result, hides_of(found.job.task_name)),
                "errors": found.errors,
                "progress": found.meta.get("progress"),
                "expires_at": found.expires_at,
                "ephemeral": found.ephemeral,
                "worker_name": found.worker_name,
            }
        )
        return
    for line in story.tell(found):
        asked.console.say(line)


def _values(job: overview.JobLine) -> dict[str, Any]:
    """A job as JSON has it."""
    values = overview.as_dict(job)
    del values["now"]
    values["args"] = None if job.args is None else story.shown_args(job.task_name, job.args)
    return values


def explain(asked: Asked) -> None:
    """Say why a job is not running."""
    try:
        found = explain_job(asked.flags["id"], database=asked.database, dead_after=asked.backend.settings.dead_after)
    except JobNotFound as exc:
        raise CommandError(str(exc)) from exc
    if asked.flags["json"]:
        asked.console.json(explained_as_dict(found))
        return
    asked.console.say(f"job {found.job.id}, {found.job.task_name}, is {found.job.state}")
    for reason in found.reasons:
        asked.console.say(reason.text)


# --------------------------------------------------------------------------------------------------------------- deeds


def _add_ids(parser: CommandParser) -> None:
    parser.add_argument("ids", metavar="ID", type=whole, nargs="+")


def retry(asked: Asked) -> None:
    """Make jobs ready."""
    done = control.retry(_ids(asked), database=asked.database)
    _report(asked, dict.fromkeys(done, "ready again"), "retried", _not_retried)


def cancel(asked: Asked) -> None:
    """Cancel jobs that have not started."""
    done = control.cancel(_ids(asked), database=asked.database, keep=asked.backend.settings.keep)
    _report(asked, dict.fromkeys(done, "cancelled"), "cancelled", _not_cancelled)


def abort(asked: Asked) -> None:
    """Stop jobs."""
    done = control.abort(_ids(asked), database=asked.database, keep=asked.backend.settings.keep)
    words = {"doing": "told to stop", "cancelled": "cancelled: it had not started"}
    _report(asked, {job_id: words.get(status, status) for job_id, status in done.items()}, "aborted", _is_over)


def _ids(asked: Asked) -> list[int]:
    return list(dict.fromkeys(asked.flags["ids"]))


def _report(asked: Asked, done: Mapping[int, str], verb: str, why_not: Callable[[overview.JobLine], str]) -> None:
    """Say for each id what happened, or why it did not. Raises CommandError when any could not."""
    ids = _ids(asked)
    missed = [job_id for job_id in ids if job_id not in done]
    found = overview.list_jobs(ids=missed, limit=len(missed), database=asked.database) if missed else []
    lines = {line.id: line for line in found}
    problems = []
    for job_id in ids:
        if job_id in done:
            asked.console.say(f"job {job_id}: {done[job_id]}")
        elif job_id in lines:
            problems.append(f"job {job_id} was not {verb}: {why_not(lines[job_id])}")
        else:
            problems.append(f"job {job_id} was not {verb}: it does not exist")
    if problems:
        raise CommandError("\n".join(problems))


def _not_retried(job: overview.JobLine) -> str:
    match job.state:
        case JobState.RUNNING:
            return "it is running"
        case JobState.READY:
            return "it is ready already"
    return f"it is {job.state}"


def _not_cancelled(job: overview.JobLine) -> str:
    if job.state is JobState.RUNNING:
        return f"it is running; to stop it: manage.py queue abort {job.id}"
    return _is_over(job)


def _is_over(job: overview.JobLine) -> str:
    ago = f", {when(job.finished_at, job.now)}" if job.finished_at else ""
    return f"it has {job.state} already{ago}" if job.state is JobState.SUCCEEDED else f"it is {job.state} already{ago}"


def prune(asked: Asked) -> None:
    """Delete what is over."""
    started = time.monotonic()
    total = control.count_expired(database=asked.database)
    bar = ProgressBar(asked.console.stderr, "pruned", total)
    try:
        deleted = control.prune(database=asked.database, told=bar.update)
    finally:
        bar.close()
    asked.console.say(f"pruned {deleted:,} jobs in {in_one_unit(time.monotonic() - started)}")


VERBS = (
    Verb("jobs", "list jobs, newest first", list_jobs, _add_list_arguments, lists=True),
    Verb("show", "tell all about one job", show, _add_id, lists=True),
    Verb("explain", "say why a job is not running", explain, _add_id, lists=True),
    Verb("retry", "make finished or scheduled jobs ready now", retry, _add_ids),
    Verb("cancel", "cancel jobs that have not started", cancel, _add_ids),
    Verb("abort", "tell running jobs to stop; cancel those that have not started", abort, _add_ids),
    Verb("prune", "delete finished jobs whose time to be kept is over", prune),
)
