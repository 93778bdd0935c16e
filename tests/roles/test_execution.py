"""Execution: whatever a row holds and a body does, it is that job's outcome and nobody else's."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queue_tasks import bridge
from queue_tasks.conf import Options
from queue_tasks.exceptions import TaskNotFound
from queue_tasks.frames import fingerprint
from queue_tasks.jobs import FetchedJob
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.tasks import find_task
from queue_tasks.worker.attempt import Attempt, StopReason
from queue_tasks.worker.execution import Execution
from queue_tasks.worker.failures import MAX_MESSAGE, MAX_TRACEBACK, describe
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.threads import ThreadExecutor
from tests.roles.parts import attempt_of, fetched
from tests.testapp import hostile
from tests.waiting import await_until

HOSTILE = "tests.testapp.hostile."
TASKS = "tests.testapp.tasks."


class Bench:
    """Executors, and an execution on them."""

    def __init__(self, **options: Any) -> None:
        self.options = Options.read(options)
        self.threads, self.loops = ThreadExecutor(4), LoopExecutor()
        facade = bridge.WorkerFacade("bench", 1, None, lambda: None)
        self.execution = Execution(self.options, self.threads, self.loops, facade)

    async def run(self, task_name: str, args: Any = None, **values: Any) -> Outcome:
        return await self.run_attempt(attempt_of(fetched(task_name, args, **values)))

    async def run_attempt(self, attempt: Attempt) -> Outcome:
        attempt.runner = asyncio.current_task()
        return await self.execution.run(attempt)

    async def close(self) -> None:
        self.loops.close()
        self.threads.close()
        await asyncio.to_thread(self.threads.join, 5)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


def written(outcome: Outcome, job: FetchedJob | None = None) -> dict[str, Any]:
    """The error as the finisher would write it; it must be JSON that Postgres takes."""
    assert outcome.error is not None
    text = describe(outcome.error, job or fetched(), 1)
    entry = json.loads(text)
    for value in entry.values():
        assert "\x00" not in str(value)
        str(value).encode()
    assert len(entry["message"]) <= MAX_MESSAGE + 60
    assert len(entry["traceback"]) <= MAX_TRACEBACK + 60
    return dict(entry)


# ------------------------------------------------------------------------------------------------------ hostile errors


@pytest.mark.parametrize("name", hostile.NAMES)
@pytest.mark.parametrize("task", ["throw", "throw_async", "throw_async_later"])
async def test_whatever_is_raised_fails_that_job_and_can_be_written_down(bench: Bench, task: str, name: str) -> None:
    outcome = await bench.run(HOSTILE + task, [name])
    assert outcome.kind is OutcomeKind.FAILED
    entry = written(outcome)
    assert entry["exception"]
    assert entry["traceback"]
    # The next job is none the worse for it.
    assert (await bench.run(TASKS + "add", [1])).result == "2"
    assert (await bench.run(TASKS + "echo", [1])).kind is OutcomeKind.SUCCEEDED


@pytest.mark.parametrize("task", ["overflow", "overflow_async"])
async def test_endless_recursion_fails_that_job(bench: Bench, task: str) -> None:
    outcome = await bench.run(HOSTILE + task)
    assert outcome.kind is OutcomeKind.FAILED
    assert written(outcome)["exception"] == "builtins.RecursionError"


@pytest.mark.parametrize("exit_too", [False, True])
async def test_a_retry_policy_that_raises_fails_the_job_and_shows_both_errors(bench: Bench, exit_too: bool) -> None:
    outcome = await bench.run(HOSTILE + "break_policy", [exit_too])
    assert outcome.kind is OutcomeKind.FAILED
    entry = written(outcome)
    assert entry["exception"] == ("builtins.SystemExit" if exit_too else "builtins.ZeroDivisionError")
    assert "During handling of the above exception" in entry["traceback"]


@pytest.mark.parametrize("name", hostile.GIVEN)
async def test_a_return_value_that_cannot_be_kept_fails_the_job(bench: Bench, name: str) -> None:
    outcome = await bench.run(HOSTILE + "give", [name])
    assert outcome.kind is OutcomeKind.FAILED
    assert written(outcome)["message"]


async def test_a_plain_function_may_return_an_awaitable(bench: Bench) -> None:
    outcome = await bench.run(HOSTILE + "give_coroutine")
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, '"awaited"')


async def test_a_long_message_is_cut_in_its_middle(bench: Bench) -> None:
    entry = written(await bench.run(HOSTILE + "throw", ["huge"]))
    assert entry["message"].startswith("xxx")
    assert "4,999,000 characters left out" in entry["message"]


async def test_the_traceback_starts_at_the_task_s_own_frame(bench: Bench) -> None:
    trace = written(await bench.run(HOSTILE + "throw_async_later", ["empty"]))["traceback"]
    assert "hostile.py" in trace
    assert "queue_tasks/worker" not in trace


async def test_what_fails_in_one_way_in_one_place_has_one_fingerprint(bench: Bench) -> None:
    one, other = [written(await bench.run(HOSTILE + "throw", [name])) for name in ("empty", "empty")]
    assert one["place"] == "tests.testapp.hostile.throw"
    assert one["fingerprint"] == other["fingerprint"] == fingerprint(one["exception"], one["place"])
    later = written(await bench.run(HOSTILE + "throw_async_later", ["empty"]))
    assert later["exception"] == one["exception"]
    assert later["fingerprint"] != one["fingerprint"]


async def test_a_failure_without_a_frame_of_the_users_is_of_its_task(bench: Bench) -> None:
    entry = written(await bench.run(TASKS + "add", ["x", "y", "z", "too many"]), fetched(TASKS + "add", []))
    assert entry["place"] == TASKS + "add"


# -------------------------------------------------------------------------------------------------------- hostile rows


@pytest.mark.parametrize(
    "args",
    [
        "[]",
        "null",
        "17",
        '"text"',
        "{}x",
        "",
        '{"args": 1}',
        '{"args": {}, "kwargs": {}}',
        '{"args": [], "kwargs": []}',
        '{"args": [], "kwargs": {}, "more": 1}',
        '{"message": "as procrastinate would"}',
        '{"args": [' + "9" * 5000 + '], "kwargs": {}}',
        '{"args": [1e400], "kwargs": {"b": ' + "8" * 10_000 + "}}",
        "[" * 5000 + "]" * 5000,
        '{"args": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"args": [1, 2, 3, 4, 5, 6, 7], "kwargs": {}}',
        '{"args": [], "kwargs": {"nobody": 1}}',
        '{"args": [1], "kwargs": {"a": 1}}',
        '{"args": [], "kwargs": {"": 1}}',
    ],
    ids=lambda text: text[:40],
)
@pytest.mark.parametrize("task", ["add", "locked"])
async def test_a_row_that_is_no_call_of_its_task_fails_alone(bench: Bench, task: str, args: str) -> None:
    outcome = await bench.run(TASKS + task, args)
    assert outcome.kind is OutcomeKind.FAILED
    assert written(outcome)["message"]
    assert (await bench.run(TASKS + "add", [1])).result == "2"


async def test_a_float_beyond_all_floats_is_infinity_and_fails_where_it_is_used(bench: Bench) -> None:
    outcome = await bench.run(TASKS + "add", '{"args": [1e400], "kwargs": {}}')
    assert outcome.kind is OutcomeKind.FAILED


@pytest.mark.parametrize(
    "name",
    [
        "no.such.module.task",
        "tests.testapp.tasks.no_such_task",
        "tests.testapp.hostile.not_a_task",
        "tests.testapp.hostile.plain_function",
        "nodots",
        "",
        ".",
        "..",
        "tests.testapp.tasks.",
        "os.system",
        "x" * 128,
        "ünï.cödé",
        "tests/testapp/tasks.noop",
        "tests.testapp.tasks.noop.func",
        "' or 1=1; --",
    ],
)
async def test_a_job_of_an_unknown_task_waits_for_a_worker_that_knows_it_then_fails(name: str) -> None:
    bench = Bench(unknown_task_grace=60)
    young = await bench.run(name)
    assert (young.kind, young.started) == (OutcomeKind.SNOOZED, None)
    assert 0 < young.wait <= 60
    # Long in its queue, and only now looked at.
    late = await bench.run(name, enqueued=time.time() - 86_400)
    assert late.kind is OutcomeKind.SNOOZED
    old = await bench.run(name, started=time.time() - 61)
    assert old.kind is OutcomeKind.FAILED
    assert written(old)["exception"] == "queue_tasks.exceptions.TaskNotFound"
    await bench.close()


@pytest.mark.parametrize(("waited", "wait"), [(0, 1), (1, 1), (10, 5), (60, 30), (3000, 30)])
async def test_a_job_of_an_unknown_task_is_soon_looked_at_again_at_first(waited: float, wait: float) -> None:
    bench = Bench(unknown_task_grace=3600)
    first = time.time()
    times = {"started": first, "attempted": first + waited}
    outcome = await bench.run("no.such", **times)
    assert (outcome.kind, outcome.wait) == (OutcomeKind.SNOOZED, wait)
    await bench.close()


async def test_a_task_that_appears_later_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await bench.run("tests.testapp.hostile.appears")).kind is OutcomeKind.SNOOZED
    monkeypatch.setattr(hostile, "appears", hostile.give_coroutine, raising=False)
    assert (await bench.run("tests.testapp.hostile.appears")).kind is OutcomeKind.SUCCEEDED


async def test_the_wait_for_an_unknown_task_goes_by_the_database_s_clock() -> None:
    bench = Bench(unknown_task_grace=60)
    ahead = time.time() + 300 * 86_400
    first = {"started": ahead, "attempted": ahead + 59}
    assert (await bench.run("no.such", **first)).kind is OutcomeKind.SNOOZED
    then = {"started": ahead, "attempted": ahead + 60}
    assert (await bench.run("no.such", **then)).kind is OutcomeKind.FAILED
    await bench.close()


async def test_a_time_to_snooze_until_is_left_to_the_database_s_clock(bench: Bench) -> None:
    until = datetime.now(UTC) + timedelta(hours=3)
    outcome = await bench.run(TASKS + "snooze_until", [until.isoformat()])
    assert (outcome.kind, outcome.until) == (OutcomeKind.SNOOZED, until)


@pytest.mark.parametrize("task", ["add", "signed_async", "signed_atomic"])
@pytest.mark.parametrize(
    ("args", "given", "reason"),
    [
        ([], "(0 by position)", "missing a required argument: 'a'"),
        ([1, 2, 3], "(3 by position)", "too many positional arguments"),
        ({"args": [1], "kwargs": {"was": 2}}, "(1 by position, was)", "got an unexpected keyword argument 'was'"),
    ],
)
async def test_arguments_of_another_release_say_what_was_given_and_what_is_taken(
    bench: Bench, db: Any, task: str, args: Any, given: str, reason: str
) -> None:
    text = args if isinstance(args, dict) else {"args": args, "kwargs": {}}
    outcome = await bench.run(TASKS + task, json.dumps(text), id=7)
    assert outcome.kind is OutcomeKind.FAILED
    entry = written(outcome)
    assert entry["exception"] == "queue_tasks.exceptions.ArgumentsDoNotFit"
    assert entry["message"].startswith(
        f"Job 7 gives {TASKS}{task} {given}, and the function takes (a: 'int', b: 'int' = 1)"
    )
    assert reason in entry["message"]


async def test_a_type_error_of_the_body_stays_as_it_is(bench: Bench) -> None:
    entry = written(await bench.run(TASKS + "add", ["one", 1]))
    assert entry["exception"] == "builtins.TypeError"


async def test_arguments_of_another_release_follow_the_retry_policy(bench: Bench) -> None:
    outcome = await bench.run(TASKS + "succeed_on_attempt", [])
    assert outcome.kind is OutcomeKind.RETRIED


async def test_a_row_has_no_code_imported_but_that_of_the_project_and_its_apps(
    bench: Bench, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere_of_tests.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TaskNotFound, match=r'"elsewhere_of_tests" is not imported yet and belongs to no app'):
        find_task("elsewhere_of_tests.task")
    assert (await bench.run("elsewhere_of_tests.task")).kind is OutcomeKind.SNOOZED
    assert "elsewhere_of_tests" not in sys.modules
    # The standard library's are no exception, and what an app has is.
    assert (await bench.run("this.is_zen")).kind is OutcomeKind.SNOOZED
    assert "this" not in sys.modules
    with pytest.raises(TaskNotFound, match=r"No module named 'tests\.testapp\.no_such'"):
        find_task("tests.testapp.no_such.task")


# ------------------------------------------------------------------------------------------------------------ stopping


async def stopped(bench: Bench, task: str, args: list[Any], reason: StopReason) -> Outcome:
    attempt = attempt_of(fetched(task, args))
    running = asyncio.create_task(bench.run_attempt(attempt))
    await await_until(lambda: attempt.stoppable)
    attempt.stop(reason)
    return await running


async def test_an_aborted_coroutine_is_aborted(bench: Bench) -> None:
    outcome = await stopped(bench, TASKS + "sleep", [60], StopReason.ABORT)
    assert outcome.kind is OutcomeKind.ABORTED
    assert written(outcome)["exception"] == "queue_tasks.exceptions.JobAborted"


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.LOST])
async def test_a_coroutine_stopped_for_no_reason_of_its_own_is_given_back(bench: Bench, reason: StopReason) -> None:
    outcome = await stopped(bench, TASKS + "sleep", [60], reason)
    assert (outcome.kind, outcome.started, outcome.error) == (OutcomeKind.RELEASED, None, None)


@pytest.mark.parametrize("reason", list(StopReason))
async def test_a_coroutine_that_returns_when_told_to_stop_has_succeeded(bench: Bench, reason: StopReason) -> None:
    outcome = await stopped(bench, HOSTILE + "finish_what_is_begun", [], reason)
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, '"tidied up"')


@pytest.mark.parametrize("reason", list(StopReason))
async def test_what_was_told_to_stop_before_it_began_does_not_begin(bench: Bench, reason: StopReason) -> None:
    attempt = attempt_of(fetched(TASKS + "sleep", [60]))
    attempt.stop(reason)
    outcome = await bench.run_attempt(attempt)
    assert outcome.kind is (OutcomeKind.ABORTED if reason is StopReason.ABORT else OutcomeKind.RELEASED)


async def test_the_first_reason_to_stop_holds() -> None:
    attempt = attempt_of(fetched())
    attempt.stop(StopReason.ABORT)
    attempt.stop(StopReason.SHUTDOWN)
    assert attempt.stop_reason is StopReason.ABORT
    assert attempt.should_abort()
    assert not attempt.shutting_down()


async def test_a_stop_that_comes_after_the_end_does_nothing(bench: Bench) -> None:
    attempt = attempt_of(fetched(TASKS + "echo", [1]))
    outcome = await bench.run_attempt(attempt)
    attempt.stop(StopReason.ABORT)
    assert outcome.kind is OutcomeKind.SUCCEEDED
    await asyncio.sleep(0)  # a cancellation would come here


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (StopReason.ABORT, OutcomeKind.ABORTED),
        (StopReason.SHUTDOWN, OutcomeKind.RELEASED),
        (StopReason.LOST, OutcomeKind.RELEASED),
    ],
)
async def test_a_thread_that_obeys_by_raising_job_aborted_is_aborted_or_given_back(
    bench: Bench, reason: StopReason, kind: OutcomeKind
) -> None:
    attempt = attempt_of(fetched(TASKS + "obey"))
    running = asyncio.create_task(bench.run_attempt(attempt))
    await await_until(lambda: bench.threads._in_hand == 1)
    attempt.stop(reason)
    assert (await running).kind is kind


# ------------------------------------------------------------------------------------------------------------ timeouts


async def test_a_coroutine_beyond_its_timeout_fails_with_task_timeout(bench: Bench) -> None:
    outcome = await bench.run(TASKS + "sleep_past_timeout")
    assert outcome.kind is OutcomeKind.FAILED
    assert written(outcome)["exception"] == "queue_tasks.exceptions.TaskTimeout"


async def test_a_timeout_error_of_the_body_s_own_is_not_taken_for_the_task_s(bench: Bench) -> None:
    outcome = await bench.run(HOSTILE + "raise_timeout_itself")
    assert written(outcome)["exception"] == "builtins.TimeoutError"


async def test_a_body_that_returns_at_its_timeout_has_succeeded(bench: Bench) -> None:
    outcome = await bench.run(HOSTILE + "ignore_timeout")
    assert (outcome.kind, outcome.result) == (OutcomeKind.SUCCEEDED, '"ignored"')


# ------------------------------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize(
    ("attempts", "kind"), [(0, OutcomeKind.RETRIED), (1, OutcomeKind.RETRIED), (2, OutcomeKind.FAILED)]
)
async def test_a_policy_counts_the_attempts_spent_before(bench: Bench, attempts: int, kind: OutcomeKind) -> None:
    outcome = await bench.run(TASKS + "succeed_on_attempt", [99], attempts=attempts)
    assert outcome.kind is kind


async def test_an_exit_or_interrupt_is_not_retried_unless_asked_for(bench: Bench) -> None:
    for name in ("system_exit", "keyboard_interrupt", "cancelled"):
        assert (await bench.run(TASKS + "throw_with_retry", [name])).kind is OutcomeKind.FAILED
    assert (await bench.run(TASKS + "throw_with_retry", ["os"])).kind is OutcomeKind.RETRIED


async def test_many_hostile_jobs_at_once_leave_the_loop_in_order(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "asyncio"):
        jobs = [bench.run(HOSTILE + task, [name]) for name in hostile.NAMES for task in ("throw", "throw_async")]
        outcomes = await asyncio.gather(*jobs)
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.FAILED}
    assert not caplog.records
