"""Atomic tasks under a worker in this process: one transaction, all or nothing, and errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections

from queue_tasks import TaskResult, compat, events
from queue_tasks.compat import TaskResultDoesNotExist, TaskResultStatus
from queue_tasks.worker.worker import Worker
from tests.chaos.proxy import Loss, Proxy
from tests.testapp import atomic, tasks
from tests.waiting import PATIENCE, wait_until
from tests.workers import drain, running_worker

pytestmark = pytest.mark.django_db(transaction=True)

BODY = "tests.body"
"""What the sessions of Django call themselves behind the proxy."""


def rows(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def groups() -> list[str]:
    return list(Group.objects.order_by("name").values_list("name", flat=True))


def follow_ups() -> int:
    return int(rows("select count(*) from procrastinate_jobs where task_name = 'tests.testapp.tasks.add'")[0][0])


def drained(result: TaskResult[Any], **options: Any) -> Worker:
    """Run everything; the worker, and the result refreshed."""
    worker = drain(**options)
    result.refresh()
    return worker


def the_error(result: TaskResult[Any], name: str) -> str:
    """The traceback of the one error of a failed job, of this class."""
    assert result.status == TaskResultStatus.FAILED
    (error,) = result.errors
    assert error.exception_class_path == name
    return str(error.traceback)


@pytest.fixture
def ended() -> Iterator[list[events.AttemptEnded]]:
    seen: list[events.AttemptEnded] = []
    unsubscribe = events.subscribe(events.AttemptEnded, seen.append)
    yield seen
    unsubscribe()


@pytest.fixture
def lost() -> Iterator[list[events.JobLost]]:
    seen: list[events.JobLost] = []
    unsubscribe = events.subscribe(events.JobLost, seen.append)
    yield seen
    unsubscribe()


# ------------------------------------------------------------------------------------------------- one transaction


def test_body_follow_up_return_value_and_end_are_one_transaction(ended: list[events.AttemptEnded]) -> None:
    result = atomic.once.enqueue("a")
    worker = drained(result, max_jobs=1)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == {"made": "a"}
    assert result.attempts == 1
    assert result.started_at <= result.finished_at
    written = rows(
        "select xmin::text from procrastinate_jobs union select xmin::text from auth_group "
        "union select xmin::text from procrastinate_events where type = 'succeeded'"
    )
    assert len(written) == 1, "the job's end, its follow-up, its effect and its event are of one transaction"
    assert (worker.tally.ended, worker.tally.succeeded, worker.tally.lost) == (1, 1, 0)
    assert [(event.job.id, event.status) for event in ended] == [(int(result.id), "succeeded")]


def test_task_finished_is_sent_once_for_an_atomic_job() -> None:
    heard: list[tuple[str, str, list[str]]] = []

    def hear(task_result: TaskResult[Any], **_: Any) -> None:
        if task_result.task.name == "once":
            heard.append((task_result.id, str(task_result.status), groups()))

    compat.task_finished.connect(hear)
    try:
        result = atomic.once.enqueue("told")
        drained(result)
    finally:
        compat.task_finished.disconnect(hear)
    assert heard == [(result.id, str(TaskResultStatus.SUCCESSFUL), ["told"])]


def test_an_ephemeral_atomic_job_leaves_its_effects_only() -> None:
    result = atomic.once_ephemeral.enqueue("b")
    worker = drain(max_jobs=1)
    assert groups() == ["b"]
    assert worker.tally.succeeded == 1
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()


def test_the_next_of_a_lock_runs_as_soon_as_an_atomic_job_has_committed() -> None:
    with running_worker(poll_interval=60):
        results = [atomic.once_locked.enqueue("k", name) for name in "abc"]
        for result in results:
            result.wait(timeout=PATIENCE)
    assert groups() == ["a", "b", "c"]
    times = rows("select qt_attempted_at, qt_finished_at from procrastinate_jobs where lock is not null order by id")
    assert all(later[0] >= sooner[1] for sooner, later in pairwise(times))


def test_a_failed_attempt_has_had_no_effect_and_the_next_one_has_it_once() -> None:
    result = atomic.succeed_on_attempt.enqueue("c", 3)
    worker = drained(result)
    assert result.return_value == 3
    assert [error.exception_class for error in result.errors] == [OSError, OSError]
    assert (groups(), follow_ups()) == (["c"], 1)
    assert (worker.tally.succeeded, worker.tally.failed) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "status", "attempts"),
    [
        ("retry", "todo", 1),
        ("snooze", "todo", 0),
        ("discard", "failed", 1),
        ("exit", "failed", 1),
        ("unstorable", "failed", 3),
    ],
)
def test_whatever_is_no_success_has_no_effect(kind: str, status: str, attempts: int) -> None:
    result = atomic.end_with.enqueue(kind, "d")
    drain()
    found = rows("select status::text, attempts from procrastinate_jobs where id = %s", result.id)
    assert found == [(status, attempts)] or (kind == "exit" and found[0][0] == "failed")
    assert (groups(), follow_ups()) == ([], 0)


@pytest.mark.parametrize("then_raise", [False, True])
def test_on_commit_runs_after_the_job_has_succeeded_and_cannot_undo_it(
    then_raise: bool, caplog: pytest.LogCaptureFixture
) -> None:
    atomic.after_commit.clear()
    result = atomic.watch_commit.enqueue(then_raise=then_raise)
    worker = drained(result)
    assert atomic.after_commit == ["doing", "succeeded"]
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert (worker.tally.succeeded, worker.tally.failed) == (1, 0)
    said = [
        record.getMessage().partition(" raised ")[0] for record in caplog.records if record.levelno == logging.ERROR
    ]
    assert said == (
        [f"job {result.id} of {result.task.module_path}: a function given to transaction.on_commit"]
        if then_raise
        else []
    )


# ----------------------------------------------------------------------------------------------------- the fence


@pytest.mark.parametrize("how", ["given", "rescued", "deleted"])
def test_a_body_whose_job_was_taken_away_has_no_effect_and_says_so(how: str, lost: list[events.JobLost]) -> None:
    result = atomic.lose.enqueue(how, "e")
    with running_worker(poll_interval=60) as worker:
        wait_until(lambda: worker.tally.lost == 1)
    assert (groups(), follow_ups()) == ([], 0)
    assert [event.job.id for event in lost] == [int(result.id)]
    assert (worker.tally.ended, worker.tally.succeeded) == (0, 0)
    found = rows("select status::text, qt_result, qt_errors from procrastinate_jobs where id = %s", result.id)
    assert found == {"given": [("doing", None, None)], "rescued": [("todo", None, None)], "deleted": []}[how]


# ---------------------------------------------------------------------------------------- what a body may not do


def test_a_body_that_commits_by_itself_fails_at_once_and_what_it_committed_stays() -> None:
    result = atomic.send.enqueue("commit", "f")
    drained(result)
    text = the_error(result, "queue_tasks.exceptions.AtomicEnded")
    assert "tests.testapp.atomic.send is atomic, and ended its transaction by itself" in text
    assert result.attempts == 1
    assert (groups(), follow_ups()) == (["f before"], 1)


def test_a_body_that_rolls_back_by_itself_fails_at_once() -> None:
    result = atomic.send.enqueue("rollback", "g")
    drained(result)
    the_error(result, "queue_tasks.exceptions.AtomicEnded")
    assert (groups(), follow_ups()) == ([], 0)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("commit", "This is forbidden when an 'atomic' block is active."),
        ("autocommit", "This is forbidden when an 'atomic' block is active."),
        ("durable", "A durable atomic block cannot be nested within another atomic block."),
    ],
)
def test_what_django_refuses_in_a_transaction_fails_the_job_with_django_s_words(what: str, words: str) -> None:
    result = atomic.call.enqueue(what, "h")
    drained(result)
    assert result.status == TaskResultStatus.FAILED
    trace = result.errors[0].traceback
    assert words in trace
    assert "tests/testapp/atomic.py" in trace
    assert (groups(), follow_ups()) == ([], 0)


def test_a_caught_error_that_broke_the_transaction_fails_the_job_and_says_what_to_do() -> None:
    result = atomic.catch.enqueue("k", fenced=False)
    drained(result)
    text = the_error(result, "queue_tasks.exceptions.AtomicBroken")
    assert "Wrap what may fail in a transaction.atomic() of its own" in text
    assert (groups(), follow_ups()) == ([], 0)


def test_an_error_caught_around_a_block_of_its_own_harms_nothing() -> None:
    result = atomic.catch.enqueue("l", fenced=True)
    drained(result)
    assert result.return_value == "caught"
    assert (groups(), follow_ups()) == (["l"], 1)


def test_it_commits_also_where_django_was_told_to_manage_no_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [atomic.once.enqueue(name) for name in ("off", "again")]
    facts = tasks.thread_facts.enqueue()
    with monkeypatch.context() as patch:
        # For the worker's connections, which are made from now on.
        patch.setitem(connections.settings["default"], "AUTOCOMMIT", False)
        drain(concurrency=1, max_jobs=3)
    for result in (*results, facts):
        result.refresh()
    assert [result.status for result in results] == [TaskResultStatus.SUCCESSFUL] * 2
    assert (groups(), follow_ups()) == (["again", "off"], 2)
    assert facts.return_value["autocommit"] is False


def test_a_body_that_closes_its_connection_fails_and_has_no_effect() -> None:
    result = atomic.close_connection.enqueue("m")
    drained(result)
    assert "closed its connection" in the_error(result, "queue_tasks.exceptions.AtomicBroken")
    assert (groups(), follow_ups()) == ([], 0)


# -------------------------------------------------------------------------------------------- commits that fail


def test_a_deferred_constraint_fails_the_job_at_its_commit() -> None:
    result = atomic.break_deferred.enqueue("n")
    worker = drained(result)
    assert "foreign key constraint" in the_error(result, "django.db.utils.IntegrityError")
    assert (groups(), follow_ups()) == ([], 0)
    assert (worker.tally.succeeded, worker.tally.failed) == (0, 1)


@pytest.fixture
def refused_commits() -> Iterator[Any]:
    """Make the commits of new groups fail as serialization failures do, a number of times."""

    def refuse(times: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("create sequence tests_refusals")
            cursor.execute(
                "create function tests_refuse() returns trigger language plpgsql as $$ begin "
                f"if nextval('tests_refusals') <= {times} then "
                "raise exception 'refused by the test' using errcode = '40001', detail = 'what a row has'; end if; "
                "return null; end $$"
            )
            cursor.execute(
                "create constraint trigger tests_refuse after insert on auth_group deferrable initially deferred "
                "for each row execute function tests_refuse()"
            )

    yield refuse
    with connection.cursor() as cursor:
        cursor.execute("drop trigger tests_refuse on auth_group")
        cursor.execute("drop function tests_refuse; drop sequence tests_refusals")


def test_a_commit_refused_for_the_sake_of_others_is_tried_again_without_a_policy(refused_commits: Any) -> None:
    refused_commits(2)
    result = atomic.once.enqueue("o")
    with running_worker():
        result.wait(timeout=PATIENCE)
    assert result.return_value == {"made": "o"}
    assert [error.exception_class_path for error in result.errors] == ["queue_tasks.exceptions.AtomicNotCommitted"] * 2
    assert (groups(), result.attempts) == (["o"], 3)
    message, trace = rows(
        "select qt_errors -> 0 ->> 'message', qt_errors -> 0 ->> 'traceback' from procrastinate_jobs"
    )[0]
    assert "was not committed (refused by the test): nothing of this attempt stays" in message
    assert "DETAIL:  what a row has" in trace


def test_a_commit_that_is_refused_again_and_again_fails_the_job(refused_commits: Any) -> None:
    refused_commits(1_000)
    result = atomic.once.enqueue("p")
    with running_worker(max_crashes=2):
        result.wait(timeout=PATIENCE)
    assert result.status == TaskResultStatus.FAILED
    assert (groups(), result.attempts) == ([], 2)


# ------------------------------------------------------------------------------------------- answers that are lost


@pytest.fixture
def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A network between this process and the database, in which Django's own sessions can be told from the worker's."""
    with Proxy(dsn) as proxy:
        place = urlsplit(proxy.url)
        connection.close()
        settings = connections.settings["default"]
        options = {**settings["OPTIONS"], "application_name": BODY}
        for name, value in (("HOST", place.hostname), ("PORT", str(place.port)), ("OPTIONS", options)):
            monkeypatch.setitem(connection.settings_dict, name, value)
            monkeypatch.setitem(settings, name, value)
        yield proxy
        connection.close()


STATEMENTS = [
    "set_config",
    'insert into "auth_group"',
    "queue_tasks: enqueue_job",
    "queue_tasks: finish_atomic",
    "commit",
]


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "ephemeral"])
@pytest.mark.parametrize("side", ["statement", "answer"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_connection_lost_at_any_statement_leaves_one_effect(
    proxy: Proxy, dsn: str, statement: str, side: str, keep: bool, lost: list[events.JobLost]
) -> None:
    task = atomic.once if keep else atomic.once_ephemeral
    result = task.using(queue_name="only").enqueue("q")
    connection.close()
    loss: Loss = (proxy.drop_reply_after if side == "answer" else proxy.drop_request)(statement.encode(), only=BODY)
    with psycopg.connect(dsn, autocommit=True, application_name="tests.integration") as db:

        def job() -> list[tuple[Any, ...]]:
            return db.execute(
                "select status::text, attempts, qt_result, jsonb_array_length(qt_errors) "
                "from procrastinate_jobs where id = %s and status <> 'doing'",
                [result.id],
            ).fetchall()

        with running_worker(queues=["only"], poll_interval=0.2) as worker:
            wait_until(lambda: worker.tally.ended >= 1, message="no attempt ended")
            assert loss.happened.is_set()
            committed = (statement, side) == ("commit", "answer")
            of_the_body = statement in STATEMENTS[1:3]
            if not committed and not of_the_body:
                # Not the body's fault: tried again, without a policy.
                wait_until(lambda: worker.tally.ended == 2, message="no second attempt ended")
        effects = db.execute("select name from auth_group").fetchall()
        follow_ups = db.execute("select count(*) from procrastinate_jobs where queue_name = 'default'").fetchone()
        if of_the_body:
            assert job()[0][0] == "failed"
            assert (effects, follow_ups) == ([], (0,))
        else:
            attempts = 1 if committed else 2
            errors = None if committed else 1
            assert job() == ([("succeeded", attempts, {"made": "q"}, errors)] if keep else [])
            assert (effects, follow_ups) == ([("q",)], (1,))
            assert (worker.tally.succeeded, worker.tally.failed) == (1, 0)
    assert lost == []
