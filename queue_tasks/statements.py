"""The statements Python sends, each read once from its file in sql/queries/ into a constant of the same name.

A constant, not a dict: an editor finds its users, a type checker the typo, a test the orphan file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import LiteralString


@cache
def sql_root() -> Path:
    """The folder with our SQL: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    packaged = package / "sql"
    return packaged if packaged.is_dir() else package.parent / "sql"


def load(name: str) -> LiteralString:
    """The text of sql/queries/<name>.sql without its comments, named so that logs and pg_stat_activity show it."""
    text = (sql_root() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return f"/* queue_tasks: {name} */ " + "\n".join(lines).strip()


ABORTING_JOBS = load("aborting_jobs")
ABORT_JOBS = load("abort_jobs")
ADD_SCHEDULE = load("add_schedule")
BEGIN_BUILD = load("begin_build")
BEGIN_CHANGE = load("begin_change")
BEGIN_TRANSACTION = load("begin_transaction")
CANCEL_JOBS = load("cancel_jobs")
CLEAR_JOBS = load("clear_jobs")
COMMIT_TRANSACTION = load("commit_transaction")
COUNT_EXPIRED = load("count_expired")
COUNT_QUEUES = load("count_queues")
COUNT_STATES = load("count_states")
DELETE_JOBS = load("delete_jobs")
DESCRIBE_JOB = load("describe_job")
DUE_SCHEDULES = load("due_schedules")
ECHO = load("echo")
END_BUILD = load("end_build")
END_CHANGE = load("end_change")
ENQUEUE_ALIKE = load("enqueue_alike")
ENQUEUE_JOB = load("enqueue_job")
ENQUEUE_JOBS = load("enqueue_jobs")
EXPLAIN_JOB = load("explain_job")
FETCH_JOBS = load("fetch_jobs")
FIND_WRITTEN = load("find_written")
FINISH_ATOMIC = load("finish_atomic")
FINISH_JOBS = load("finish_jobs")
FIRE_SCHEDULE = load("fire_schedule")
FOLLOW = load("follow")
FORGET_LISTENER = load("forget_listener")
GET_JOB = load("get_job")
GROUP_FAILURES = load("group_failures")
HEARTBEAT = load("heartbeat")
HELD_JOBS = load("held_jobs")
HOLD_LOCK = load("hold_lock")
INSPECT_JOB = load("inspect_job")
INSPECT_SERVER = load("inspect_server")
LIMIT_QUEUE = load("limit_queue")
LIST_CHANGES = load("list_changes")
LIST_CONTROLS = load("list_controls")
LIST_EVENTS = load("list_events")
LIST_JOBS = load("list_jobs")
LIST_SCHEDULES = load("list_schedules")
LIST_SNAPSHOTS = load("list_snapshots")
LIST_TICKS = load("list_ticks")
LIST_WORKERS = load("list_workers")
LIST_WRITERS = load("list_writers")
LOCK_JOBS = load("lock_jobs")
LOCK_QUEUE = load("lock_queue")
LOCK_SCHEDULE = load("lock_schedule")
LOOK_AROUND = load("look_around")
MARK_ATTEMPT = load("mark_attempt")
MEASURE_BACKLOG = load("measure_backlog")
MEASURE_JOBS = load("measure_jobs")
MEASURE_SERVER = load("measure_server")
MEASURE_TABLES = load("measure_tables")
NOTE_LISTENER = load("note_listener")
NOTE_START = load("note_start")
NOTIFY_USAGE = load("notify_usage")
OVERRIDE_SCHEDULE = load("override_schedule")
PAUSE_QUEUE = load("pause_queue")
PAUSE_SCHEDULE = load("pause_schedule")
PERIODIC_DEFER = load("periodic_defer")
PREPARE_LOOK = load("prepare_look")
PREPARE_SESSION = load("prepare_session")
PREPARE_TRANSACTION = load("prepare_transaction")
PROGRESS_JOBS = load("progress_jobs")
PROMOTE_JOBS = load("promote_jobs")
PROMOTE_NEXT = load("promote_next")
PRUNE_FIGURES = load("prune_figures")
PRUNE_JOBS = load("prune_jobs")
READ_FIGURES = load("read_figures")
RECLAIM_JOBS = load("reclaim_jobs")
RECORD_FIGURES = load("record_figures")
REGISTER_WORKER = load("register_worker")
REMOVE_SCHEDULE = load("remove_schedule")
RESCUE_JOBS = load("rescue_jobs")
RESUME_QUEUE = load("resume_queue")
RESUME_SCHEDULE = load("resume_schedule")
RETRY_JOBS = load("retry_jobs")
ROLLBACK_TRANSACTION = load("rollback_transaction")
RUN_SCHEDULE = load("run_schedule")
SCHEMA_COLUMNS = load("schema_columns")
SCHEMA_CONSTRAINTS = load("schema_constraints")
SCHEMA_FUNCTIONS = load("schema_functions")
SCHEMA_INDEXES = load("schema_indexes")
SCHEMA_LOCK = load("schema_lock")
SCHEMA_TRIGGERS = load("schema_triggers")
SCHEMA_TYPES = load("schema_types")
SEARCH_END = load("search_end")
SEARCH_JOBS = load("search_jobs")
SYNC_SCHEDULES = load("sync_schedules")
TAKE_JOB = load("take_job")
TELL_OTHERS = load("tell_others")
TELL_WORKER = load("tell_worker")
UNREGISTER_WORKER = load("unregister_worker")
WAITING_JOBS = load("waiting_jobs")
