"""The small pure pieces: states, server-sent events, the limit on a request's body, names of files."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from site_app.body_limit import Application, Message, limit_body
from site_app.live import stream
from site_app.photos import steps
from site_app.secret_key import development_key
from site_app.states import State, state_of_all
from site_app.whole_files import put_in_place, written_beside


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], State.DONE),
        (["waiting", "waiting"], State.WAITING),
        (["waiting", "working"], State.WORKING),
        (["waiting", "done"], State.WORKING),
        (["done", "done"], State.DONE),
        (["done", "retrying", "waiting"], State.RETRYING),
        (["failed", "retrying", "working"], State.FAILED),
    ],
)
def test_many_states_are_one(states, expected):
    assert state_of_all(states) is expected


def test_every_rendition_has_a_name_of_its_own_and_words():
    assert len({size.name for size in steps.RENDITIONS}) == len(steps.RENDITIONS)
    assert steps.LABELS["800.webp"] == "800 px WebP"


def test_an_event_of_several_lines_is_one_event():
    assert stream.event("row", "a\nb") == "event: row\ndata: a\ndata: b\n\n"
    assert stream.event("row", "") == "event: row\ndata: \n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("3", [3]), ("3,x,-1,,5", [3, 5]), ("9" * 30, []), (",".join(["7"] * 500), [7] * 200), ("²,٣", [3])],
)
def test_ids_are_taken_from_an_address_with_care(text, expected):
    assert stream.ids(text) == expected


async def echo(scope: Message, receive, send) -> None:
    """An application that reads the whole body and says how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


async def answer(application: Application, *call: Any) -> None:
    """Call an ASGI application."""
    await application(*call)


def ask(chunks: list[bytes], announced: bytes | None = None) -> tuple[int, bytes]:
    """Send a body in chunks to `echo` behind a limit of 10 bytes; the status and the answer."""
    sent: list[Message] = []
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks[:-1]]
    waiting.append({"type": "http.request", "body": chunks[-1]})

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if announced is None else [(b"content-length", announced)]
    asyncio.run(answer(limit_body(echo, max_bytes=10), {"type": "http", "headers": headers}, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_a_body_within_the_limit_passes():
    assert ask([b"12345", b"67890"], b"10") == (200, b"10")


def test_a_body_that_announces_too_much_is_refused_before_it_is_read():
    status, words = ask([b"1"], b"11")
    assert status == 413
    assert b"too long" in words


def test_a_body_that_is_longer_than_it_says_is_refused():
    assert ask([b"123456", b"78901"])[0] == 413


def test_other_traffic_is_left_alone():
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(answer(limit_body(application, max_bytes=1), {"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "picture.webp"
    with written_beside(path) as file:
        file.write(b"first half")
        assert not path.exists()
    assert list(tmp_path.iterdir()) == []
    with written_beside(path) as file:
        file.write(b"all of it")
        put_in_place(file, path)
    assert path.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [path]


def test_the_development_key_is_made_once_and_kept_private(tmp_path: Path):
    path = tmp_path / "cache" / "secret_key"
    key = development_key(path)
    assert len(key) >= 50
    assert development_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]
