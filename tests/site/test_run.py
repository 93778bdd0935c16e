"""`make run`: the whole site as one program that ends as a whole."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from site_app.processes import PROJECT
from tests import postgres
from tests.site.programs import processes_with
from tests.waiting import START, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes in /proc")


@pytest.fixture
def env(site_template: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    with postgres.database(f"{postgres.PREFIX}_site_run", template=site_template) as url:
        yield {**os.environ, "DATABASE_URL": url, "SITE_MEDIA_ROOT": str(tmp_path / "media"), "PORT": "0"}


def start(env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "site_app.run"], cwd=PROJECT, env=env, stdout=output, stderr=subprocess.STDOUT
        )


def address(log: Path) -> str:
    found = wait_until(
        lambda: re.search(r"http://\S+", log.read_text()), timeout=START, message="the address is printed"
    )
    return found.group()


def programs_of(env: dict[str, str]) -> dict[int, list[str]]:
    """The processes it started, with their arguments."""
    found = processes_with("SITE_MEDIA_ROOT", env["SITE_MEDIA_ROOT"])
    return {id_: arguments for id_, arguments in found.items() if "site_app.run" not in arguments}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_everything_in_good_order(env, tmp_path, number, code):
    log = tmp_path / "log"
    with start(env, log) as running:
        try:
            there = address(log)
            assert httpx.get(f"{there}health/", timeout=START).json() == {"database": "ok"}
            wait_until(lambda: "ready:" in log.read_text(), timeout=START, message="the worker is ready")
            assert len(programs_of(env)) == 2
            running.send_signal(number)
            assert running.wait(START) == code
        finally:
            running.kill()
    assert programs_of(env) == {}
    assert "stopped: worker" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_open_pages_do_not_hold_up_the_end(env, tmp_path):
    log = tmp_path / "log"
    with start(env, log) as running:
        try:
            with httpx.stream("GET", f"{address(log)}photos/events/?new=1", timeout=START) as page:
                assert next(page.iter_lines()).startswith("retry")
                running.send_signal(signal.SIGTERM)
                assert running.wait(START) == 143
        finally:
            running.kill()
    assert "timeout graceful shutdown exceeded" not in log.read_text(), "the web server had to lose its patience"


def test_killing_it_leaves_nothing_running(env, tmp_path):
    log = tmp_path / "log"
    with start(env, log) as running:
        try:
            address(log)
            wait_until(lambda: len(programs_of(env)) == 2, message="the programs are started")
        finally:
            running.kill()
    wait_until(lambda: not programs_of(env), message="all have ended")


def test_a_program_that_dies_ends_the_rest_with_an_error(env, tmp_path):
    log = tmp_path / "log"
    with start(env, log) as running:
        try:
            address(log)
            wait_until(lambda: "ready:" in log.read_text(), timeout=START, message="the worker is ready")
            (worker,) = [id_ for id_, arguments in programs_of(env).items() if "queue_worker" in arguments]
            os.kill(worker, signal.SIGKILL)
            assert running.wait(START) == 1
        finally:
            running.kill()
    assert "the worker ended by itself (exit code -9)" in log.read_text()


def test_a_port_that_is_taken_is_said_in_words(env, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = [sys.executable, "-m", "site_app.run"]
        ended = subprocess.run(
            run, cwd=PROJECT, env={**env, "PORT": str(port)}, capture_output=True, text=True, timeout=START, check=False
        )
    assert ended.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be opened" in ended.stderr
    assert "PORT=" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
@pytest.mark.parametrize("after", ["while True: signal.pause()", "pass"], ids=["goes on", "ends"])
def test_a_stop_that_python_loses_is_not_lost(number, code, after):
    """What a signal raises while an object's life ends is only printed by Python."""
    program = f"""
import os, signal
from site_app import processes
from site_app.processes import stopped_by_signals

processes.RAISE_AGAIN_AFTER = 1  # seconds in which a machine with too much to do has said its line

class Deaf:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})

with stopped_by_signals():
    Deaf()
    os.write(1, b"went on\\n")
    {after}
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.stdout == "went on\n"
    assert ended.returncode == code
    assert "ignored" not in ended.stderr
