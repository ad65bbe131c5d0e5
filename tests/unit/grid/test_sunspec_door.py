"""The SunSpec door on real sockets of loopback: who may connect, what is followed."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chargerd.grid import sunspec_door
from chargerd.grid.errors import GridError
from chargerd.grid.sunspec import Server
from chargerd.grid.sunspec_door import SunspecDoor, build
from chargerd.grid.sunspec_points import BASE, POINTS
from tests.unit.grid.stand import Told, config, ports, report

AT = {point.name: point.address for point in POINTS}
READ_HEAD = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, BASE, 2)
ENABLE = struct.pack(">HHHBBHH", 2, 0, 6, 1, 6, AT["704.WSetEna"], 1)


@asynccontextmanager
async def running(**values: Any) -> AsyncIterator[tuple[SunspecDoor, Told]]:
    """On a port of its own."""
    given, told = ports()
    asked = config(sunspec={"controllers": ["127.0.0.1/32"], **values})
    assert asked.grid.sunspec is not None
    free = asked.grid.sunspec.model_copy(update={"port": 0})
    door = SunspecDoor(Server(free, asked.station, asked.evse), free, given)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(door.run())
        while not door.port:  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        try:
            yield door, told
        finally:
            task.cancel()


@asynccontextmanager
async def peer(
    door: SunspecDoor, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", door.port, local_addr=(host, 0)
    )
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(streams: Any, adu: bytes) -> bytes:
    reader, writer = streams
    writer.write(adu)
    head = await reader.readexactly(7)
    body: bytes = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
    return body


async def left(streams: Any) -> bool:
    """The other side has closed."""
    try:
        return bool(await streams[0].read(1) == b"")
    except ConnectionResetError:
        return True


@pytest.mark.asyncio
async def test_read_and_commanded() -> None:
    async with running() as (door, told), peer(door) as ems:
        door.report(report())
        assert await ask(ems, READ_HEAD) == b"\x03\x04SunS"
        assert await ask(ems, ENABLE) == ENABLE[7:]
        assert told.signals[0].source == "sunspec.set"
        assert door.status()["connections"] == 1


@pytest.mark.asyncio
async def test_the_tick_reverts_without_anybody_asking() -> None:
    async with running(hold_s=10) as (door, told), peer(door) as ems:
        await ask(ems, ENABLE)
        told.mono += 10.0
        while len(told.signals) < 2:  # noqa: ASYNC110 - the door's own tick
            await asyncio.sleep(0.01)
        assert told.signals[1].segments == ()


@pytest.mark.asyncio
async def test_a_reader_may_not_write() -> None:
    async with running() as (door, told), peer(door, "127.0.0.2") as ems:
        assert await ask(ems, READ_HEAD) == b"\x03\x04SunS"
        assert await ask(ems, ENABLE) == b"\x86\x01"
        assert told.signals == []


@pytest.mark.asyncio
async def test_a_stranger_is_not_heard() -> None:
    async with (
        running(readers=["192.168.0.0/16"]) as (door, _),
        peer(door, "127.0.0.2") as stranger,
    ):
        assert await left(stranger)
        assert door.status()["refused"] == {"unknown host": 1}


@pytest.mark.asyncio
async def test_readers_leave_places_to_controllers() -> None:
    async with (
        running(connections=2) as (door, _),
        peer(door, "127.0.0.2") as first,
        peer(door, "127.0.0.2") as second,
    ):
        await ask(first, READ_HEAD)
        assert await left(second)
        async with peer(door) as ems:
            assert await ask(ems, ENABLE) == ENABLE[7:]
        assert door.status()["refused"] == {"connections": 1}


@pytest.mark.asyncio
async def test_what_is_no_modbus_is_left() -> None:
    async with running() as (door, _), peer(door) as web:
        web[1].write(b"GET / HTTP/1.1\r\n\r\n")
        assert await left(web)
        assert door.status()["refused"] == {"malformed": 1}
        async with peer(door) as ems:
            assert await ask(ems, READ_HEAD) == b"\x03\x04SunS"


@pytest.mark.asyncio
async def test_a_flood_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door's clock stands still here: 4 requests are the burst of 1 a second."""
    monkeypatch.setattr(sunspec_door, "PAUSE_S", 0.001)
    async with running(requests_per_s=1) as (door, told), peer(door) as ems:
        ems[1].write(READ_HEAD * 6)
        for _ in range(4):
            await ems[0].readexactly(13)
        while not door.status()["refused"].get("flood"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert door.status()["reads"] == 4
        told.mono += 2.0
        await ems[0].readexactly(26)
        assert door.status()["reads"] == 6


@pytest.mark.asyncio
async def test_the_socket_of_a_peer_that_does_not_read_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stuck(writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(64_000_000))  # as many answers
        sockets.append(writer.get_extra_info("socket"))
        raise TimeoutError

    sockets: list[socket.socket] = []
    monkeypatch.setattr(asyncio.StreamWriter, "drain", stuck)
    async with running() as (door, _), peer(door) as ems:
        ems[1].transport.pause_reading()  # type: ignore[attr-defined]
        ems[1].write(READ_HEAD)
        while not sockets:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert door.status()["connections"] == 0
        assert sockets[0].fileno() == -1


@pytest.mark.asyncio
async def test_the_end_of_the_door_is_the_end_of_its_peers() -> None:
    async with running() as (door, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await ask((reader, writer), READ_HEAD)
    assert await left((reader, writer))
    writer.close()
    assert door.status()["connections"] == 0


@pytest.mark.asyncio
async def test_an_address_that_is_taken_is_named() -> None:
    async with running() as (door, _):
        asked = config(sunspec={"port": door.port})
        second = build(asked, ports()[0])
        with pytest.raises(GridError, match=rf"grid\.sunspec: .*:{door.port}: .*port"):
            await second.run()


def test_not_configured() -> None:
    with pytest.raises(GridError, match=r"grid\.sunspec"):
        build(config(), ports()[0])
