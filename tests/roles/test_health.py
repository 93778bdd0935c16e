"""Health and its port, and the line to the supervisor, without a worker."""

from __future__ import annotations

import http.client
import os
import select
import socket

import pytest

from queue_tasks.worker import port as module
from queue_tasks.worker.health import Health
from queue_tasks.worker.port import Port
from queue_tasks.worker.report import LINE_VARIABLE, Report, SupervisorLine
from tests.waiting import PATIENCE, wait_until


def status(port: int, path: str, host: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("health", "live", "ready"),
    [
        (Health(), 200, 200),
        (Health(unready=("it is starting",)), 200, 503),
        (Health(dead=("the fetcher is dead",)), 503, 503),
    ],
)
def test_the_port_says_what_it_is_told(health: Health, live: int, ready: int) -> None:
    with Port("health", "127.0.0.1", 0, health.answer) as server:
        assert (status(server.port, "/livez"), status(server.port, "/readyz")) == (live, ready)


def test_it_serves_ipv6_too() -> None:
    try:
        server = Port("health", "::1", 0, Health().answer)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert status(server.port, "/livez", "::1") == 200


def test_those_who_ask_beyond_the_limit_are_refused_and_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ASKING", 2)
    with Port("health", "127.0.0.1", 0, Health().answer) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        third = socket.create_connection(("127.0.0.1", server.port))
        third.settimeout(PATIENCE)
        assert third.recv(1) == b""
        for client in [*silent, third]:
            client.close()

        def answers() -> bool:
            try:
                return status(server.port, "/livez") == 200
            except (ConnectionError, http.client.HTTPException):
                return False

        wait_until(answers)


# ------------------------------------------------------------------------------------------------------------ the line


def test_a_report_comes_over_the_line_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    monkeypatch.setenv(LINE_VARIABLE, str(theirs.detach()))
    line = SupervisorLine.take()
    assert line is not None
    assert LINE_VARIABLE not in os.environ
    assert not line._end.get_inheritable()
    report = Report(worker_id=4, ready=True, listening=True, dead=("a",), unready=("b", "c"), ended=5, recycled="é")
    line.send(report)
    with ours:
        assert Report.decode(ours.recv(4096)) == report
    line.until_gone()
    line.send(report)  # to nobody, which is no error
    line.close()


def test_without_a_supervisor_there_is_no_line() -> None:
    assert SupervisorLine.take() is None


def test_a_supervisor_that_does_not_listen_gets_whole_lines_later(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    line = SupervisorLine(theirs)
    for number in range(5000):
        line.send(Report(worker_id=number))
    said = b""
    while select.select([ours], [], [], 0)[0]:
        said += ours.recv(65536)
    line.send(Report(worker_id=9999))
    line.send(Report(worker_id=9999))
    said += ours.recv(65536)
    reports = [Report.decode(each) for each in said.splitlines()]
    assert all(report is not None for report in reports)
    assert reports[-1] == Report(worker_id=9999)
    assert len(reports) < 5000
    ours.close()
    line.close()


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b"{}", b"\xff", b'{"worker_id": 1}', b'"x"'])
def test_what_is_no_report_is_none(line: bytes) -> None:
    assert Report.decode(line) is None
