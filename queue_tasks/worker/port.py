"""Port: a small HTTP server in a thread of its own, at which others ask how a process does.

It answers also when the event loop does not turn. What is said at which path is its user's business.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

from queue_tasks.worker.answer import Answer

MAX_ASKING = 32
"""Requests answered at a time; those beyond are refused."""

PATIENCE = 5.0
"""Seconds a client has to send its request."""


class Port:
    """Answers at http://host:port while it is entered; `answer` is called with the path of each request.

    name: of its thread. port: 0 takes any free one; `port` then tells which.
    Raises OSError when the place cannot be had.
    """

    def __init__(self, name: str, host: str, port: int, answer: Callable[[str], Answer]) -> None:
        self._server = _Server(host, port, answer)
        self.host = host
        address, self.port = self._server.server_address[:2]
        self.is_loopback = ip_address(str(address)).is_loopback
        """Whether only this host reaches it."""
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"queue_tasks {name}", daemon=True)

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

    def __init__(self, host: str, port: int, answer: Callable[[str], Answer]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
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
        """Answer."""
        said = self.server.answer(self.path.partition("?")[0])
        self.send_response(said.status)
        self.send_header("Content-Type", said.content_type)
        self.send_header("Content-Length", str(len(said.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: a probe comes every few seconds."""
