"""Asking a worker's health port, as an orchestrator does."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

from tests.acceptance.workers import WorkerProcess
from tests.waiting import PATIENCE, wait_until


def port_of(worker: WorkerProcess, name: str = "health") -> int:
    """The port it says it answers at; give it `--health-port 0`, or the like for another name."""
    told_at = re.compile(rf"{name} is told at http://(\S+):(\d+)/")
    wait_until(lambda: told_at.search("\n".join(worker.errors)), message=f"the worker did not tell its {name} port")
    found = told_at.search("\n".join(worker.errors))
    assert found is not None
    return int(found[2])


def ask(port: int, path: str, method: str = "GET") -> tuple[int, Any]:
    """The status and what was said; 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        said = answer.read()
        return answer.status, json.loads(said) if said.startswith(b"{") else None
    except (ConnectionError, http.client.HTTPException):
        # Also when it ends in the midst of its answer.
        return 0, None
    finally:
        connection.close()


def until(port: int, path: str, status: int) -> Any:
    """Wait until it answers with a status; what it says with that."""
    told: list[tuple[int, Any]] = []

    def answers() -> bool:
        told.append(ask(port, path))
        return told[-1][0] == status

    wait_until(answers, message=f"{path} with {status}")
    return told[-1][1]
