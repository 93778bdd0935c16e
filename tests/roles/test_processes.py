"""Processes: bodies run in children, and whatever becomes of a child is one job's outcome and nobody else's."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from queue_tasks import bridge
from queue_tasks.conf import Options
from queue_tasks.frames import fingerprint
from queue_tasks.outcomes import Outcome, OutcomeKind
from queue_tasks.worker.attempt import Attempt, StopReason
from queue_tasks.worker.execution import Execution
from queue_tasks.worker.loops import LoopExecutor
from queue_tasks.worker.processes import ProcessExecutor, TaskProcess
from queue_tasks.worker.threads import ThreadExecutor
from tests.processes import Pid
from tests.roles.parts import Rows, attempt_of, fetched
from tests.roles.test_execution import written
from tests.testapp import hostile
from tests.waiting import PATIENCE, await_until, wait_until

ISOLATED = "tests.testapp.isolated."


class Bench:
    """A process executor, and an execution on it."""

    def __init__(self, **options: Any) -> None:
        self.options = Options.read({"timeout_patience": PATIENCE, **options})
        self.threads, self.loops = ThreadExecutor(2), LoopExecutor()
        self.processes = ProcessExecutor(self.options, "bench")
        facade = bridge.WorkerFacade("bench", 1, None, lambda: None)
        self.execution = Execution(self.options, self.threads, self.loops, facade, self.processes)
        self.children: set[Pid] = set()

    async def run(self, task_name: str, args: Any = None, **values: Any) -> Outcome:
        return await self.run_attempt(attempt_of(fetched(ISOLATED + task_name, args, **values)))

    async def run_attempt(self, attempt: Attempt) -> Outcome:
        attempt.runner = asyncio.current_task()
        running = asyncio.ensure_future(self.execution.run(attempt))
        outcome = await running
        self.children |= {Pid(child._process.pid) for child in self.processes._all}
        return outcome

    @property
    def child(self) -> TaskProcess:
        (child,) = self.processes._all
        return child

    async def close(self) -> None:
        self.children |= {Pid(child._process.pid) for child in self.processes._all}
        await self.processes.close()
        self.threads.close()
        assert not [pid for pid in self.children if pid.alive]


@pytest.fixture
def _like_this_process(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture
async def bench(_like_this_process: None) -> AsyncIterator[Bench]:
    """With patience for bodies that clean up, on a machine with too much to do."""
    bench = Bench()
    yield bench
    await bench.close()


@pytest.fixture
async def impatient(_like_this_process: None) -> AsyncIterator[Bench]:
    """Soon kills what does not end."""
    bench = Bench(timeout_patience=1)
    yield bench
    await bench.close()


def ended(pid: Pid) -> bool:
    return not pid.alive


def value(outcome: Outcome) -> Any:
    import json

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    return json.loads(outcome.result or "null")


def failure(outcome: Outcome) -> tuple[str, str]:
    """The path and the message of what a failed attempt failed of."""
    assert outcome.kind is OutcomeKind.FAILED, outcome
    entry = written(outcome)
    return entry["exception"].rpartition(".")[2], entry["message"]


# ----------------------------------------------------------------------------------------------------- as in a thread


async def test_a_body_runs_in_the_main_thread_of_another_process_that_is_like_this_one(bench: Bench) -> None:
    seen = value(await bench.run("facts", id=17, attempts=2))
    assert seen.pop("pid") not in (os.getpid(), 0)
    assert seen == {
        "parent": os.getpid(),
        "main": True,
        "path": [path or str(Path.cwd()) for path in sys.path],
        "cwd": str(Path.cwd()),
        "flags": [sys.flags.dev_mode, sys.flags.utf8_mode],
        "pythonpath": os.environ.get("PYTHONPATH"),
        "attempt": 3,
        "job_id": "17",
        "result_id": "17",
        "deadline": None,
        "abort": False,
    }


async def test_one_after_the_other_they_share_one_process_and_together_they_have_one_each(bench: Bench) -> None:
    first = {value(await bench.run("facts"))["pid"] for _ in range(5)}
    assert len(first) == 1
    both = await asyncio.gather(bench.run("sleep", [0.3]), bench.run("facts"))
    assert value(both[0]) == "awake"
    assert len(bench.processes._idle) == 2


async def test_the_start_of_a_body_is_told_in_its_process_to_who_listens_by_then(bench: Bench) -> None:
    heard = [value(await bench.run("hear_of_starts", id=number)) for number in (1, 2, 3)]
    assert heard == [[], ["2"], ["2", "3"]]


async def test_arguments_and_results_come_through_as_they_are(bench: Bench) -> None:
    args = ["ünï \N{GRINNING FACE}", 1.5, None, [1, {"a": True}], "x" * 300_000]
    assert value(await bench.run("echo", args)) == {"args": args, "kwargs": {}}


async def test_a_connection_is_kept_from_job_to_job_and_what_was_left_open_is_undone(bench: Bench, rows: Rows) -> None:
    first = value(await bench.run("backend_pid"))
    assert value(await bench.run("backend_pid")) == first
    assert (await bench.run("leave_open", ["half"])).kind is OutcomeKind.SUCCEEDED
    assert value(await bench.run("backend_pid")) != first
    assert rows.db.execute("select count(*) as n from auth_group").fetchone() == {"n": 0}


async def test_progress_is_told_and_only_the_newest(bench: Bench) -> None:
    notes: list[dict[str, Any]] = []
    attempt = attempt_of(fetched(ISOLATED + "report_progress", [1000]), lambda _, note: notes.append(note))
    running = asyncio.create_task(bench.run_attempt(attempt))
    await await_until(lambda: notes and notes[-1]["done"] == 1000, 30)
    assert notes[-1] == {"done": 1000, "total": 1000, "message": "note 1000"}
    assert len(notes) < 500
    attempt.stop(StopReason.ABORT)
    outcome = await running
    assert outcome.kind is OutcomeKind.ABORTED
    assert written(outcome)["message"] == "told"
    assert bench.child.alive


# ---------------------------------------------------------------------------------------------------------------- ends


async def test_whatever_is_raised_fails_that_job_and_is_written_as_it_was(bench: Bench) -> None:
    for name in hostile.NAMES:
        outcome = await bench.run("throw", [name])
        entry = written(outcome)
        assert outcome.kind is OutcomeKind.FAILED, name
        assert "serving.py" not in entry["traceback"]
        assert entry["place"] == "tests.testapp.isolated.throw", name
        assert entry["fingerprint"] == fingerprint(entry["exception"], entry["place"]), name
        assert entry["exception"] != "queue_tasks.exceptions.RaisedInProcess", name
        assert value(await bench.run("echo", [name])) == {"args": [name], "kwargs": {}}
    assert len(bench.processes._all) == 1


async def test_a_return_value_that_cannot_be_kept_fails_the_job(bench: Bench) -> None:
    for name in hostile.GIVEN:
        assert failure(await bench.run("give", [name]))[1], name


async def test_a_return_value_too_long_for_the_wire_fails_the_job(bench: Bench) -> None:
    kind, message = failure(await bench.run("give_much", [65]))
    assert kind == "ValueError"
    assert "return value makes" in message
    assert len(value(await bench.run("give_much", [1]))) == 2**20


@pytest.mark.parametrize(
    ("name", "attempts", "kind", "wait"),
    [
        ("os", 0, OutcomeKind.RETRIED, 7),
        ("os", 2, OutcomeKind.FAILED, 0),
        ("key", 0, OutcomeKind.FAILED, 0),
        ("timeout", 1, OutcomeKind.RETRIED, 14),
    ],
)
async def test_the_retry_policy_sees_the_exception_itself(
    bench: Bench, name: str, attempts: int, kind: OutcomeKind, wait: float
) -> None:
    outcome = await bench.run("throw_with_policy", [name], attempts=attempts)
    assert (outcome.kind, outcome.wait) == (kind, wait)


async def test_retry_snooze_and_discard_are_heard(bench: Bench) -> None:
    asked, later, given_up = [await bench.run("say", [what]) for what in ("retry", "snooze", "discard")]
    assert (asked.kind, asked.wait) == (OutcomeKind.RETRIED, 5)
    assert (later.kind, later.wait) == (OutcomeKind.SNOOZED, 60)
    assert failure(given_up) == ("Discard", "of no use")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit code 3", "ended with exit code 3"),
        ("exit code 0", "ended with exit code 0"),
        ("kill", "was ended by signal 9 (SIGKILL)"),
        ("segfault", "was ended by signal 11 (SIGSEGV)"),
        ("abort", "was ended by signal 6 (SIGABRT)"),
        ("close files", "ended with exit code 1"),
        ("write everywhere", "sent what is no message"),
        ("fork and die", "was ended by signal 9 (SIGKILL)"),
        ("start and die", "ended with exit code 7"),
    ],
)
async def test_a_process_that_ends_fails_its_own_job_with_how_it_ended(bench: Bench, how: str, words: str) -> None:
    sibling = asyncio.create_task(bench.run("sleep", [1]))
    await await_until(lambda: bench.processes._all)
    kind, message = failure(await bench.run("die", [how]))
    assert kind == "ProcessDied"
    assert words in message
    assert value(await sibling) == "awake"
    assert value(await bench.run("echo")) == {"args": [], "kwargs": {}}


@pytest.mark.parametrize("how", ["fork and return", "fork and leave it", "stop ears"])
async def test_what_does_not_end_the_process_does_not_end_the_job(bench: Bench, how: str) -> None:
    assert value(await bench.run("die", [how])) == "alive"
    assert value(await bench.run("echo")) == {"args": [], "kwargs": {}}


async def test_an_exit_is_the_body_s_and_not_the_process_s(bench: Bench) -> None:
    assert failure(await bench.run("die", ["sys.exit"])) == ("SystemExit", "5")
    assert value(await bench.run("echo")) == {"args": [], "kwargs": {}}


async def test_a_language_that_a_body_has_activated_is_its_own_as_in_a_thread(bench: Bench) -> None:
    first, second = [value(await bench.run("speak", ["fr"])) for _ in range(2)]
    assert first == second
    assert first[1] != "fr"


async def test_an_alarm_that_a_body_has_left_strikes_no_other(bench: Bench) -> None:
    [pid, _] = value(await bench.run("alarm"))
    assert failure(await bench.run("leave_alarm")) == ("ValueError", "before the alarm was taken back")
    assert value(await bench.run("alarm")) == [pid, 0]


async def test_a_process_that_cannot_start_fails_its_job_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no.such.settings")
    bench = Bench()
    kind, message = failure(await bench.run("noop"))
    assert (kind, message) == (
        "ProcessDied",
        "The task's process ended with exit code 1. The worker and its other jobs go on.",
    )
    await bench.close()


# -------------------------------------------------------------------------------------------------------------- limits


async def test_a_body_beyond_its_timeout_is_told_and_its_process_lives_on(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = await bench.run("spin")
    assert failure(outcome)[0] == "TaskTimeout"
    assert "in spin" in written(outcome)["traceback"]
    assert "tidied up" in capfd.readouterr().out
    assert bench.child.alive


async def test_a_body_that_ignores_its_timeout_is_killed(impatient: Bench) -> None:
    bench = impatient
    begun = time.monotonic()
    kind, message = failure(await bench.run("refuse_to_end"))
    assert (kind, message) == (
        "TaskTimeout",
        "Task tests.testapp.isolated.refuse_to_end ran longer than its timeout of 0.5 s and was stopped.",
    )
    assert time.monotonic() - begun < 30
    await await_until(lambda: not bench.processes._all)


async def test_memory_beyond_the_limit_is_refused_and_the_process_replaced(bench: Bench) -> None:
    assert value(await bench.run("take_memory", [16])) == 16 * 2**20
    outcome = await bench.run("take_memory", [1000])
    assert failure(outcome) == (
        "MemoryLimitExceeded",
        "Task tests.testapp.isolated.take_memory took more memory than its limit of 67,108,864 bytes and was stopped.",
    )
    assert "MemoryError" in written(outcome)["traceback"]
    assert value(await bench.run("take_memory", [16])) == 16 * 2**20


async def test_memory_that_python_does_not_count_is_seen_from_outside_and_the_process_killed(bench: Bench) -> None:
    begun = time.monotonic()
    assert failure(await bench.run("take_shared_memory", [200]))[0] == "MemoryLimitExceeded"
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (StopReason.ABORT, OutcomeKind.ABORTED),
        (StopReason.SHUTDOWN, OutcomeKind.RELEASED),
        (StopReason.LOST, OutcomeKind.RELEASED),
    ],
)
async def test_a_body_that_does_not_end_when_told_is_killed(
    impatient: Bench, reason: StopReason, kind: OutcomeKind
) -> None:
    bench = impatient
    attempt = attempt_of(fetched(ISOLATED + "sleep", [60]))
    running = asyncio.create_task(bench.run_attempt(attempt))
    await await_until(lambda: bench.processes._all and bench.child._outcome is not None, 30)
    attempt.stop(reason)
    assert (await running).kind is kind
    await await_until(lambda: not bench.processes._all)


async def test_a_limit_of_the_last_job_does_not_reach_the_next(bench: Bench) -> None:
    first, second = (attempt_of(fetched(ISOLATED + "sleep", [seconds])) for seconds in (0, 0.5))
    await bench.run_attempt(first)
    child = bench.child
    running = asyncio.create_task(bench.run_attempt(second))
    await await_until(lambda: child._attempt is second)
    # As the clock's thread does that was already on its way when the first one ended.
    next(course := child._kill_course(time.monotonic(), TimeoutError("of the first"), first))
    assert next(course, None) is None
    assert value(await running) == "awake"
    assert bench.child is child


async def test_a_stop_while_the_process_starts_ends_it(bench: Bench) -> None:
    attempt = attempt_of(fetched(ISOLATED + "sleep", [60]))
    running = asyncio.create_task(bench.run_attempt(attempt))
    await await_until(lambda: attempt.on_stop is not None)
    attempt.stop(StopReason.SHUTDOWN)
    assert (await running).kind is OutcomeKind.RELEASED


# ------------------------------------------------------------------------------------------------------------ children


async def test_idle_children_are_used_last_in_first_out_and_end_when_they_are_idle_for_long(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from queue_tasks.worker import processes

    await asyncio.gather(bench.run("sleep", [0.2]), bench.run("sleep", [0.5]))
    last = bench.processes._idle[-1]._process.pid
    monkeypatch.setattr(processes, "IDLE_FOR", 0.1)
    assert value(await bench.run("facts"))["pid"] == last
    await await_until(lambda: len(bench.processes._all) == 1)
    assert bench.child._process.pid != last


async def test_closing_ends_them_all_also_while_they_run(bench: Bench) -> None:
    running = asyncio.create_task(bench.run("sleep", [60]))
    await await_until(lambda: bench.processes._all and bench.child._outcome is not None, 30)
    pid = Pid(bench.child._process.pid)
    await bench.processes.close()
    assert not pid.alive
    assert failure(await running)[0] == "ProcessDied"


def test_a_child_ends_with_its_worker_however_that_ends(dsn: str) -> None:
    """The parent is killed between a child's start and its first job, and while a job runs."""
    import signal
    import subprocess

    program = """
import asyncio, os, sys, django
django.setup()
from tests.roles.test_processes import Bench
async def main():
    bench = Bench()
    running = asyncio.create_task(bench.run("sleep", [60]))
    while not bench.processes._all:
        await asyncio.sleep(0.01)
    print(bench.child._process.pid, flush=True)
    while bench.child._outcome is None:
        await asyncio.sleep(0.01)
    print("runs", flush=True)
    await running
asyncio.run(main())
"""
    for lines in (1, 2):
        parent = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert parent.stdout is not None
        with parent.stdout:
            child = Pid(int(parent.stdout.readline()))
            if lines > 1:
                assert parent.stdout.readline() == "runs\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait(PATIENCE)
        wait_until(partial(ended, child))
