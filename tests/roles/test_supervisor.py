"""Supervisor: what it makes of children that end, or say nothing, or nonsense. The children are small real programs."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_tasks.worker.child import in_words, program
from queue_tasks.worker.report import LINE_VARIABLE, Report
from queue_tasks.worker.supervisor import Supervisor, SupervisorSettings
from tests.waiting import PATIENCE, wait_until

READY = Report(worker_id=7, ready=True, ended=3)

BEGIN = f"""
import os, signal, socket, sys, time
open(sys.argv[1], "a").write(f"{{time.monotonic()}}\\n")
line = socket.socket(fileno=int(os.environ[{LINE_VARIABLE!r}]))
def say(text): line.send(text.encode() + b"\\n")
def ready(): say({READY.encode().decode().strip()!r})
"""


class Stage:
    """A supervisor of a program's copies, and when each of them was started."""

    def __init__(
        self,
        folder: Path,
        script: str,
        processes: int = 1,
        command: list[str] | None = None,
        **settings: float | bool,
    ) -> None:
        self.starts_file = folder / "starts"
        self.starts_file.touch()
        self.ready: list[list[Report]] = []
        values = {"grace": 0.0, "dead_after": 30.0, **settings}
        self.supervisor = Supervisor(
            SupervisorSettings(processes=processes, **values),  # type: ignore[arg-type]
            lambda _: command or [sys.executable, "-S", "-c", BEGIN + script, str(self.starts_file)],
            self.ready.append,
        )

    @property
    def starts(self) -> list[float]:
        return [float(line) for line in self.starts_file.read_text().splitlines()]

    def run(self, until: Callable[[], object] | None = None, timeout: float = PATIENCE) -> int:
        """Supervise; told to stop as soon as `until` is true. The exit code."""
        found: list[object] = []
        over = threading.Event()

        def stop() -> None:
            limit = time.monotonic() + timeout
            while until is not None and not found and time.monotonic() < limit and not over.wait(0.01):
                # Before it listens, it would not hear the signal.
                heard = signal.getsignal(signal.SIGTERM) is not nobody
                found.extend([True] if heard and until() else [])
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

        def nobody(*_: object) -> None:
            """Of a supervisor that returns before it is told to, the signal must not end pytest."""

        stopper = threading.Thread(target=stop)
        handler = signal.signal(signal.SIGTERM, nobody)
        if until is not None:
            stopper.start()
        try:
            return self.supervisor.run()
        finally:
            over.set()
            if until is not None:
                stopper.join()
            signal.signal(signal.SIGTERM, handler)
            assert found or until is None, f"waited {timeout} s in vain; started at {self.starts}"


def test_it_says_once_that_all_are_ready_and_counts_what_they_did(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "ready(); signal.pause()", processes=3)
    assert stage.run(lambda: stage.ready) == 0
    assert [[report.worker_id for report in reports] for reports in stage.ready] == [[7, 7, 7]]
    assert (stage.supervisor.ended, stage.supervisor.failed) == (9, 0)
    assert len(stage.starts) == 3


def test_a_process_that_had_become_ready_is_started_again_after_short_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path, "ready(); time.sleep(0.05); sys.exit(3)")
    assert stage.run(lambda: len(stage.starts) == 5) == 0
    # At once, after one second, and never longer than two.
    said = re.findall(r"ended with exit code 3; starting another (now|in \d+ s)", caplog.text)
    assert said[:4] == ["now", "in 1 s", "in 2 s", "in 2 s"]
    waits = [later - earlier for earlier, later in zip(stage.starts, stage.starts[1:], strict=False)]
    assert all(wait >= least for wait, least in zip(waits, (0, 1, 2, 2), strict=True))


def test_a_process_that_asks_to_be_replaced_after_work_is_replaced_at_once_every_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recycled = Report(worker_id=7, ready=True, ended=1, recycled="it is old").encode().decode().strip()
    stage = Stage(tmp_path, f"say({recycled!r}); sys.exit(0)")
    with caplog.at_level(logging.INFO, "queue_tasks.worker"):
        assert stage.run(lambda: len(stage.starts) >= 6) == 0
    assert "it is old; starting another now" in caplog.text
    assert stage.supervisor.ended >= 5


def test_when_none_becomes_ready_it_gives_up_with_their_code(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(tmp_path, "sys.exit(5)", processes=3)
    assert stage.run() == 5
    assert len(stage.starts) == 3
    assert "none of 3 processes could start; ending (exit code 5)" in caplog.text


def test_when_one_has_become_ready_it_does_not_give_up(tmp_path: Path) -> None:
    # Whichever comes first becomes ready; the other never does.
    script = f"""
try:
    os.mkdir({str(tmp_path / "first")!r})
except FileExistsError:
    sys.exit(1)
ready(); signal.pause()
"""
    stage = Stage(tmp_path, script, processes=2)
    # The code is not asked for: the one that never becomes ready may fail in the moment in which it is told to stop.
    stage.run(lambda: len(stage.starts) >= 4)
    assert len(stage.starts) >= 4


def test_nonsense_on_the_line_harms_nothing(tmp_path: Path) -> None:
    half = json.dumps({"worker_id": 1})
    nonsense = f"say('x' * 100000); say('[1]'); say({half!r}); line.send(bytes(range(256)) + b'\\n'); ready()"
    stage = Stage(tmp_path, nonsense + "; signal.pause()")
    assert stage.run(lambda: stage.ready) == 0


def test_a_process_that_closes_its_line_and_says_nothing_more_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path, "ready(); line.close(); time.sleep(600)", dead_after=0.5)
    assert stage.run(lambda: len(stage.starts) == 2) == 0
    assert "is killed: it has said nothing for" in caplog.text


def test_one_that_does_not_heed_sigterm_is_killed_after_the_grace_time_with_code_1(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)")
    begun = time.monotonic()
    assert stage.run(lambda: stage.ready) == 1
    # The 2.5 seconds after the grace time, which is none here, and the start.
    assert 2.5 <= time.monotonic() - begun < 2.5 + PATIENCE


def test_killing_a_process_kills_what_it_has_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "import subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(pid_file)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "ready(); time.sleep(600)"
    )
    stage = Stage(tmp_path, script)
    assert stage.run(lambda: stage.ready) == 1
    grandchild = Path(f"/proc/{pid_file.read_text()}/stat")
    wait_until(lambda: not grandchild.exists() or grandchild.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_process_that_has_drained_is_not_replaced(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "ready(); sys.exit(0)", processes=2, drain=True)
    assert stage.run() == 0
    assert len(stage.starts) == 2
    assert Stage(tmp_path, "ready(); os.kill(os.getpid(), 9)", drain=True).run() == 1


def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(tmp_path, "", command=[str(tmp_path / "missing")])
    assert stage.run(lambda: caplog.text.count("could not be started") >= 2) == 0


def test_its_handlers_are_gone_when_it_has_ended(tmp_path: Path) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    Stage(tmp_path, "ready(); signal.pause()").run(lambda: True)
    assert [signal.getsignal(number) for number in numbers] == before


def test_it_is_not_ready_before_all_are_nor_while_it_stops(tmp_path: Path) -> None:
    sick = Report(worker_id=7, ready=True, dead=("the fetcher is dead",)).encode().decode().strip()
    stage = Stage(tmp_path, f"ready(); time.sleep(0.3); say({sick!r}); signal.pause()")
    supervisor = stage.supervisor
    assert supervisor.health().unready == ("it is starting",)
    assert stage.run(lambda: supervisor.health().dead) == 0
    assert supervisor.health().unready == ("it is stopping",)


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (2, "exit code 2"), (-9, "SIGKILL"), (-250, "signal 250")]
)
def test_an_exit_code_in_words(code: int, words: str) -> None:
    assert in_words(code) == words


@pytest.mark.parametrize(
    ("given", "seen", "expected"),
    [
        (
            ["py", "manage.py", "queue_worker", "--processes", "2"],
            ["manage.py", "queue_worker", "--processes", "2"],
            ["manage.py"],
        ),
        (
            ["py", "-X", "dev", "-m", "django", "queue_worker"],
            ["/d/__main__.py", "queue_worker"],
            ["-X", "dev", "-m", "django"],
        ),
        (["py", "/bin/django-admin", "queue_worker"], ["/bin/django-admin", "queue_worker"], ["/bin/django-admin"]),
        (["py", "-c", "..."], ["-c"], ["-m", "django"]),
        (["py", "run.py", "other"], ["run.py", "other"], ["-m", "django"]),
    ],
)
def test_a_child_is_started_as_this_process_was(
    monkeypatch: pytest.MonkeyPatch, given: list[str], seen: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", given)
    monkeypatch.setattr(sys, "argv", seen)
    assert program("queue_worker") == [sys.executable, *expected]
