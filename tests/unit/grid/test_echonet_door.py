"""The ECHONET Lite door on real sockets of loopback: answers, commands, announcements.

Waits for datagrams, never for time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chargerd.grid.build import build
from chargerd.grid.echonet_frame import Esv, Frame, Property, read, write
from chargerd.grid.errors import GridError
from chargerd.grid.ports import GridDoor
from tests.unit.grid.stand import Told, config, ports, report

STATION, HEMS = "127.43.0.1", "127.43.0.2"
ONE, CONTROLLER = b"\x02\x7e\x01", b"\x05\xff\x01"


class Ear(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Queue[Frame] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.put_nowait(read(data))


@asynccontextmanager
async def hems() -> AsyncIterator[tuple[asyncio.DatagramTransport, Ear, int]]:
    """A controller on the node's port, with an address of its own."""
    loop = asyncio.get_running_loop()
    transport, ear = await loop.create_datagram_endpoint(Ear, local_addr=(HEMS, 0))
    try:
        yield transport, ear, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@asynccontextmanager
async def running(door: GridDoor) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(door.run())
        while not door.status()["listening"]:  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        yield
        task.cancel()


def made(port: int) -> tuple[GridDoor, Told]:
    asked = config(
        echonet={"address": STATION, "port": port, "controllers": [f"{HEMS}/32"]}
    )
    given, told = ports()
    (door,) = build(asked, given)
    return door, told


@pytest.mark.asyncio
async def test_asked_and_commanded() -> None:
    async with hems() as (transport, ear, port):
        door, told = made(port)
        async with running(door):
            door.report(report())
            asked = Frame(7, CONTROLLER, ONE, Esv.GET, (Property(0xE4),))
            transport.sendto(write(asked), (STATION, port))
            answer = await ear.heard.get()
            assert (answer.esv, answer.properties) == (
                Esv.GET_RES,
                (Property(0xE4, b"\x37"),),
            )
            set_place = (Property(0x81, b"\x08"), Property(0xDA, b"\x43"))
            order = Frame(8, CONTROLLER, ONE, Esv.SETC, set_place)
            transport.sendto(write(order), (STATION, port))
            assert (await ear.heard.get()).esv is Esv.SET_RES
            assert told.signals[0].segments[0].setpoint_w == -6000.0
            assert told.saved == {("grid.echonet", "place.1"): 8}
        assert door.status()["listening"] is False


@pytest.mark.asyncio
async def test_an_address_that_is_not_ours_is_an_error() -> None:
    given, _ = ports()
    (door,) = build(config(echonet={"address": "203.0.113.1"}), given)
    with pytest.raises(GridError, match=r"grid\.echonet: .*assign.*address"):
        await door.run()


@pytest.mark.asyncio
async def test_the_port_can_be_shared_with_a_hems_on_the_same_machine() -> None:
    async with hems() as (_, _, port):
        door, _ = made(port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.43.0.3", port))
            async with running(door):
                pass


def test_not_configured() -> None:
    from chargerd.grid import echonet_door

    with pytest.raises(GridError, match=r"grid\.echonet"):
        echonet_door.build(config(), ports()[0])
