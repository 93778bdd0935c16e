"""manage.py queue: look at jobs, queues and workers, and do what an operator does."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import Error, OperationalError, connections
from django.utils import timezone

from queue_tasks import control, metrics, overview, schema
from queue_tasks.backend import PostgresBackend
from queue_tasks.dashboard.preferences import hides_of
from queue_tasks.dashboard.redaction import redacted
from queue_tasks.durations import in_one_unit
from queue_tasks.exceptions import JobNotFound
from queue_tasks.explain import as_dict as explained_as_dict
from queue_tasks.explain import explain_job
from queue_tasks.jobs import FINISHED, JobState
from queue_tasks.management import story
from queue_tasks.management.controls import ControlVerbs, add_control_arguments, gate
from queue_tasks.management.roles import RoleVerbs, add_roles_arguments
from queue_tasks.management.schedules import ScheduleVerbs, add_schedule_arguments, add_schedules_arguments
from queue_tasks.management.terminal import (
    Column,
    ProgressBar,
    clean,
    size,
    table,
    when,
    width_of_terminal,
)
from queue_tasks.management.usage import USAGE, OneLineParser, find_backend, refuse, whole
from queue_tasks.statements import sql_root

NOT_MIGRATED = {"42P01", "42703", "42883"}
"""SQLSTATEs of a table, a column and a function that do not exist."""

TOLD = {"quiet": "quiet", "stop": "stopping"}
"""A worker's state by what it was told."""

VERBS = {
    "jobs": "list jobs, newest first",
    "show": "tell all about one job",
    "explain": "say why a job is not running",
    "retry": "make finished or scheduled jobs ready now",
    "cancel": "cancel jobs that have not started",
    "abort": "tell running jobs to stop; cancel those that have not started",
    "queues": "count the jobs of each queue; see which are paused or limited",
    "pause": "have no worker fetch jobs of a queue",
    "resume": "have workers fetch jobs of a queue again",
    "limit": "limit how many jobs of a queue run at once, on all workers together",
    "workers": "list the workers",
    "quiet": "have workers fetch nothing more",
    "stop": "end workers in order, as by SIGTERM",
    "schedules": "list the schedules: what ticks next, what ran last",
    "schedule": "tell all about one schedule, or change, pause, run, add it",
    "stats": "counts, throughput, latency, sizes",
    "metrics": "what waits and runs in each queue, for Prometheus",
    "roles": "print or apply what a worker, a producer and a viewer may do in the database",
    "schema": "compare the database's objects with sql/",
    "prune": "delete finished jobs whose time to be kept is over",
}


class Command(ControlVerbs, ScheduleVerbs, RoleVerbs, BaseCommand):
    """Exit codes: 0 done, 1 failed or not all done, 2 wrong usage."""

    help = (
        "Look at jobs, queues, workers and schedules; retry, cancel, abort and prune jobs; pause and limit queues; "
        "quiet and stop workers; change schedules."
    )
    missing_args_message = f"say what to do: {', '.join(VERBS)}"
    # An operator looks when something is wrong: no check may stand in the way.
    requires_system_checks = ()
    stealth_options = ("verb",)

    backend: PostgresBackend
    flags: Mapping[str, Any]

    # ---------------------------------------------------------------------------------------------------------- usage

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """A parser whose errors are one line."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.error = lambda message: refuse(parser, message)  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """One subcommand for each verb."""
        everywhere = OneLineParser(add_help=False)
        everywhere.add_argument("--backend", metavar="ALIAS", help="entry of TASKS (default: the one that is ours)")
        # Django's own options are also understood after the verb.
        for option in ("--no-color", "--force-color", "--traceback"):
            everywhere.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        listing = OneLineParser(add_help=False)
        listing.add_argument("--json", action="store_true", help="JSON, for programs")

        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=OneLineParser)
        lists = {"jobs", "show", "explain", "queues", "workers", "schedules", "schedule", "stats"}
        made = {
            verb: verbs.add_parser(
                verb, help=text, description=text, parents=[everywhere, listing] if verb in lists else [everywhere]
            )
            for verb, text in VERBS.items()
        }
        jobs = made["jobs"]
        jobs.add_argument(
            "--status", choices=[state.value for state in JobState], action="append", help="may be given several times"
        )
        jobs.add_argument("--queue", metavar="NAME")
        jobs.add_argument("--task", metavar="NAME", help="a dotted path, or its last name")
        jobs.add_argument("--limit", metavar="N", type=whole, default=20, help="at most N jobs (default: 20)")
        jobs.add_argument("--before", metavar="ID", type=whole, help="only jobs older than this: the next page")
        for verb in ("show", "explain"):
            made[verb].add_argument("id", metavar="ID", type=whole)
        for verb in ("retry", "cancel", "abort"):
            made[verb].add_argument("ids", metavar="ID", type=whole, nargs="+")
        add_control_arguments(made)
        add_schedules_arguments(made["schedules"])
        add_schedule_arguments(made["schedule"])
        made["schema"].add_argument("what", choices=["status", "sql"], nargs="?", default="status")

        add_roles_arguments(made["roles"])

    def handle(self, *_args: Any, **flags: Any) -> None:
        """Do what the verb says."""
        if "NO_COLOR" in os.environ and not flags.get("force_color"):
            self.style = no_style()
        self.flags = flags
        self.backend = find_backend(flags.get("backend"))
        run: Callable[[], None] = getattr(self, flags["verb"])
        try:
            run()
        except Error as exc:
            raise CommandError(self._in_words(exc)) from exc

    def _in_words(self, error: Error) -> str:
        text = " ".join(str(error).split())
        if getattr(error.__cause__, "sqlstate", None) in NOT_MIGRATED:
            return f"the database {self.database!r} lacks objects of queue_tasks ({text}). Run: manage.py migrate"
        if isinstance(error, OperationalError):
            return f"the database {self.database!r} cannot be used: {text}"
        return text

    @property
    def database(self) -> str:
        """The alias of the database the jobs live in."""
        return self.backend.settings.database

    # ---------------------------------------------------------------------------------------------------------- looks

    def jobs(self) -> None:
        """List jobs."""
        states = [JobState(word) for word in self.flags["status"] or []] or None
        lines = overview.list_jobs(
            states=states,
            queue_name=self.flags["queue"],
            task_name=self.flags["task"],
            before=self.flags["before"],
            with_args=self.flags["json"],
            limit=self.flags["limit"],
            database=self.database,
        )
        if self.flags["json"]:
            self._json_list(_job_values(line) for line in lines)
            return
        if not lines:
            self._say("no such jobs" if self._filtered() else "no jobs")
            return
        columns = [
            Column("ID", right=True),
            Column("STATE"),
            Column("QUEUE", shrinks=True),
            Column("TASK", shrinks=True),
            Column("TRIES", right=True),
            Column("WHEN"),
        ]
        rows = [
            [str(job.id), job.state, job.queue_name, job.task_name, str(job.attempts), _since(job)] for job in lines
        ]
        self._table(columns, rows, lambda row, column: lines[row].state if column == 1 else None)
        if len(lines) == self.flags["limit"]:
            self._say(f"The next page: --before {lines[-1].id}")

    def _filtered(self) -> bool:
        return any(self.flags[name] for name in ("status", "queue", "task", "before"))

    def show(self) -> None:
        """Tell all about one job."""
        try:
            found = overview.describe_job(self.flags["id"], database=self.database)
        except JobNotFound as exc:
            raise CommandError(str(exc)) from exc
        if self.flags["json"]:
            self._json(
                _job_values(found.job)
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
            self._say(line)

    def explain(self) -> None:
        """Say why a job is not running."""
        options = self.backend.settings
        try:
            found = explain_job(self.flags["id"], database=options.database, dead_after=options.dead_after)
        except JobNotFound as exc:
            raise CommandError(str(exc)) from exc
        if self.flags["json"]:
            self._json(explained_as_dict(found))
            return
        self._say(f"job {found.job.id}, {found.job.task_name}, is {found.job.state}")
        for reason in found.reasons:
            self._say(clean(reason.text))

    def queues(self) -> None:
        """Count the jobs of each queue."""
        controls = overview.list_controls(database=self.database)
        declared = sorted({*self.backend.queues, *controls})
        lines = overview.count_queues(declared=declared, database=self.database)
        if self.flags["json"]:
            none = overview.QueueControl("")
            self._json_list(overview.as_dict(controls.get(line.name, none)) | overview.as_dict(line) for line in lines)
            return
        if not lines:
            self._say("no queues: no job waits, runs or failed")
            return
        numbers = ("READY", "SCHEDULED", "RETRYING", "PARKED", "RUNNING", "FAILED")
        columns = [Column("QUEUE", shrinks=True), *(Column(title, right=True) for title in numbers), Column("OLDEST")]
        columns.append(Column("STATE"))
        rows = [
            [
                line.name,
                *(f"{getattr(line, title.lower()):,}" for title in numbers),
                "" if line.oldest_ready is None else in_one_unit(line.oldest_ready),
                gate(controls.get(line.name)),
            ]
            for line in lines
        ]
        self._table(columns, rows)

    def workers(self) -> None:
        """List the workers."""
        lines = overview.list_workers(database=self.database)
        dead_after = self.backend.settings.dead_after
        if self.flags["json"]:
            self._json_list(overview.as_dict(line) | {"lost": line.heartbeat_age > dead_after} for line in lines)
            return
        if not lines:
            self._say("no workers. Start one with: manage.py queue_worker")
            return
        columns = [
            Column("ID", right=True),
            Column("NAME", shrinks=True),
            Column("HOST", shrinks=True),
            Column("PID", right=True),
            Column("QUEUES", shrinks=True),
            Column("RUNNING", right=True),
            Column("VERSION"),
            Column("MEMORY", right=True),
            Column("HEARTBEAT"),
        ]
        rows = [
            [
                str(line.id),
                line.name or "stock worker",
                line.host or "",
                str(line.pid or ""),
                ",".join(line.queues) if line.queues else "all" if line.name else "",
                f"{line.running} of {line.concurrency}" if line.concurrency else str(line.running),
                line.version or "",
                "" if line.memory is None else size(line.memory),
                f"{in_one_unit(line.heartbeat_age)} ago"
                + (", lost" if line.heartbeat_age > dead_after else "")
                + (f", {TOLD.get(line.told, line.told)}" if line.told else ""),
            ]
            for line in lines
        ]
        last = len(columns) - 1
        lost = [line.heartbeat_age > dead_after for line in lines]
        self._table(columns, rows, lambda row, column: JobState.FAILED if column == last and lost[row] else None)

    def stats(self) -> None:
        """Tell counts, throughput, latency and sizes."""
        figures = overview.measure(database=self.database)
        if self.flags["json"]:
            self._json(overview.as_dict(figures))
            return
        columns = [Column("STATE"), Column("JOBS", right=True)]
        states = [state for state, count in figures.states.items() if count] or [JobState.READY]
        rows = [[state, f"{figures.states[state]:,}"] for state in states]
        self._table(columns, rows, lambda row, column: states[row] if column == 0 else None)
        self._say("")
        self._say(
            f"finished    {figures.finished_last_minute:,} in the last minute, "
            f"{figures.finished_last_hour:,} in the last hour"
        )
        latency = [figures.latency_p50, figures.latency_p95, figures.latency_p99]
        if figures.sampled and None not in latency:
            p50, p95, p99 = (in_one_unit(value or 0.0) for value in latency)
            self._say(
                f"latency     p50 {p50}, p95 {p95}, p99 {p99} from enqueue to start, of {figures.sampled:,} recent jobs"
            )
        self._say(
            f"on disk     {size(figures.table_bytes)} of jobs, {size(figures.index_bytes)} of their indexes, "
            f"{size(figures.event_bytes)} of events"
        )

    def metrics(self) -> None:
        """Print the figures as the metrics page does."""
        if find_spec("prometheus_client") is None:
            raise CommandError(f"queue metrics needs {metrics.NEEDED}.", returncode=USAGE)
        self._say(metrics.exposition(metrics.of_queues(self.backend.settings)).decode().rstrip("\n"))

    # ---------------------------------------------------------------------------------------------------------- deeds

    def retry(self) -> None:
        """Make jobs ready."""
        done = control.retry(self._ids, database=self.database)
        self._report(dict.fromkeys(done, "ready again"), "retried", _not_retried)

    def cancel(self) -> None:
        """Cancel jobs that have not started."""
        done = control.cancel(self._ids, database=self.database, keep=self.backend.settings.keep)
        self._report(dict.fromkeys(done, "cancelled"), "cancelled", _not_cancelled)

    def abort(self) -> None:
        """Stop jobs."""
        done = control.abort(self._ids, database=self.database, keep=self.backend.settings.keep)
        words = {"doing": "told to stop", "cancelled": "cancelled: it had not started"}
        self._report({job_id: words.get(status, status) for job_id, status in done.items()}, "aborted", _is_over)

    @property
    def _ids(self) -> list[int]:
        return list(dict.fromkeys(self.flags["ids"]))

    def _report(self, done: Mapping[int, str], verb: str, why_not: Callable[[overview.JobLine], str]) -> None:
        """Say for each id what happened, or why it did not. Raises CommandError when any could not."""
        missed = [job_id for job_id in self._ids if job_id not in done]
        found = overview.list_jobs(ids=missed, limit=len(missed), database=self.database) if missed else []
        lines = {line.id: line for line in found}
        problems = []
        for job_id in self._ids:
            if job_id in done:
                self._say(f"job {job_id}: {done[job_id]}")
            elif job_id in lines:
                problems.append(f"job {job_id} was not {verb}: {why_not(lines[job_id])}")
            else:
                problems.append(f"job {job_id} was not {verb}: it does not exist")
        if problems:
            raise CommandError("\n".join(problems))

    def prune(self) -> None:
        """Delete what is over."""
        started = time.monotonic()
        total = control.count_expired(database=self.database)
        bar = ProgressBar(self.stderr, "pruned", total)
        try:
            deleted = control.prune(database=self.database, told=bar.update)
        finally:
            bar.close()
        self._say(f"pruned {deleted:,} jobs in {in_one_unit(time.monotonic() - started)}")

    def schema(self) -> None:
        """Compare the database with sql/, or print the SQL."""
        if self.flags["what"] == "sql":
            for file in dict.fromkeys([schema.REPLACED, *(want.file for want in schema.wanted())]):
                self.stdout.write(f"-- from sql/{file}\n{(sql_root() / file).read_text(encoding='utf-8')}")
            return
        objects = schema.status(connections[self.database])
        others = [item for item in objects if item.state is not schema.State.INSTALLED]
        if others:
            columns = [Column("STATE"), Column("KIND"), Column("NAME", shrinks=True), Column("FILE", shrinks=True)]
            rows = [[item.state, item.kind, item.name, f"sql/{item.file}" if item.file else ""] for item in others]
            self._table(columns, rows)
        self._say(f"{len(objects) - len(others)} of {len(objects)} objects are installed as sql/ has them")
        wrong = sum(item.state in schema.WRONG for item in others)
        if wrong:
            raise CommandError(f"{wrong} objects are not as they should be. Run: manage.py migrate (it repairs them)")

    # --------------------------------------------------------------------------------------------------------- output

    def _table(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str]],
        state_of: Callable[[int, int], JobState | None] | None = None,
    ) -> None:
        """Print a table. state_of: the state in whose colour a cell (row, column) is shown."""

        def paint(row: int, column: int, text: str) -> str:
            state = state_of(row, column) if state_of is not None else None
            return text if state is None else self._paint(state, text)

        width = width_of_terminal(self.stdout, os.environ.get("COLUMNS"))
        for line in table(columns, rows, width=width, paint=paint):
            self._say(line)

    def _paint(self, state: JobState, text: str) -> str:
        if state in (JobState.FAILED, JobState.ABORTED):
            return self.style.ERROR(text)
        if state is JobState.SUCCEEDED:
            return self.style.SUCCESS(text)
        if state in (JobState.RUNNING, JobState.RETRYING):
            return self.style.WARNING(text)
        return text

    def _json_list(self, values: Iterable[Mapping[str, Any]]) -> None:
        """A JSON array with one object on each line, good for programs and for grep."""
        text = ",\n".join(_to_json(value) for value in values)
        self.stdout.write(f"[\n{text}\n]" if text else "[]")

    def _json(self, value: Mapping[str, Any]) -> None:
        self.stdout.write(_to_json(value, indent=2))

    def _say(self, line: str) -> None:
        # A terminal that is not of UTF-8 must not make an error of a name.
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding))


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


def _job_values(job: overview.JobLine) -> dict[str, Any]:
    values = overview.as_dict(job)
    del values["now"]
    values["args"] = None if job.args is None else story.shown_args(job.task_name, job.args)
    return values


def _to_json(value: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return (value if value.utcoffset() is not None else timezone.make_aware(value)).isoformat()
    return clean(str(value))
