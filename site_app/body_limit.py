"""A limit on the whole request, kept before Django sees it: under ASGI, Django first stores the body, however long."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class BodyTooLongError(Exception):
    """The request's body went beyond the limit."""


def limit_body(application: Application, *, max_bytes: int) -> Application:
    """The application, which now answers 413 to a body of more than `max_bytes`, announced or not."""

    async def limited(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        if announced_bytes(scope) > max_bytes:
            await refuse(send, max_bytes)
            return
        try:
            await application(scope, counted(receive, max_bytes), send)
        except BodyTooLongError:  # Django reads the whole body before it answers, so no answer has begun
            await refuse(send, max_bytes)

    return limited


def announced_bytes(scope: Message) -> int:
    """The length the client announces; 0 when it announces none, or nonsense the server will refuse."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def counted(receive: Receive, max_bytes: int) -> Receive:
    """`receive`, until more than `max_bytes` of body have come through it."""
    received = 0

    async def count() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise BodyTooLongError
        return message

    return count


async def refuse(send: Send, max_bytes: int) -> None:
    """Answer 413, in words; the connection is closed, because the rest of the body is not read."""
    text = f"This request is too long: more than {max_bytes // 2**20} MB. Send fewer photos at once.\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": text})
