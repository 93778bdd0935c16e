"""Health: what is wrong with a worker, if anything, as an orchestrator is told.

An answer says what is wrong in our own words; it has no name, argument or error text of a job, and no address.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from queue_tasks.worker.answer import Answer


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong, in short sentences; nothing in either is all right."""

    dead: tuple[str, ...] = ()
    """What only a restart of the process can mend."""
    unready: tuple[str, ...] = ()
    """Why it runs no jobs at the moment."""

    def answer(self, path: str) -> Answer:
        """What is said to who asks at a path: /livez or /readyz."""
        match path:
            case "/livez":
                because, word = self.dead, "live"
            case "/readyz":
                because, word = (*self.dead, *self.unready), "ready"
            case _:
                return _json(HTTPStatus.NOT_FOUND, {"error": "ask /livez or /readyz"})
        if because:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {word: False, "because": because})
        return _json(HTTPStatus.OK, {word: True})


def _json(status: HTTPStatus, said: dict[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(said).encode() + b"\n")
