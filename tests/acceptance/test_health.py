"""--health-port: what /livez and /readyz say is what is so, also when the event loop does not turn."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from tests.acceptance.health import ask, port_of, until
from tests.acceptance.workers import BUSY, Table, by_sql, doing, worker_process
from tests.chaos.proxy import Proxy
from tests.testapp import tasks
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_lives_and_is_ready_until_it_is_told_to_stop(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--health-port", "0") as worker:
        port = port_of(worker)
        until(port, "/readyz", 200)
        assert ask(port, "/readyz") == (200, {"ready": True})
        assert ask(port, "/livez") == (200, {"live": True})
        assert ask(port, "/livez?verbose=1") == (200, {"live": True})
        assert ask(port, "/livez", "HEAD") == (200, None)
        assert ask(port, "/") == (404, {"error": "ask /livez or /readyz"})
        assert ask(port, "/livez", "POST")[0] == 501
        running = tasks.wait_for_group.enqueue("go")
        doing(table, 1)
        worker.send(signal.SIGTERM)
        assert until(port, "/readyz", 503) == {"ready": False, "because": ["it is stopping"]}
        assert ask(port, "/livez") == (200, {"live": True})
        Group.objects.create(name="go")
        assert worker.wait() == 0
        assert ask(port, "/livez") == (0, None)
    running.refresh()
    assert running.return_value == "seen"


def test_an_answer_says_nothing_of_python_or_of_jobs(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--health-port", "0") as worker:
        client = http.client.HTTPConnection("127.0.0.1", port_of(worker), timeout=PATIENCE)
        client.request("GET", "/livez")
        answer = client.getresponse()
        body, headers = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        client.close()
        assert body == b'{"live": true}\n'
        assert headers.keys() == {"server", "date", "content-type", "content-length", "cache-control"}
        assert headers["server"].strip() == "queue_tasks"
        assert worker.stop()[0] == 0, worker.output


def test_a_client_that_says_nothing_keeps_neither_the_next_nor_the_end(dsn: str, table: Table) -> None:
    with worker_process(dsn, "--health-port", "0") as worker:
        port = port_of(worker)
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        assert ask(port, "/livez")[0] == 200
        code, took = worker.stop()
        assert (code, took < 2 + BUSY) == (0, True)
        for client in silent:
            client.close()


def test_a_blocked_event_loop_is_not_live_until_it_turns_again(dsn: str, table: Table, tmp_path: Path) -> None:
    with worker_process(dsn, "--health-port", "0") as worker:
        port = port_of(worker)
        job = by_sql("tests.testapp.hostile.block_until_there", json.dumps(str(tmp_path / "go")))
        said = until(port, "/livez", 503)
        assert said["live"] is False
        assert said["because"][0].startswith("the event loop has not turned for ")
        assert ask(port, "/readyz")[0] == 503
        (tmp_path / "go").touch()
        until(port, "/livez", 200)
        wait_until(lambda: table.job(job)["status"] == "succeeded")
        assert worker.stop()[0] == 0, worker.output


def test_a_database_that_is_away_makes_it_unready_but_not_dead(table: Table, dsn: str) -> None:
    with Proxy(dsn) as proxy, worker_process(proxy.url, "--health-port", "0") as worker:
        port = port_of(worker)
        until(port, "/readyz", 200)
        proxy.refuse()
        proxy.cut()
        said = until(port, "/readyz", 503)
        assert any(why.startswith("the database has not answered for ") for why in said["because"])
        assert ask(port, "/livez")[0] == 200
        proxy.heal()
        until(port, "/readyz", 200)
        assert worker.stop()[0] == 0, worker.output


def test_a_port_that_is_taken_is_one_clear_line_and_code_1(dsn: str, table: Table) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with worker_process(dsn, "--health-port", str(port), ready=False) as worker:
            assert worker.wait() == 1
    assert len(worker.errors) == 1, worker.output
    assert f"port {port} of 127.0.0.1 cannot be opened for --health-port: Address already in use" in worker.output
    assert table.workers() == []


# ------------------------------------------------------------------------------------------------ under a supervisor


def test_one_port_answers_for_all_processes(dsn: str, table: Table, tmp_path: Path) -> None:
    flags = ("--processes", "2", "--health-port", "0", "--health-host", "0.0.0.0")  # noqa: S104 - the flag under test
    with worker_process(dsn, *flags) as worker:
        port = port_of(worker)
        told = f"--health-host is 0.0.0.0: whoever reaches port {port} of it is told whether it works"
        wait_until(lambda: told in worker.output, message=worker.output)
        assert ask(port, "/readyz") == (200, {"ready": True})
        assert ask(port, "/livez") == (200, {"live": True})
        first, _ = (row["qt_pid"] for row in table.workers())
        # Killed: it is replaced, and the other works on meanwhile.
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: "starting another now" in worker.output)
        assert [ask(port, path)[0] for path in ("/livez", "/readyz")] == [200, 200]
        # Blocked: nobody mends that.
        job = by_sql("tests.testapp.hostile.block_until_there", json.dumps(str(tmp_path / "go")))
        said = until(port, "/livez", 503)
        assert said["because"][0].startswith("process ")
        assert ": the event loop has not turned for " in said["because"][0]
        (tmp_path / "go").touch()
        until(port, "/livez", 200)
        wait_until(lambda: table.job(job)["status"] == "succeeded")
        tasks.wait_for_group.enqueue("go")
        doing(table, 1)
        worker.send(signal.SIGTERM)
        assert until(port, "/readyz", 503)["because"] == ["it is stopping"]
        Group.objects.create(name="go")
        assert worker.wait() == 0
