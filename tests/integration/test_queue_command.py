"""manage.py queue: what an operator sees and does."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection
from django.utils import timezone

from queue_tasks import compat, enqueue_many
from queue_tasks.jobs import JobState
from queue_tasks.overview import list_jobs, measure
from tests.aliases import alias_of
from tests.testapp import tasks

pytestmark = pytest.mark.django_db

DUMMY = f"{compat.FRAMEWORK}.backends.dummy.DummyBackend"


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of any length, whatever the width of the terminal the tests run in."""
    monkeypatch.delenv("COLUMNS", raising=False)


def queue(*arguments: Any, **options: Any) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("queue", *map(str, arguments), stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def refused(*arguments: Any) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        queue(*arguments)
    return refusal.value


def sql(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def make_job(state: str, **columns: Any) -> int:
    """A job in a state, moved there by hand: the row is what a worker would have left."""
    result = tasks.add.using(queue_name=columns.pop("queue_name", "default")).enqueue(1, b=2)
    now = timezone.now()
    # Half a minute and more from where the words change: a busy machine needs some time to look.
    ran = {"qt_started_at": now - timedelta(seconds=90), "qt_attempted_at": now - timedelta(seconds=90)}
    ended = ran | {"qt_finished_at": now - timedelta(seconds=60), "attempts": 1}
    values: dict[str, Any] = {
        "ready": {},
        "scheduled": {"scheduled_at": now + timedelta(hours=5, minutes=1)},
        "retrying": {"scheduled_at": now + timedelta(minutes=10, seconds=50), "attempts": 1, **ran},
        "parked": {"scheduled_at": "9000-01-01 00:00:00+00"},
        "running": {"status": "doing", **ran},
        "succeeded": {"status": "succeeded", "qt_result": "3", **ended},
        "failed": {"status": "failed", **ended},
        "cancelled": {"status": "cancelled", "qt_finished_at": now},
        "aborted": {"status": "aborted", **ended},
    }[state] | columns
    for name, value in values.items():
        sql(f"update procrastinate_jobs set {name} = %s where id = %s", value, int(result.id))  # noqa: S608
    return int(result.id)


def fail(job_id: int, message: str = "on purpose") -> None:
    """Note a failed attempt."""
    now = timezone.now()
    error = {
        "exception": "builtins.ValueError",
        "message": message,
        "traceback": f'Traceback (most recent call last):\n  File "tasks.py", line 5, in add\nValueError: {message}\n',
        "attempt": 1,
        "worker_id": 12,
        "started_at": (now - timedelta(seconds=65)).isoformat(),
        "finished_at": (now - timedelta(seconds=62.5)).isoformat(),
    }
    sql("update procrastinate_jobs set qt_errors = %s where id = %s", json.dumps([error]), job_id)


# ---------------------------------------------------------------------------------------------------------------- jobs


@pytest.mark.parametrize("state", list(JobState))
def test_each_state_is_shown_in_its_word_and_found_by_it(state):
    ids = {other: make_job(other) for other in JobState}
    lines = json.loads(queue("jobs", "--json", "--status", state))
    assert [(line["id"], line["state"]) for line in lines] == [(ids[state], state)]
    assert measure().states[state] == 1


def test_several_states_may_be_asked_for():
    ids = {state: make_job(state) for state in JobState}
    lines = json.loads(queue("jobs", "--json", "--status", "failed", "--status", "aborted"))
    assert {line["id"] for line in lines} == {ids[JobState.FAILED], ids[JobState.ABORTED]}


def test_jobs_are_listed_newest_first_in_aligned_columns():
    older, newer = make_job("ready"), make_job("failed", queue_name="media")
    titles, first, second = queue("jobs").splitlines()
    assert titles.split() == ["ID", "STATE", "QUEUE", "TASK", "TRIES", "WHEN"]
    assert first.split()[:5] == [str(newer), "failed", "media", "tests.testapp.tasks.add", "1"]
    assert second.split()[:5] == [str(older), "ready", "default", "tests.testapp.tasks.add", "0"]
    assert first.endswith("1 min ago")
    for word, line in (("failed", first), ("ready", second)):
        assert line.index(word) == titles.index("STATE")


@pytest.mark.parametrize(
    ("state", "words"),
    [("scheduled", "due in 5 h"), ("retrying", "due in 10 min"), ("running", "for 1 min"), ("succeeded", "1 min ago")],
)
def test_the_time_that_matters_is_told_in_words(state, words):
    make_job(state)
    assert queue("jobs").splitlines()[1].endswith(words)


def test_a_parked_job_has_no_time():
    make_job("parked")
    assert json.loads(queue("jobs", "--json"))[0]["run_after"] is None


def test_a_page_ends_with_the_way_to_the_next():
    ids = [make_job("ready") for _ in range(5)]
    first = queue("jobs", "--limit", 2)
    assert first.splitlines()[-1] == f"The next page: --before {ids[3]}"
    second = json.loads(queue("jobs", "--limit", 2, "--before", ids[3], "--json"))
    assert [line["id"] for line in second] == [ids[2], ids[1]]


def test_jobs_are_found_by_queue_and_by_task():
    make_job("ready")
    other = int(tasks.fail.using(queue_name="media").enqueue().id)
    for filters in (["--queue", "media"], ["--task", "tests.testapp.tasks.fail"], ["--task", "fail"]):
        assert [line["id"] for line in json.loads(queue("jobs", "--json", *filters))] == [other]
    assert queue("jobs", "--task", "il") == "no such jobs\n"


def test_an_empty_queue_is_told_in_words_and_an_empty_list():
    assert queue("jobs") == "no jobs\n"
    assert json.loads(queue("jobs", "--json")) == []


def test_json_tells_what_is_known_of_a_job():
    job_id = make_job("failed")
    fail(job_id)
    [line] = json.loads(queue("jobs", "--json"))
    assert line["id"] == job_id
    assert line["task_name"] == "tests.testapp.tasks.add"
    assert line["args"] == {"args": [1], "kwargs": {"b": 2}}
    assert (line["error"], line["message"]) == ("builtins.ValueError", "on purpose")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", line["enqueued_at"])


def test_a_name_cannot_move_the_terminals_cursor():
    tasks.add.using(queue_name="\x1b[2J\r\n").enqueue(1)
    assert "\x1b" not in queue("jobs")
    assert r"\x1b[2J\r\n" in queue("jobs")


HOSTILE = "\x1b]0;mine\x07\x1b[2J\u202e\nforged"


@pytest.mark.parametrize(
    "arguments",
    [
        *(["jobs"], ["show", "1"], ["explain", "1"], ["queues"]),
        *(["schedules"], ["schedules", "--next", "1"], ["schedule", HOSTILE], ["schedule", "named well"]),
        *(["schedule", HOSTILE, "--run"], ["schedule", HOSTILE + "s"], ["pause", HOSTILE]),
    ],
    ids=lambda arguments: " ".join(arguments).replace(HOSTILE, "hostile"),
)
def test_no_name_of_a_row_moves_the_terminals_cursor(arguments):
    job_id = tasks.add.enqueue(1, b=2).id
    columns = "task_name = %s, queue_name = %s, lock = %s, queueing_lock = %s"
    sql(f"update procrastinate_jobs set id = 1, {columns} where id = %s", *[HOSTILE] * 4, int(job_id))  # noqa: S608
    for name in (HOSTILE, "named well"):
        sql(
            "insert into queue_tasks_schedules (name, task_name, queue_name, args, cron, timezone, missed, overlap) "
            "values (%s, %s, %s, '{}', '0 3 * * *', %s, 'latest', 'allow')",
            *(name, HOSTILE, HOSTILE, "UTC"),
        )
    try:
        said = queue(*arguments)
        assert "\nforged" not in said
    except CommandError as refusal:
        said = str(refusal)
    assert "mine" in said
    assert all(line.isprintable() for line in said.split("\n"))


def test_a_narrow_terminal_cuts_names_and_nothing_else(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    tasks.add.using(queue_name="q" * 128).enqueue(1)
    make_job("ready", queue_name="日本語" * 40)
    lines = queue("jobs").splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "..." in lines[1]
    assert lines[1].endswith("ago")


def test_a_row_that_is_out_of_this_world_is_still_listed():
    for value in ("infinity", "-infinity"):
        make_job("scheduled", scheduled_at=value)
    make_job("succeeded", qt_expires_at="infinity", qt_errors='"no array"', qt_meta="[1]")
    assert len(json.loads(queue("jobs", "--json"))) == 3
    assert "is succeeded" in queue("show", list_jobs()[0].id)


# ---------------------------------------------------------------------------------------------------------------- show


def test_show_tells_the_whole_story_of_a_failed_job():
    job_id = make_job("failed", lock="photo:1")
    fail(job_id)
    text = queue("show", job_id)
    assert text.startswith(f"Job {job_id} is failed.\n")
    for label, words in {
        "task": "tests.testapp.tasks.add",
        "arguments": "1, b=2",
        "queue": "default",
        "lock": "photo:1",
        "attempts": "1",
        "started": "1 min ago, 20",
        "finished": "1 min ago, 20",
        "took": "30 s",
        "kept": "for ever",
    }.items():
        assert re.search(rf"^  {label} +{re.escape(words)}", text, re.MULTILINE), label
    assert "Attempt 1 failed after 2.5 s, 1 min ago, on worker 12: builtins.ValueError" in text
    assert '    File "tasks.py", line 5, in add\n' in text
    assert text.endswith("  ValueError: on purpose\n")


def test_show_tells_what_a_succeeded_job_returned_and_how_long_it_stays():
    job_id = make_job("succeeded", qt_expires_at=timezone.now() + timedelta(days=6, hours=1))
    text = queue("show", job_id)
    assert re.search(r"^  returned +3$", text, re.MULTILINE)
    assert re.search(r"^  kept +6 d more$", text, re.MULTILINE)


def test_show_tells_how_far_a_running_job_has_come():
    job_id = make_job("running", qt_meta='{"progress": {"done": 3, "total": 4, "message": "resizing"}}')
    assert re.search(r"^  progress +3 of 4 \(75%\): resizing$", queue("show", job_id), re.MULTILINE)
    sql("update procrastinate_jobs set abort_requested = true where id = %s", job_id)
    assert queue("show", job_id).startswith(f"Job {job_id} is running, and told to stop.")


def test_show_tells_when_a_job_is_due():
    assert "is scheduled, due in 5 h." in queue("show", make_job("scheduled"))
    late = make_job("scheduled", scheduled_at=timezone.now() - timedelta(minutes=2))
    assert "is scheduled, was due 2 min ago." in queue("show", late)


def test_show_writes_the_arguments_of_a_procrastinate_task_too():
    job_id = make_job("ready", args='{"photo": "ä"}')
    assert re.search(r'^  arguments +photo="ä"$', queue("show", job_id), re.MULTILINE)


def test_show_keeps_a_traceback_from_moving_the_cursor():
    job_id = make_job("failed")
    fail(job_id, "\x1b[2J")
    assert "\x1b" not in queue("show", job_id)


def test_show_as_json_has_the_errors_and_the_return_value():
    job_id = make_job("failed")
    fail(job_id)
    story = json.loads(queue("show", job_id, "--json"))
    assert (story["id"], story["state"], story["return_value"]) == (job_id, "failed", None)
    assert story["errors"][0]["message"] == "on purpose"


def test_show_of_a_job_that_does_not_exist_fails():
    error = refused("show", 999)
    assert str(error) == "Job 999 does not exist: it never did, or it was deleted after it had finished."
    assert error.returncode == 1


# ------------------------------------------------------------------------------------------------ retry, cancel, abort


def state_of(job_id: int) -> str:
    return list_jobs(ids=[job_id])[0].state


@pytest.mark.parametrize("state", ["failed", "cancelled", "aborted", "succeeded", "scheduled", "retrying"])
def test_retry_makes_a_job_ready(state):
    job_id = make_job(state)
    assert queue("retry", job_id) == f"job {job_id}: ready again\n"
    assert state_of(job_id) == "ready"


@pytest.mark.parametrize(
    ("verb", "state", "reason"),
    [
        ("retry", "running", "was not retried: it is running"),
        ("retry", "ready", "was not retried: it is ready already"),
        ("retry", "parked", "was not retried: it is parked"),
        ("cancel", "running", "was not cancelled: it is running; to stop it: manage.py queue abort "),
        ("cancel", "failed", "was not cancelled: it is failed already, 1 min ago"),
        ("cancel", "succeeded", "was not cancelled: it has succeeded already, 1 min ago"),
        ("abort", "succeeded", "was not aborted: it has succeeded already, 1 min ago"),
        ("abort", "cancelled", "was not aborted: it is cancelled already"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_reason_and_exit_code_1(verb, state, reason):
    job_id = make_job(state)
    error = refused(verb, job_id)
    assert str(error).startswith(f"job {job_id} {reason}")
    assert error.returncode == 1
    assert state_of(job_id) == state


@pytest.mark.parametrize("state", ["ready", "scheduled", "retrying", "parked"])
@pytest.mark.parametrize("verb", ["cancel", "abort"])
def test_a_job_that_has_not_started_is_cancelled(verb, state):
    job_id = make_job(state)
    assert queue(verb, job_id).startswith(f"job {job_id}: cancelled")
    assert state_of(job_id) == "cancelled"


def test_a_running_job_is_told_to_stop():
    job_id = make_job("running")
    assert queue("abort", job_id) == f"job {job_id}: told to stop\n"
    assert list_jobs(ids=[job_id])[0].abort_requested


def test_of_several_jobs_each_is_told_and_those_that_can_be_done_are():
    good, bad = make_job("ready"), make_job("succeeded")
    out = StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("queue", "cancel", str(good), str(bad), "999", str(good), stdout=out)
    assert out.getvalue() == f"job {good}: cancelled\n"
    assert str(refusal.value).splitlines() == [
        f"job {bad} was not cancelled: it has succeeded already, 1 min ago",
        "job 999 was not cancelled: it does not exist",
    ]


def test_cancelled_jobs_stay_as_long_as_the_backend_keeps_finished_ones(settings):
    settings.TASKS = {
        "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": [], "OPTIONS": {"keep": None}}
    }
    job_id = make_job("ready")
    queue("cancel", job_id)
    assert sql("select qt_expires_at from procrastinate_jobs where id = %s", job_id) == [(None,)]


def test_retrying_twins_of_one_queueing_lock_leaves_the_lock_with_the_first():
    first, second = (make_job("failed", queueing_lock="only one") for _ in range(2))
    assert queue("retry", second, first).splitlines() == [f"job {second}: ready again", f"job {first}: ready again"]
    locks = sql("select id, queueing_lock from procrastinate_jobs order by id")
    assert locks == [(first, "only one"), (second, None)]


def test_retrying_a_job_whose_twin_waits_leaves_the_lock_with_the_twin():
    failed = make_job("failed", queueing_lock="only one")
    make_job("ready", queueing_lock="only one")
    queue("retry", failed)
    assert sql("select queueing_lock from procrastinate_jobs where id = %s", failed) == [(None,)]


def test_a_retried_job_has_no_result_and_no_progress_any_more():
    job_id = make_job("succeeded", qt_meta='{"progress": {"done": 1}, "run_after": "2026-01-01T00:00:00+00:00"}')
    queue("retry", job_id)
    [(result, meta)] = sql("select qt_result::text, qt_meta::text from procrastinate_jobs where id = %s", job_id)
    assert result is None
    assert json.loads(meta).keys() == {"run_after"}


# --------------------------------------------------------------------------------------------- queues, workers, stats


def test_queues_are_counted_by_state():
    for state in JobState:
        make_job(state)
    make_job("ready", queue_name="media", qt_enqueued_at=timezone.now() - timedelta(minutes=3, seconds=1))
    titles, default, media = queue("queues").splitlines()
    assert titles.split() == [
        "QUEUE",
        "READY",
        "SCHEDULED",
        "RETRYING",
        "PARKED",
        "RUNNING",
        "FAILED",
        "OLDEST",
        "STATE",
    ]
    assert default.split()[:7] == ["default", "1", "1", "1", "1", "1", "1"]
    assert media.split()[:2] == ["media", "1"]
    assert media.endswith("3 min   open")


def test_a_job_that_was_scheduled_is_ready_since_its_time():
    result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1)
    sql(
        "update procrastinate_jobs set scheduled_at = null, qt_enqueued_at = now() - interval '2 hours', "
        "qt_meta = jsonb_build_object('run_after', now() - interval '1 minute') where id = %s",
        int(result.id),
    )
    [line] = json.loads(queue("queues", "--json"))
    assert 60 <= line["oldest_ready"] < 600


def test_a_declared_queue_is_listed_though_it_is_empty(settings):
    settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "QUEUES": ["media", "default"]}}
    assert [line["name"] for line in json.loads(queue("queues", "--json"))] == ["default", "media"]
    assert all(len(line) <= 80 for line in queue("queues").splitlines())


def test_no_queues_and_no_workers_are_told_in_words():
    assert queue("queues") == "no queues: no job waits, runs or failed\n"
    assert queue("workers") == "no workers. Start one with: manage.py queue_worker\n"
    assert json.loads(queue("workers", "--json")) == []


def test_workers_are_listed_with_their_heartbeat_and_running_jobs():
    [(ours,)] = sql(
        "insert into procrastinate_workers "
        "(qt_name, qt_host, qt_pid, qt_queues, qt_concurrency, qt_version, qt_memory, last_heartbeat) "
        "values ('blue', 'web1', 4711, '{media,mail}', 20, '0.1.0', 60 * 2 ^ 20, now() - interval '90 s') returning id"
    )
    [(stock,)] = sql("insert into procrastinate_workers default values returning id")
    make_job("running", worker_id=ours)
    titles, blue, other = queue("workers").splitlines()
    assert titles.split() == ["ID", "NAME", "HOST", "PID", "QUEUES", "RUNNING", "VERSION", "MEMORY", "HEARTBEAT"]
    assert blue.split()[:5] == [str(ours), "blue", "web1", "4711", "media,mail"]
    assert "1 of 20" in blue
    assert "0.1.0" in blue
    assert " MB " in blue
    assert blue.endswith("1 min ago, lost")
    assert other.split()[:3] == [str(stock), "stock", "worker"]
    lines = json.loads(queue("workers", "--json"))
    assert [(line["name"], line["lost"]) for line in lines] == [("blue", True), (None, False)]


def test_stats_tell_counts_throughput_latency_and_sizes():
    now = timezone.now()
    for waited in range(100):
        make_job(
            "succeeded",
            qt_enqueued_at=now - timedelta(seconds=10),
            qt_started_at=now - timedelta(seconds=10) + timedelta(milliseconds=10 * waited),
            qt_finished_at=now,
        )
    make_job("failed", qt_finished_at=now - timedelta(minutes=30))
    make_job("cancelled")
    make_job("ready")
    text = queue("stats")
    assert re.search(r"^succeeded +100$", text, re.MULTILINE)
    assert "finished    100 in the last minute, 101 in the last hour" in text
    assert re.search(r"^latency     p50 \d+ ms, p95 \d+ ms, p99 .* of 101 recent jobs$", text, re.MULTILINE)
    assert re.search(r"^on disk     .* of jobs, .* of their indexes, .* of events$", text, re.MULTILINE)
    figures = json.loads(queue("stats", "--json"))
    assert figures["states"]["succeeded"] == 100
    assert figures["states"]["parked"] == 0
    assert figures["latency_p50"] == pytest.approx(0.5, abs=0.05)


def test_latency_of_a_scheduled_job_is_counted_from_its_time():
    now = timezone.now()
    make_job(
        "succeeded",
        qt_enqueued_at=now - timedelta(hours=1),
        qt_started_at=now,
        qt_meta=json.dumps({"run_after": (now - timedelta(seconds=2)).isoformat()}),
    )
    assert measure().latency_p50 == pytest.approx(2)


@pytest.mark.parametrize("run_after", ["tomorrow", 7, None, "2026-02-31T25:61:00+00:00"])
def test_a_time_that_a_stranger_wrote_keeps_nobody_from_looking(run_after):
    for state in ("ready", "succeeded"):
        job = make_job(state)
        sql("update procrastinate_jobs set qt_meta = %s where id = %s", json.dumps({"run_after": run_after}), job)
    assert "default" in queue("queues")
    assert "on disk" in queue("stats")


def test_stats_of_an_empty_table_have_no_latency():
    assert "latency" not in queue("stats")
    assert json.loads(queue("stats", "--json"))["latency_p50"] is None


# -------------------------------------------------------------------------------------------------------- prune, schema


def test_prune_deletes_what_is_over_and_says_how_many():
    past, future = timezone.now() - timedelta(minutes=1), timezone.now() + timedelta(minutes=1)
    for _ in range(3):
        make_job("succeeded", qt_expires_at=past)
    kept = {
        make_job("succeeded", qt_expires_at=future),
        make_job("succeeded"),
        make_job("failed", qt_expires_at=past),
        make_job("ready"),
    }
    assert re.fullmatch(r"pruned 3 jobs in \S+ m?s\n", queue("prune"))
    assert {line.id for line in list_jobs()} == kept


def test_prune_deletes_in_chunks_of_a_thousand():
    enqueue_many(tasks.noop.bind() for _ in range(2500))
    sql("update procrastinate_jobs set status = 'succeeded', qt_expires_at = now() - interval '1 minute'")
    assert queue("prune").startswith("pruned 2,500 jobs in ")
    assert list_jobs() == []


def test_the_schema_is_as_the_files_have_it():
    assert re.fullmatch(r"(\d+) of \1 objects are installed as sql/ has them\n", queue("schema"))


def test_a_drift_of_the_schema_is_told_with_exit_code_1():
    sql("drop index procrastinate_jobs_qt_expires_idx")
    out = StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("queue", "schema", "status", stdout=out)
    assert str(refusal.value) == "1 objects are not as they should be. Run: manage.py migrate (it repairs them)"
    assert refusal.value.returncode == 1
    row = next(line for line in out.getvalue().splitlines() if "qt_expires_idx" in line)
    assert row.split() == [
        "missing",
        "index",
        "procrastinate_jobs_qt_expires_idx",
        "sql/indexes/procrastinate_jobs_qt_expires_idx.sql",
    ]


def test_the_sql_it_prints_can_be_run_again_and_mends_a_drift():
    sql("drop index procrastinate_jobs_qt_expires_idx")
    sql("drop trigger procrastinate_jobs_qt_inserted on procrastinate_jobs")
    text = queue("schema", "sql")
    assert "-- from sql/functions/queue_tasks_enqueue_v1.sql\n" in text
    with connection.cursor() as cursor:
        cursor.execute(text)
    assert "objects are installed" in queue("schema")


# --------------------------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["jobs", "--status", "broken"], "argument --status: invalid choice: 'broken'"),
        (["jobs", "--limit", "0"], "argument --limit: '0' is not a whole number of 1 or more."),
        (["jobs", "--limit", "ten"], "argument --limit: 'ten' is not a whole number of 1 or more."),
        (["jobs", "--colour"], "unrecognized arguments: --colour."),
        (["show"], "the following arguments are required: ID."),
        (["show", "abc"], "argument ID: 'abc' is not a whole number of 1 or more."),
        (["show", "9" * 30], "is not a whole number of 1 or more."),
        (["retry"], "the following arguments are required: ID."),
        (["schema", "fix"], "invalid choice: 'fix'"),
        (["frobnicate"], "argument VERB: invalid choice: 'frobnicate'"),
        (["jobs", "--backend", "elsewhere"], 'TASKS has no entry "elsewhere"; it has: default.'),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_code_2(arguments, problem):
    error = refused(*arguments)
    assert problem in str(error)
    assert "\n" not in str(error)
    assert error.returncode == 2


def test_a_backend_without_jobs_is_refused_with_those_that_have(settings):
    settings.TASKS = {
        "default": {"BACKEND": "queue_tasks.backend.PostgresBackend"},
        "dummy": {"BACKEND": DUMMY},
    }
    error = refused("jobs", "--backend", "dummy")
    assert "which has no jobs in Postgres. Give --backend one of: default." in str(error)
    assert error.returncode == 2


def test_options_that_are_wrong_are_one_clear_line(settings):
    settings.TASKS = {"default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "OPTIONS": {"grace": -1}}}
    error = refused("jobs")
    assert str(error) == 'TASKS["default"]: OPTIONS["grace"] is -1; expected 0 or more seconds, or a timedelta.'
    assert error.returncode == 2


def test_a_flag_of_a_worker_that_is_out_of_range_is_named_as_it_was_given():
    with pytest.raises(CommandError) as refusal:
        call_command("queue_worker", "--poll-interval", "0")
    assert str(refusal.value) == "queue_worker: --poll-interval is 0.0; expected 0.05 or more seconds, or a timedelta."
    assert refusal.value.returncode == 2


def test_the_only_backend_of_ours_needs_no_name(settings):
    settings.TASKS = {"default": {"BACKEND": DUMMY}, "jobs": {"BACKEND": "queue_tasks.backend.PostgresBackend"}}
    assert queue("jobs") == "no jobs\n"


def test_a_database_that_was_not_migrated_is_told_what_to_run():
    sql("alter table procrastinate_jobs rename column qt_lease to old_lease")
    sql("alter table procrastinate_jobs rename column qt_errors to old_errors")
    error = refused("jobs")
    lacks = "The database 'default' lacks objects of queue_tasks"
    assert str(error) == f'{lacks} (column "qt_errors" does not exist). Run: manage.py migrate'
    assert error.returncode == 1


@pytest.mark.django_db(transaction=True)
def test_another_database_that_was_not_migrated_is_named_in_what_to_run(settings, fresh_database):
    settings.TASKS = {
        "default": {"BACKEND": "queue_tasks.backend.PostgresBackend", "OPTIONS": {"database": "jobs"}},
    }
    with alias_of("jobs", fresh_database):
        error = refused("jobs")
        with pytest.raises(ProgrammingError) as raised:
            tasks.noop.enqueue()
    assert str(error).endswith("Run: manage.py migrate --database jobs")
    assert raised.value.__notes__ == [
        "The database 'jobs' lacks objects of queue_tasks. Run: manage.py migrate --database jobs"
    ]


# ---------------------------------------------------------------------------------------------------- as a real process


@pytest.fixture
def run(dsn: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the command as a process, on the test's database."""

    def start(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "django", "queue", *arguments],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start


@pytest.mark.django_db(transaction=True)
def test_as_a_process_it_prints_plain_text_and_exits_with_0(run):
    make_job("failed")
    done = run("jobs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "failed" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.django_db(transaction=True)
def test_as_a_process_what_cannot_be_done_is_on_stderr_with_exit_code_1(run):
    done = run("retry", "999")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "CommandError: job 999 was not retried: it does not exist\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["jobs", "--limit", "0"], "queue jobs: argument --limit: '0' is not a whole number of 1 or more. See: "),
        (
            [],
            (
                "queue: say what to do: jobs, show, explain, retry, cancel, abort, prune, queues, pause, resume, "
                "limit, workers, quiet, stop, schedules, schedule, stats, metrics, roles, schema. See: "
            ),
        ),
        (["--colour"], "queue: "),
    ],
)
def test_as_a_process_wrong_usage_is_one_line_on_stderr_and_exit_code_2(run, arguments, line):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_as_a_process_a_database_out_of_reach_is_one_line_and_exit_code_1(run):
    done = run("jobs", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: the database 'default' cannot be used: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.django_db(transaction=True)
def test_as_a_process_djangos_own_options_may_stand_after_the_verb(run):
    make_job("failed")
    done = run(
        "jobs", "--settings", "tests.settings", "--pythonpath=.", "-v", "2", "--skip-checks", "--traceback",
        DJANGO_SETTINGS_MODULE="no.such.settings",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "failed" in done.stdout


@pytest.mark.django_db(transaction=True)
def test_as_a_process_it_ends_without_a_word_when_nobody_reads_on(dsn):
    make_job("failed")
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "django", "queue", "jobs"],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, False)]
)
def test_on_a_terminal_states_have_colours_unless_there_should_be_none(dsn, environment, coloured):
    make_job("failed")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "django", "queue", "jobs"]
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "DJANGO_COLORS")}
    settings = {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings", "TERM": "xterm-256color"}
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], env=clean | settings | environment, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        text = b""
        while chunk := _read(ours):
            text += chunk
        assert process.wait(120) == 0
    os.close(ours)
    assert b"failed" in text
    assert (b"\x1b[" in text) is coloured


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side of a terminal was closed
        return b""
