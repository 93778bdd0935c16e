"""manage.py queue workers, quiet, stop: who works, and what an operator tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.core.management.base import CommandError, CommandParser

from queue_tasks import control, overview, sizes
from queue_tasks.durations import in_one_unit
from queue_tasks.jobs import JobState
from queue_tasks.management.terminal import Column
from queue_tasks.management.usage import whole
from queue_tasks.management.verb import Asked, Verb
from queue_tasks.overview import WorkerLine

TOLD = {"quiet": "quiet", "stop": "stopping"}
"""A worker's state by what it was told."""


def list_workers(asked: Asked) -> None:
    """List the workers."""
    lines = overview.list_workers(database=asked.database)
    dead_after = asked.backend.settings.dead_after
    lost = [line.heartbeat_age > dead_after for line in lines]
    if asked.flags["json"]:
        asked.console.json_list(overview.as_dict(line) | {"lost": gone} for line, gone in zip(lines, lost, strict=True))
        return
    if not lines:
        asked.console.say("no workers. Start one with: manage.py queue_worker")
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
            "" if line.memory is None else sizes.in_words(line.memory),
            _heartbeat(line, gone),
        ]
        for line, gone in zip(lines, lost, strict=True)
    ]
    last = len(columns) - 1
    asked.console.table(columns, rows, lambda row, column: JobState.FAILED if column == last and lost[row] else None)


def _heartbeat(line: WorkerLine, lost: bool) -> str:  # noqa: FBT001 - beside its line
    told = f", {TOLD.get(line.told, line.told)}" if line.told else ""
    return f"{in_one_unit(line.heartbeat_age)} ago{', lost' if lost else ''}{told}"


def _add_ids(parser: CommandParser) -> None:
    parser.add_argument("ids", metavar="ID", type=whole, nargs="+", help="of a worker: see queue workers")


def _add_quiet_arguments(parser: CommandParser) -> None:
    _add_ids(parser)
    parser.add_argument("--undo", action="store_true", help="have it fetch again")


def quiet(asked: Asked) -> None:
    """Have workers fetch nothing more, or again."""
    if asked.flags["undo"]:
        _tell(asked, control.resume_worker, "told to fetch again")
    else:
        _tell(asked, control.quiet_worker, "told to fetch nothing more; what runs goes on")


def stop(asked: Asked) -> None:
    """End workers in order."""
    _tell(asked, control.stop_worker, "told to stop; running jobs have its time of grace")


def _tell(asked: Asked, tell: Callable[..., bool], done: str) -> None:
    """Say for each worker that it was told, or why it could not be. Raises CommandError when any could not."""
    problems = []
    for worker_id in dict.fromkeys(asked.flags["ids"]):
        if tell(worker_id, database=asked.database):
            asked.console.say(f"worker {worker_id}: {done}")
        else:
            lines = overview.list_workers(database=asked.database)
            problems.append(f"worker {worker_id} was not told: {_why_not(worker_id, lines)}")
    if problems:
        raise CommandError("\n".join(problems))


def _why_not(worker_id: int, lines: Sequence[WorkerLine]) -> str:
    line = next((line for line in lines if line.id == worker_id), None)
    if line is None:
        return "there is none; to see them: manage.py queue workers"
    if line.name is None:
        return "it is a stock procrastinate worker, which cannot be told; end it by a signal"
    return "it is stopping already"


VERBS = (
    Verb("workers", "list the workers", list_workers, lists=True),
    Verb("quiet", "have workers fetch nothing more", quiet, _add_quiet_arguments),
    Verb("stop", "end workers in order, as by SIGTERM", stop, _add_ids),
)
