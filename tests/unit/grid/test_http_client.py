"""The small HTTP client against servers that are good, bad and slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from chargerd.grid import http_client
from chargerd.grid.errors import GridError
from chargerd.grid.http_client import Http, HttpError
from chargerd.grid.trust import trust
from tests.unit.grid.http_stand import answer, server

Respond = Callable[[str, str, bytes], bytes]


@pytest.mark.asyncio
async def test_one_connection_for_many_calls_and_a_new_one_where_it_was_left() -> None:
    closing = False

    def respond(_method: str, path: str, body: bytes) -> bytes:
        return (
            b"" if closing and made.connections == 1 else answer([path, body.decode()])
        )

    async with server(respond) as made:
        http = Http(None)
        for n in range(3):
            got = await http.call("GET", f"{made.url}/x?n={n}", {"X-One": "1"})
            assert (got.status, got.body) == (200, f'["/x?n={n}", ""]'.encode())
        assert made.connections == 1
        closing = True
        got = await http.call("GET", f"{made.url}/y", {})
        assert (got.status, made.connections) == (200, 2)
        got = await http.call("POST", f"{made.url}/z", {}, b"body")
        assert got.body == b'["/z", "body"]'
        await http.close()


@pytest.mark.asyncio
async def test_a_body_in_tiny_pieces_does_not_keep_the_loop() -> None:
    """1,000 pieces of a byte: others have their turn in between."""
    body = b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    told = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with server(lambda *_: told) as made:
        http = Http(None)
        task = asyncio.create_task(others())
        before = turns
        got = await http.call("GET", made.url, {})
        task.cancel()
        assert got.body == b"x" * 1000
        assert turns - before >= 1000 // 32
        await http.close()


@pytest.mark.asyncio
async def test_a_post_is_not_said_twice() -> None:
    """A server that closes after it has heard may have done it."""
    async with server(lambda m, _p, _b: answer(1) if m == "GET" else b"") as made:
        http = Http(None)
        await http.call("GET", made.url, {})
        with pytest.raises(HttpError, match="closed"):
            await http.call("POST", made.url, {}, b"x")
        assert [m for m, _ in made.asked] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (b"nonsense\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", "malformed"),
        (answer(b"x" * (http_client.BODY_MAX + 1)), "size"),
        (b"", "connection"),
    ],
    ids=["nonsense", "long head", "length", "cut", "large", "nothing"],
)
@pytest.mark.asyncio
async def test_bad_answers(told: bytes, reason: str) -> None:
    left = [told]

    def respond(_method: str, _path: str, _body: bytes) -> bytes:
        return left.pop() if left else b""

    async with server(respond) as made:
        made.leaves = True
        with pytest.raises(HttpError) as raised:
            await Http(None).call("GET", made.url, {})
        assert raised.value.reason == reason


@pytest.mark.asyncio
async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "CALL_S", 0.05)
    async with server(lambda *_: b"HTTP/1.1 200 OK\r\n") as made:
        http = Http(None)
        with pytest.raises(HttpError) as raised:
            await http.call("GET", made.url, {})
        assert raised.value.reason == "timeout"


@pytest.mark.asyncio
async def test_no_server_and_a_redirect_that_is_not_followed() -> None:
    with pytest.raises(HttpError) as raised:
        await Http(None).call("GET", "http://127.0.0.1:1/", {})
    assert raised.value.reason == "connection"
    moved = answer({}, "302 Found", "Location: http://127.0.0.1:1/")
    async with server(lambda *_: moved) as made:
        http = Http(None)
        assert (await http.call("GET", made.url, {})).status == 302
        await http.close()


@pytest.mark.parametrize("tail", ["/a b", "/\r\nX: 1", "/\u00e9", "99999/", "x/"])
@pytest.mark.asyncio
async def test_what_would_break_a_head_or_is_no_url(tail: str) -> None:
    async with server(lambda *_: answer({})) as made:
        with pytest.raises(HttpError) as raised:
            await Http(None).call("GET", made.url + tail, {})
        assert raised.value.reason == "malformed"
        assert made.asked == []


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    with pytest.raises(GridError, match="cannot be loaded"):
        trust("grid.x", bad, None, None)
    bad.write_text("x")
    with pytest.raises(GridError, match=r"ca\.pem"):
        trust("grid.x", bad, None, None)
    trust("grid.x", None, None, None)
