"""The S2 door over a real WebSocket: a CEM's word reaches the heart, its end too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedOK

from chargerd.grid import build, s2_door
from chargerd.grid.errors import GridError
from chargerd.grid.ports import GridDoor
from tests.process import until
from tests.unit.grid.openadr3_stand import sized
from tests.unit.grid.s2_stand import FRBC, Stand
from tests.unit.grid.stand import Told, config, ports

Cem = Callable[[ServerConnection], Any]


@asynccontextmanager
async def running(cem: Cem, **settings: Any) -> AsyncIterator[tuple[GridDoor, Told]]:
    """The door against a server that does what `cem` does on each connection."""
    async with serve(cem, "127.0.0.1", 0, close_timeout=0.5) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        given, told = ports(Told(mono=100.0))
        asked = {"url": f"ws://127.0.0.1:{port}/s2", **settings}
        (door,) = build.build(config(s2=asked), given)
        door.report(sized())
        task = asyncio.create_task(door.run())
        try:
            yield door, told
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def message(kind: str, **fields: Any) -> str:
    stand.count += 1
    return json.dumps(
        {"message_type": kind, "message_id": str(stand.new_id()), **fields}
    )


stand = Stand()  # for its ids: those of EVSE 1


async def agree(socket: ServerConnection) -> None:
    await socket.recv()
    version = "0.0.2-beta"
    await socket.send(message("Handshake", role="CEM"))
    await socket.send(message("HandshakeResponse", selected_protocol_version=version))
    await socket.send(message("SelectControlType", control_type=FRBC))
    while json.loads(await socket.recv())["message_type"] != "FRBC.SystemDescription":
        pass


@pytest.mark.asyncio
async def test_asked_then_gone() -> None:
    async def cem(socket: ServerConnection) -> None:
        await agree(socket)
        await socket.send(message("FRBC.Instruction", **stand.frbc("discharge", 0.5)))
        while json.loads(await socket.recv()).get("status_type") != "STARTED":
            pass

    async with running(cem, token="CANARY") as (door, told):

        async def over() -> bool:
            return len(told.signals) >= 2

        await until("a signal and its end", over)
        first, last = told.signals[:2]
        assert first.segments[0].setpoint_w == -3000.0
        assert last.segments == ()
        assert "CANARY" not in json.dumps(door.status())
        assert door.status()["problem"] == ""


@pytest.mark.asyncio
async def test_a_cem_that_leaves_while_we_speak_was_heard() -> None:
    """So it is not waited for as for one that never spoke."""

    class Leaving:
        said = False

        async def recv(self) -> str:
            self.said = True
            return message("Handshake", role="CEM")

        async def send(self, text: str) -> None:
            if self.said:
                raise ConnectionClosedOK(None, None)

    (door,) = build.build(config(s2={"url": "ws://127.0.0.1:1/"}), ports()[0])
    assert isinstance(door, s2_door.S2Door)
    socket: Any = Leaving()
    assert await door._converse(socket)


@pytest.mark.asyncio
async def test_a_flood_ends_the_session() -> None:
    async def cem(socket: ServerConnection) -> None:
        with suppress(Exception):
            while True:
                await socket.send(message("SessionRequest", request="x"))

    async with running(cem, messages_per_s=1) as (door, _):

        async def counted() -> bool:
            return "flood" in door.status()["refused"]

        await until("the flood is counted", counted)


@pytest.mark.asyncio
async def test_a_message_that_is_too_large() -> None:
    async def cem(socket: ServerConnection) -> None:
        await socket.send("x" * (s2_door.MESSAGE_MAX + 1))
        await socket.wait_closed()
        closed.append(socket.close_code)

    closed: list[int | None] = []
    async with running(cem):

        async def left() -> bool:
            return bool(closed)

        await until("the socket is closed", left)
        assert closed == [1009]


@pytest.mark.asyncio
async def test_no_cem_is_counted_and_tried_again() -> None:
    given, _ = ports()
    (door,) = build.build(config(s2={"url": "ws://127.0.0.1:1/"}), given)
    task = asyncio.create_task(door.run())

    async def counted() -> bool:
        return "connection" in door.status()["refused"]

    await until("a refusal", counted)
    assert "Connect call failed" in door.status()["problem"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"evse": 7}, "no EVSE 7"), ({"ca": "/no/such.pem"}, "cannot be loaded")],
)
def test_what_cannot_be_built(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(GridError, match=word):
        build.build(config(s2={"url": "wss://cem", **settings}), ports()[0])


@pytest.mark.parametrize(
    ("url", "word"), [("ws://cem/", "without TLS"), ("http://cem/", "wss://")]
)
def test_urls_that_cannot_be(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        config(s2={"url": url})
