"""Health: what is wrong with a worker, if anything, and the port at which an orchestrator asks.

Served from a thread of its own, so that the answer comes also when the event loop does not turn. An answer says what is
wrong in our own words; it has no name, argument or error text of a job, and no address.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Self

MAX_ASKING = 32
"""Requests answered at a time; those beyond are refused."""

PATIENCE = 5.0
"""Seconds a client has to send its request."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong, in short sentences; nothing in either is all right."""

    dead: tuple[str, ...] = ()
    """What only a restart of the process can mend."""
    unready: tuple[str, ...] = ()
    """Why it runs no jobs at the moment."""

    def answer(self, path: str) -> tuple[HTTPStatus, dict[str, Any]]:
        """What is said to who asks at a path."""
        match path.partition("?")[0]:
            case "/livez":
                because, word = self.dead, "live"
            case "/readyz":
                because, word = (*self.dead, *self.unready), "ready"
            case _:
                return HTTPStatus.NOT_FOUND, {"error": "ask /livez or /readyz"}
        if because:
            return HTTPStatus.SERVICE_UNAVAILABLE, {word: False, "because": because}
        return HTTPStatus.OK, {word: True}


class HealthServer:
    """Answers at http://host:port/livez and /readyz while it is entered; `ask` is called for each request.

    port: 0 takes any free one; `port` then tells which. Raises OSError when the place cannot be had.
    """

    def __init__(self, host: str, port: int, ask: Callable[[], Health]) -> None:
        self._server = _Server(host, port, ask)
        self.host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="queue_tasks health", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1)


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    # Whoever asks slowly must not keep the process from ending.
    block_on_close = False
    request_queue_size = MAX_ASKING

    def __init__(self, host: str, port: int, ask: Callable[[], Health]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.ask = ask
        self._free = threading.BoundedSemaphore(MAX_ASKING)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the name server for this host's name.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version = "queue_tasks"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer, in JSON."""
        status, said = self.server.ask().answer(self.path)
        body = json.dumps(said).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: a probe comes every few seconds."""
