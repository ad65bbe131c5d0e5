"""The Modbus adapter against servers that misbehave (S41, S42 of the security table).

The servers are written here from the Modbus documents and share no code with pymodbus.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.exceptions import ModbusIOException

from firmware_bridge.drivers.polling import poll_for_ever
from firmware_bridge.health import Stats
from firmware_bridge.restart import keep_running
from firmware_bridge.transport.address import (
    ModbusRtuAddress,
    ModbusTcpAddress,
    SerialAddress,
)
from firmware_bridge.transport.modbus import ModbusLink
from firmware_bridge.units import BridgeError
from tests.cancel import Spoils

Reply = Callable[[bytes], list[tuple[float, bytes]]]  # [(wait, bytes), ...]


def registers_pdu(pdu: bytes, base: int = 0) -> bytes:
    """A right answer: each register holds its own address plus `base`."""
    first, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    words = b"".join((first + base + n).to_bytes(2, "big") for n in range(count))
    return bytes((pdu[0], len(words))) + words


def mbap(request: bytes, pdu: bytes, *, tid: int = 0, unit: int = 0) -> bytes:
    """A TCP answer; `tid` and `unit` are added to the right ones."""
    number = int.from_bytes(request[:2], "big") + tid
    length = len(pdu) + 1
    head = number.to_bytes(2, "big") + b"\x00\x00" + length.to_bytes(2, "big")
    return head + bytes((request[6] + unit,)) + pdu


def good(request: bytes) -> list[tuple[float, bytes]]:
    return [(0, mbap(request, registers_pdu(request[7:])))]


@contextlib.asynccontextmanager
async def tcp_link(reply: Reply) -> AsyncIterator[ModbusLink]:
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(6)
                body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
                for wait, data in reply(head + body):
                    await asyncio.sleep(wait)
                    writer.write(data)
                    await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = ModbusLink(ModbusTcpAddress("127.0.0.1", port), timeout_s=0.15)
    task = asyncio.get_running_loop().create_task(link.run())
    await connected(link)
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def connected(link: ModbusLink) -> None:
    async with asyncio.timeout(2):
        while not link.connected:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.002)


@pytest.mark.asyncio
async def test_reads_writes_and_shares_the_connection() -> None:
    seen: list[bytes] = []

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        seen.append(request[6:])
        if request[7] == 16:
            return [(0, mbap(request, request[7:12]))]
        return good(request)

    async with tcp_link(reply) as link:
        both = await asyncio.gather(
            link.read_input(1, 0x34, 2), link.read_holding(10, 0x46, 6)
        )
        assert list(both) == [[0x34, 0x35], [0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B]]
        await link.write(3, 3026, [1])
    assert [(data[0], data[1]) for data in seen] == [(1, 4), (10, 3), (3, 16)]
    assert seen[2].hex() == "03100bd20001020001"


@pytest.mark.asyncio
async def test_two_answers_in_one_packet_and_one_answer_in_many() -> None:
    def reply(request: bytes) -> list[tuple[float, bytes]]:
        answer = good(request)[0][1]
        if request[6] == 1:  # an old answer glued before the right one
            return [
                (0, mbap(request, registers_pdu(request[7:], 900), tid=-1) + answer)
            ]
        return [(0.001, answer[n : n + 1]) for n in range(len(answer))]

    async with tcp_link(reply) as link:
        await link.read_input(2, 0, 2)
        assert await link.read_input(1, 0x34, 2) == [0x34, 0x35]
        assert await link.read_input(2, 0x46, 4) == [0x46, 0x47, 0x48, 0x49]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda r: mbap(r, bytes((r[7] | 0x80, 2))), "exception 2"),
        (lambda r: mbap(r, registers_pdu(r[7:]), tid=1), "no answer"),
        (lambda r: mbap(r, registers_pdu(r[7:]), unit=1), "no answer"),
        (lambda r: mbap(r, b"\x03\x04\x00\x01\x00\x02"), "another question"),
        (lambda r: mbap(r, b"\x04\x02\x00\x01"), "1 came back"),
        (lambda r: mbap(r, b"\x04\x08" + bytes(8)), "4 came back"),
        (lambda r: mbap(r, registers_pdu(r[7:]))[:8], "no answer"),
    ],
)
@pytest.mark.asyncio
async def test_wrong_answers_are_refused(
    answer: Callable[[bytes], bytes], hint: str
) -> None:
    async with tcp_link(lambda request: [(0, answer(request))]) as link:
        with pytest.raises(BridgeError, match=hint):
            await link.read_input(1, 0x34, 2)


@pytest.mark.asyncio
async def test_a_late_tcp_answer_is_not_taken_for_the_next() -> None:
    calls = 0

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        nonlocal calls
        calls += 1
        if calls == 1:  # comes after the timeout, together with the second answer
            return [(0.2, mbap(request, registers_pdu(request[7:], 900)))]
        return good(request)

    async with tcp_link(reply) as link:
        with pytest.raises(BridgeError, match="no answer"):
            await link.read_input(1, 0, 2)
        assert await link.read_input(1, 0, 2) == [0, 1]


@pytest.mark.asyncio
async def test_a_lost_connection_ends_run() -> None:
    link = ModbusLink(ModbusTcpAddress("127.0.0.1", 1))
    with pytest.raises(BridgeError, match="cannot connect"):
        await link.run()
    with pytest.raises(BridgeError, match="not connected"):
        await link.read_input(1, 0, 2)

    async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    link = ModbusLink(ModbusTcpAddress("127.0.0.1", server.sockets[0].getsockname()[1]))
    with pytest.raises(BridgeError, match="lost"):
        await asyncio.wait_for(link.run(), 2)
    server.close()
    await server.wait_closed()


@pytest.mark.asyncio
async def test_a_cancel_that_meets_the_answer_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pymodbus asks with wait_for, and Python 3.11's gives the answer then: one stop
    of the daemon in about thirty hung."""
    asked = ModbusClientMixin.read_input_registers

    async def read(*args: Any, **kwargs: Any) -> Any:
        answer, task = await asked(*args, **kwargs), asyncio.current_task()
        loop = asyncio.get_running_loop()
        met = loop.create_future()
        loop.call_soon(met.set_result, answer)
        loop.call_soon(task and task.cancel)
        return await asyncio.wait_for(met, 1)  # as pymodbus does

    monkeypatch.setattr(ModbusClientMixin, "read_input_registers", read)
    async with tcp_link(good) as link:
        poll = asyncio.create_task(link.read_input(1, 0x34, 2))
        await asyncio.wait([poll])
        assert poll.cancelled()


@pytest.mark.asyncio
async def test_a_cancel_that_meets_an_error_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoils = Spoils(ModbusIOException("the connection is lost as well"))
    monkeypatch.setattr(ModbusClientMixin, "read_input_registers", spoils)
    async with tcp_link(good) as link:
        assert await spoils.ends(link.read_input(1, 0x34, 2))


@pytest.mark.asyncio
async def test_a_cancel_that_meets_the_connection_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoils = Spoils(None)
    monkeypatch.setattr(AsyncModbusTcpClient, "connect", spoils)
    link = ModbusLink(ModbusTcpAddress("127.0.0.1", 1))
    assert await spoils.ends(link.run())


@pytest.mark.asyncio
async def test_a_dead_unit_leaves_the_line_to_the_others() -> None:
    """Each miss holds the line for its timeout; a whole poll meets one of them."""
    took_s: list[float] = []

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        return [] if request[6] == 1 else good(request)

    async with tcp_link(reply) as link:

        async def dead() -> None:
            await link.read_input(1, 0, 2)

        async def live() -> None:
            started = time.monotonic()
            for block in range(3):
                await link.read_input(2, block, 2)
            took_s.append(time.monotonic() - started)

        def poll(what: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
            return lambda: poll_for_ever(what, 0.02, Stats("m"), time.monotonic)

        runs = [keep_running(poll(what), Stats("m")) for what in (dead, live)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await asyncio.gather(*runs)
    assert len(took_s) > 10
    assert max(took_s) < 2 * 0.15  # the link's timeout


def crc16(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


@contextlib.asynccontextmanager
async def rtu_link(reply: Reply) -> AsyncIterator[ModbusLink]:
    """A slave on a pty; `reply` gets the request without CRC, gives whole frames."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    path = os.ttyname(slave)
    os.close(slave)
    loop = asyncio.get_running_loop()

    def readable() -> None:
        with contextlib.suppress(OSError):
            request = os.read(master, 256)
            if request[-2:] == crc16(request[:-2]):
                for wait, data in reply(request[:-2]):
                    loop.call_later(wait, os.write, master, data)

    loop.add_reader(master, readable)
    line = SerialAddress(path, 19_200, "E")
    link = ModbusLink(ModbusRtuAddress(line), timeout_s=0.12)
    task = asyncio.get_running_loop().create_task(link.run())
    try:
        await connected(link)
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        loop.remove_reader(master)
        os.close(master)


def framed(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body)


@pytest.mark.asyncio
async def test_rtu_question_and_answer() -> None:
    def reply(request: bytes) -> list[tuple[float, bytes]]:
        return [(0, framed(request[0], registers_pdu(request[1:])))]

    async with rtu_link(reply) as link:
        assert await link.read_holding(3, 1000, 4) == [1000, 1001, 1002, 1003]


@pytest.mark.asyncio
async def test_rtu_late_answer_goes_by_before_the_next_question() -> None:
    """S42: same unit, same function, same length, and nothing to tell them apart."""
    calls = 0

    def reply(request: bytes) -> list[tuple[float, bytes]]:
        nonlocal calls
        calls += 1
        late = 0.2 if calls == 1 else 0.0  # after the timeout, inside the settling
        return [(late, framed(request[0], registers_pdu(request[1:])))]

    async with rtu_link(reply) as link:
        with pytest.raises(BridgeError, match="no answer"):
            await link.read_holding(3, 1000, 4)
        assert await link.read_holding(3, 1008, 4) == [1008, 1009, 1010, 1011]


@pytest.mark.asyncio
async def test_rtu_wrong_crc_and_wrong_unit_are_no_answers() -> None:
    def reply(request: bytes) -> list[tuple[float, bytes]]:
        pdu = registers_pdu(request[1:])
        if request[0] == 3:
            return [(0, framed(3, pdu)[:-1] + b"\x00")]
        return [(0, framed(9, pdu))]

    async with rtu_link(reply) as link:
        for unit in (3, 4):
            with pytest.raises(BridgeError, match="no answer"):
                await link.read_holding(unit, 1000, 4)
