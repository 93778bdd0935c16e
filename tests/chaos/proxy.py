"""A network that can be broken: a proxy for Postgres on 127.0.0.1, in threads of this process.

    with Proxy(url) as proxy:
        psycopg.connect(proxy.url)
        proxy.blackhole()                   # nothing passes any more, nothing is closed: a half-open connection
        proxy.blackhole(only="queue_tasks listen")
    proxy.blackhole(only=CANCELS)       # requests to cancel, each on a connection of its own, are held back
        proxy.half_open()                   # the same, but connections made from now on are good ones
        proxy.delay(0.2)                    # seconds for each chunk from the server
        proxy.refuse()                      # new connections are closed at once
        proxy.heal()                        # all of that is over; what was held back is delivered
        proxy.cut()                         # close every connection now
        proxy.lead_to(other.url)            # another server from now on
        loss = proxy.drop_reply_after(b"commit", nth=3)  # the server commits, nobody hears of it
        loss.happened.wait(10)
        proxy.break_reply(b"commit")        # the same, and half a message of the answer arrives

It speaks just enough of the protocol (version 3) to know where a message ends, which statement it runs, and which
ReadyForQuery answers it. Encryption is declined. What the other side's kernel would do is beyond it: bytes sent into a
black hole are still acknowledged to the sender, so only a deadline of the application's own can find out.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
LARGEST_CHUNK = 65536

CANCELS = "(a request to cancel)"
"""The name of connections that only ask to cancel what another one is at, in place of an application_name."""

Match = bytes | Callable[[bytes], bool]
"""Text a statement has, whatever its case, or a judge of it."""


@dataclass(eq=False)
class Loss:
    """An order to lose one message: the nth that matches, of all connections (or `only` some), from now on."""

    match: Match
    nth: int
    only: str
    request: bool
    """Lose the statement itself, before the server has it; else the server's answer."""
    half: bool = False
    """Of the answer, let half a message pass."""
    seen: int = 0
    """Statements that matched so far."""
    statement: bytes = b""
    """The one that was struck."""
    happened: threading.Event = field(default_factory=threading.Event)
    """Set when it has been lost; the connection is closed then."""

    def strikes(self, statement: bytes, name: str) -> bool:
        """Count a statement; whether it is the one."""
        if self.seen >= self.nth or not name.startswith(self.only):
            return False
        matched = self.match.lower() in statement.lower() if isinstance(self.match, bytes) else self.match(statement)
        if not matched:
            return False
        self.seen += 1
        if self.seen < self.nth:
            return False
        self.statement = statement
        return True


def _address(url: str) -> str | tuple[str, int]:
    """Where a server listens: the path of its socket, or host and port."""
    place = urlsplit(url)
    host, port = unquote(place.hostname or "127.0.0.1"), place.port or 5432
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


class Proxy:
    """See the module. Thread-safe; closed, with all its connections, at the end of its block."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._server = _address(url)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        user = f"{place.netloc.rpartition('@')[0]}@" if "@" in place.netloc else ""
        netloc = f"{user}127.0.0.1:{self._listening.getsockname()[1]}"
        self.url = urlunsplit(place._replace(netloc=netloc))
        self._changed = threading.Condition()  # guards everything below
        self._sessions: set[_Session] = set()
        self._blackholes: set[str] = set()
        self._delay = 0.0
        self._refusing = False
        self._closed = False
        self._losses: list[Loss] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._acceptor = self._start(self._accept, "accept")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._acceptor.join(10)
        self.cut()
        for thread in self._threads:
            thread.join(10)

    # ------------------------------------------------------------------------------------------------ what may be done

    def blackhole(self, only: str = "") -> None:
        """Let nothing pass, in either direction, and close nothing. only: beginning of the application_name."""
        with self._changed:
            self._blackholes.add(only)

    def lead_to(self, url: str) -> None:
        """Lead new connections to another server, and cut those that there are."""
        with self._changed:
            self._server = _address(url)
        self.cut()

    def half_open(self, only: str = "") -> None:
        """Let nothing pass over the connections that there are now, as a router does that forgot them."""
        with self._changed:
            for session in self._sessions:
                session.held = session.held or session.name.startswith(only)

    def delay(self, seconds: float) -> None:
        """Hold back every chunk of the server's answers for so long."""
        with self._changed:
            self._delay = seconds

    def refuse(self) -> None:
        """Close new connections at once; those that are there stay."""
        with self._changed:
            self._refusing = True

    def heal(self) -> None:
        """Let everything pass again."""
        with self._changed:
            self._blackholes.clear()
            for session in self._sessions:
                session.held = False
            self._delay = 0.0
            self._refusing = False
            self._changed.notify_all()

    def cut(self, only: str = "") -> int:
        """Close every connection whose application_name begins so, on both sides; how many."""
        with self._changed:
            struck = [session for session in self._sessions if session.name.startswith(only)]
        for session in struck:
            session.sever()
        return len(struck)

    def drop_reply_after(self, match: Match = b"", nth: int = 1, only: str = "") -> Loss:
        """Lose the server's answer to a statement: the server runs it to its end, then the connection breaks.

        match: what its text has, or a judge of it; the default is any statement. nth: of those that match, from 1.
        Statements of the same pipeline (up to the same Sync) lose their answers too.
        """
        return self._lose(Loss(match, nth, only, request=False))

    def break_reply(self, match: Match = b"", nth: int = 1, only: str = "") -> Loss:
        """Break the connection in the middle of the answer, which the server has sent whole; see `drop_reply_after`."""
        return self._lose(Loss(match, nth, only, request=False, half=True))

    def drop_request(self, match: Match = b"", nth: int = 1, only: str = "") -> Loss:
        """Lose a statement on its way to the server: the connection breaks instead."""
        return self._lose(Loss(match, nth, only, request=True))

    def withdraw(self, loss: Loss) -> None:
        """Take back an order that has not been carried out."""
        with self._changed:
            self._losses = [other for other in self._losses if other is not loss]

    @property
    def names(self) -> list[str]:
        """The application_name of every connection."""
        with self._changed:
            return sorted(session.name for session in self._sessions)

    def _lose(self, loss: Loss) -> Loss:
        with self._changed:
            self._losses.append(loss)
        return loss

    # ------------------------------------------------------------------------------------------------ how it is done

    def _start(self, target: Callable[[], None], name: str) -> threading.Thread:
        # A daemon: a test that is interrupted must not hang on its proxy.
        thread = threading.Thread(target=target, name=f"proxy {name}", daemon=True)
        thread.start()
        with self._changed:
            self._threads = [*(old for old in self._threads if old.is_alive()), thread]
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with self._changed:
                refusing = self._refusing or self._closed
            if refusing:
                client.close()
                continue
            session = _Session(self, client)
            with self._changed:
                self._sessions.add(session)
            self._start(session.run, "to the server")

    def _connect(self) -> socket.socket:
        if isinstance(self._server, tuple):
            server = socket.create_connection(self._server, timeout=10)
            server.settimeout(None)
            return server
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._server)
        except OSError:
            server.close()
            raise
        return server

    def _wait_to_pass(self, session: _Session, *, answer: bool) -> None:
        with self._changed:
            if answer and self._delay:
                self._changed.wait_for(lambda: session.severed or not self._delay, self._delay)
            self._changed.wait_for(
                lambda: (
                    session.severed
                    or not (session.held or any(session.name.startswith(only) for only in self._blackholes))
                )
            )

    def _struck_by(self, statement: bytes, name: str) -> Loss | None:
        with self._changed:
            # Every order counts every statement.
            struck = [loss for loss in self._losses if loss.strikes(statement, name)]
            self._losses = [loss for loss in self._losses if loss not in struck]
            return struck[0] if struck else None

    def _forget(self, session: _Session) -> None:
        with self._changed:
            self._sessions.discard(session)
            self._changed.notify_all()


class _Session:
    """One client's connection. `run` carries what it says to the server; a thread more carries the answers."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.server: socket.socket | None = None
        self.name = ""
        self.severed = False
        self.held = False
        self._rounds = 0  # that the client has begun: each ends in one ReadyForQuery; written by `run` only
        self._answered = -1  # ReadyForQuery seen; the first one ends the start. Written by the answers' thread only
        self._doomed: tuple[int, Loss] | None = None  # the round whose answers are lost
        self._prepared: dict[bytes, bytes] = {}
        self._portals: dict[bytes, bytes] = {}

    def sever(self) -> None:
        """Close both sides, from any thread."""
        self.severed = True
        for side in (self.client, self.server):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
        self.proxy._forget(self)

    def run(self) -> None:
        try:
            first = self._read_startup()
            if first is None:
                return
            self.name = _application_name(first)
            self.proxy._wait_to_pass(self, answer=False)
            self.server = self.proxy._connect()
            self.server.sendall(first)
            self.proxy._start(self._carry_answers, "to the client")
            for kind, message in _messages(self.client):
                loss = self._loss_of(kind, message)
                if loss is not None and loss.request:
                    loss.happened.set()
                    return
                self.proxy._wait_to_pass(self, answer=False)
                self.server.sendall(message)
                if kind == b"X":
                    return
        except OSError:
            pass  # one side is gone: so is the other
        finally:
            # A client that left in a black hole is not missed before it heals.
            self.proxy._wait_to_pass(self, answer=False)
            self.sever()
            self.client.close()
            if self.server is not None:
                self.server.close()

    def _read_startup(self) -> bytes | None:
        while True:
            length = _read_exactly(self.client, 4)
            if length is None:
                return None
            rest = _read_exactly(self.client, struct.unpack("!I", length)[0] - 4)
            if rest is None:
                return None
            code = struct.unpack("!I", rest[:4])[0]
            if code in (SSL_REQUEST, GSS_REQUEST):
                self.client.sendall(b"N")
                continue
            if code == CANCEL_REQUEST:
                self.name = CANCELS
                self.proxy._wait_to_pass(self, answer=False)
                with self.proxy._connect() as server:
                    server.sendall(length + rest)
                    server.recv(1)
                return None
            return length + rest

    def _loss_of(self, kind: bytes, message: bytes) -> Loss | None:
        """Follow what the client runs; the order that strikes this message, if any."""
        statement = self._statement_of(kind, message)
        loss = None if statement is None else self.proxy._struck_by(statement, self.name)
        if loss is not None and not loss.request:
            self._doomed = (self._rounds, loss)
        if kind in b"QSF":
            self._rounds += 1
        return loss

    def _statement_of(self, kind: bytes, message: bytes) -> bytes | None:
        body = message[5:]
        if kind == b"Q":
            return body.rstrip(b"\0")
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._prepared[name] = rest.partition(b"\0")[0]
        elif kind == b"B":
            portal, _, rest = body.partition(b"\0")
            self._portals[portal] = self._prepared.get(rest.partition(b"\0")[0], b"")
        elif kind == b"E":
            return self._portals.get(body.partition(b"\0")[0], b"")
        return None

    def _carry_answers(self) -> None:
        assert self.server is not None
        broken: Loss | None = None
        try:
            for kind, message in _messages(self.server):
                # Read once: the other thread may give the order at any moment.
                doomed = self._doomed
                lost = doomed is not None and self._answered >= doomed[0]
                if lost and doomed is not None and doomed[1].half and broken is not doomed[1]:
                    broken = doomed[1]
                    self.client.sendall(message[: len(message) // 2])
                if kind == b"Z":
                    self._answered += 1
                    if lost and doomed is not None:
                        # First: who finds the connection closed may ask at once why.
                        doomed[1].happened.set()
                        self.sever()
                        return
                if not lost:
                    self.proxy._wait_to_pass(self, answer=True)
                    self.client.sendall(message)
        except OSError:
            pass
        finally:
            self.proxy._wait_to_pass(self, answer=True)
            self.sever()


def _messages(side: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """The messages one side sends, whole: (type, type and length and body)."""
    buffer = bytearray()
    while chunk := side.recv(LARGEST_CHUNK):
        buffer += chunk
        begin = 0
        while len(buffer) - begin >= 5:
            end = begin + 1 + int.from_bytes(buffer[begin + 1 : begin + 5])
            if end > len(buffer):
                break
            yield bytes(buffer[begin : begin + 1]), bytes(buffer[begin:end])
            begin = end
        del buffer[:begin]


def _read_exactly(side: socket.socket, count: int) -> bytes | None:
    read = b""
    while len(read) < count:
        chunk = side.recv(count - len(read))
        if not chunk:
            return None
        read += chunk
    return read


def _application_name(startup: bytes) -> str:
    words = startup[8:].split(b"\0")
    given = dict(zip(words[::2], words[1::2], strict=False))
    return given.get(b"application_name", b"").decode(errors="replace")
