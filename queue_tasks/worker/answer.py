"""Answer: what is said at a port, apart from the server that says it, which most workers do without."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to who asks."""

    status: HTTPStatus
    content_type: str
    body: bytes
