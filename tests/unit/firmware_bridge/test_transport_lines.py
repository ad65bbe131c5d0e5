"""Serial, slcan and SocketCAN on real file descriptors: short smoke tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import can
import pytest

from firmware_bridge.api import CanBus, SerialPort
from firmware_bridge.transport.address import CanAddress, SerialAddress
from firmware_bridge.transport.can_python import SlcanCan, UdpCan
from firmware_bridge.transport.can_socket import CanSocket
from firmware_bridge.transport.serial import PENDING_BYTES, SerialLine
from firmware_bridge.units import BridgeError
from tests.unit.firmware_bridge.fakes import FakeClock

Run = Callable[[], Coroutine[None, None, None]]


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The far end's descriptor and the near end's path."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    path = os.ttyname(slave)
    os.close(slave)
    yield master, path
    with contextlib.suppress(OSError):
        os.close(master)


@contextlib.asynccontextmanager
async def running(run: Run) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.get_running_loop().create_task(run())
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def read(master: int, ends: bytes) -> bytes:
    """What the far end gets, up to and with `ends`."""
    data = b""
    async with asyncio.timeout(2):
        while not data.endswith(ends):
            with contextlib.suppress(BlockingIOError):
                data += os.read(master, 4096)
            await asyncio.sleep(0.001)
    return data


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_serial_both_ways_and_lost(terminal: tuple[int, str]) -> None:
    master, path = terminal
    line = SerialLine(SerialAddress(path, 115_200, "E"))  # a pty refuses parity
    assert isinstance(line, SerialPort)
    got: list[bytes] = []
    line.subscribe(lambda data, _: got.append(data))
    with pytest.raises(BridgeError, match="not open"):
        line.send(b"x")
    async with running(line.run) as task:
        line.send(b"\x00\xa5\r\n\x11\x13")  # nothing is translated or eaten
        assert await read(master, b"\x13") == b"\x00\xa5\r\n\x11\x13"
        os.write(master, b"\r\n\x03\x1a\x11")
        await until(lambda: b"".join(got) == b"\r\n\x03\x1a\x11")
        os.close(master)
        with pytest.raises(BridgeError, match="lost"):
            await asyncio.wait_for(asyncio.shield(task), 2)
    with pytest.raises(BridgeError, match="not open"):
        line.send(b"x")


@pytest.mark.asyncio
async def test_serial_is_exclusive(terminal: tuple[int, str]) -> None:
    _, path = terminal
    async with running(SerialLine(SerialAddress(path)).run):
        with pytest.raises(BridgeError, match="cannot open"):
            await SerialLine(SerialAddress(path)).run()


@pytest.mark.asyncio
async def test_a_far_end_that_does_not_read_never_blocks(
    terminal: tuple[int, str],
) -> None:
    master, path = terminal
    line = SerialLine(SerialAddress(path))
    async with running(line.run):
        sent = 0

        def flood() -> None:
            nonlocal sent
            for _ in range(10_000):
                line.send(b"0123456789abcdef")
                sent += 16

        with pytest.raises(BridgeError, match="stalled"):
            flood()
        assert sent >= PENDING_BYTES
        received = 0
        async with asyncio.timeout(5):
            while received < sent:  # what was taken arrives, once it reads again
                with contextlib.suppress(BlockingIOError):
                    received += len(os.read(master, 65_536))
                await asyncio.sleep(0.001)
        line.send(b"again")


@pytest.mark.asyncio
async def test_orders_that_got_old_in_the_queue_are_never_delivered(
    terminal: tuple[int, str],
) -> None:
    """Law 2: a far end that wakes up must not obey what was said before it slept.

    What a pty's far end holds in its own buffer is beyond recall; our queue is not.
    """
    master, path = terminal
    clock = FakeClock()
    line = SerialLine(SerialAddress(path), clock)

    taken = 0

    def fill() -> None:
        nonlocal taken
        for _ in range(10_000):
            line.send(b"old order ")
            taken += 10

    async with running(line.run) as task:
        with pytest.raises(BridgeError, match="queue full"):
            fill()
        clock.step(0.2)
        with pytest.raises(BridgeError, match="stalled"):
            line.send(b"new")
        with pytest.raises(BridgeError, match="stalled"):
            await asyncio.wait_for(asyncio.shield(task), 2)
    async with running(line.run):
        line.send(b"fresh\n")
        heard = await read(master, b"fresh\n")
    assert len(heard) <= taken - PENDING_BYTES + 10 + len(b"fresh\n")


@pytest.mark.asyncio
async def test_missing_device() -> None:
    with pytest.raises(BridgeError, match="cannot open"):
        await SerialLine(SerialAddress("/dev/no-such-line")).run()


@pytest.mark.asyncio
async def test_slcan_opens_the_channel_and_moves_frames(
    terminal: tuple[int, str],
) -> None:
    master, path = terminal
    bus = SlcanCan(CanAddress("slcan", path, 125_000))
    assert isinstance(bus, CanBus)
    got: list[tuple[int, bytes]] = []
    bus.subscribe(lambda frame_id, data, _: got.append((frame_id, data)))
    with pytest.raises(BridgeError):
        bus.send(0x100, b"")
    async with running(bus.run):
        opening = await read(master, b"O\r")
        commands = [c for c in opening.split(b"\r") if c]
        assert commands == [b"C", b"S4", b"O"]  # closed, 125 kbit/s, open
        bus.send(0x02A43FF0, bytes.fromhex("1002000000003c8c"), extended=True)
        assert await read(master, b"\r") == b"T02A43FF081002000000003C8C\r"
        bus.send(0x109, b"\x01\x02")
        assert await read(master, b"\r") == b"t10920102\r"
        os.write(master, b"\r\r\rz\rt10280")
        os.write(master, b"102030405060708\rT02A3F00080000000000000001\r")
        await until(lambda: len(got) == 2)
        assert got == [
            (0x102, bytes(range(1, 9))),
            (0x02A3F000, b"\x00\x00\x00\x00\x00\x00\x00\x01"),
        ]
        with pytest.raises(BridgeError):
            bus.send(0x100, bytes(9))


@pytest.mark.parametrize(
    "garbage",
    [
        b"t1028XX\r",
        b"t10281122\r",  # shorter than its length says
        b"tFFF0\r",  # 12 bits in an 11-bit identifier
        b"T9\r",
        b"r1020\r",  # remote frame
        b"\xff\xfe\xfd\r",
        b"A" * 500,
        b"t102" + b"9" * 30 + b"\r",
    ],
)
@pytest.mark.asyncio
async def test_slcan_survives_garbage(
    terminal: tuple[int, str], garbage: bytes
) -> None:
    master, path = terminal
    bus = SlcanCan(CanAddress("slcan", path, 500_000))
    got: list[tuple[int, bytes]] = []
    bus.subscribe(lambda frame_id, data, _: got.append((frame_id, data)))
    async with running(bus.run):
        await read(master, b"O\r")
        os.write(master, garbage)
        await until(lambda: bus.bad)
        os.write(master, b"\rt1021AA\r")
        await until(lambda: got)
    assert got == [(0x102, b"\xaa")]


def can_frame(word: int, data: bytes, length: int | None = None) -> bytes:
    return struct.pack("=IB3x8s", word, len(data) if length is None else length, data)


@pytest.mark.asyncio
async def test_socketcan_frames() -> None:
    """Kernel CAN is not everywhere: a datagram pair carries the same 16 bytes."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setblocking(False)
    bus = CanSocket("can0", opener=lambda _: near)
    got: list[tuple[int, bytes]] = []
    bus.subscribe(lambda frame_id, data, _: got.append((frame_id, data)))
    with far:
        async with running(bus.run) as task:
            bus.send(0x02A43FF0, b"\x10\x02", extended=True)
            bus.send(0x109, b"")
            assert far.recv(64) == can_frame(0x82A43FF0, b"\x10\x02")
            assert far.recv(64) == can_frame(0x109, b"")
            far.send(can_frame(0x102, bytes(range(8))))
            far.send(can_frame(0x8000_0000 | 0x02A3F000, b"\x01", length=200))
            far.send(can_frame(0x4000_0102, b""))  # remote: not for us
            far.send(b"short")
            await until(lambda: len(got) == 2)
            assert got[0] == (0x102, bytes(range(8)))
            assert got[1] == (0x02A3F000, b"\x01" + bytes(7))
            far.send(can_frame(0x2000_0040, b""))
            with pytest.raises(BridgeError, match="bus-off"):
                await asyncio.wait_for(asyncio.shield(task), 2)
    with pytest.raises(BridgeError, match="not open"):
        bus.send(0x100, b"")


@pytest.mark.asyncio
async def test_socketcan_full_queue_is_an_error_not_a_wait() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setblocking(False)
    bus = CanSocket("can0", opener=lambda _: near)
    with far:
        async with running(bus.run) as task:

            def flood() -> None:
                for _ in range(100_000):
                    bus.send(0x100, bytes(8))

            with pytest.raises(BridgeError, match="queue full"):
                flood()
            assert not task.done()  # full is not lost


@pytest.mark.asyncio
async def test_socketcan_interface_down() -> None:
    def no_such_interface(name: str) -> socket.socket:
        raise OSError(19, "No such device")

    with pytest.raises(BridgeError, match="can7: cannot open"):
        await CanSocket("can7", opener=no_such_interface).run()


class Multicast:
    """python-can's UDP bus without the network: a pair of sockets and a script."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.messages: list[can.Message] = []
        self.sent: list[can.Message] = []
        self.broken = False
        self.closed = False

    def fileno(self) -> int:
        return self.near.fileno()

    def arrive(self, message: can.Message) -> None:
        self.messages.append(message)
        self.far.send(b"!")

    def recv(self, timeout: float) -> can.Message | None:
        assert timeout == 0
        if self.broken:
            raise can.CanOperationError("no network")
        with contextlib.suppress(BlockingIOError):
            self.near.recv(64)
        return self.messages.pop(0) if self.messages else None

    def send(self, message: can.Message, timeout: float) -> None:
        assert timeout <= 0.001
        if self.broken:
            raise can.CanOperationError("no network")
        self.sent.append(message)

    def shutdown(self) -> None:
        self.near.close()
        self.far.close()
        self.closed = True


@pytest.mark.asyncio
async def test_udp_multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the real network: the group's frames would leave the machine."""
    fake = Multicast()
    monkeypatch.setattr(can, "Bus", lambda **_: fake)
    bus = UdpCan("239.74.163.2")
    got: list[tuple[int, bytes]] = []
    bus.subscribe(lambda frame_id, data, _: got.append((frame_id, data)))
    with pytest.raises(BridgeError, match="not open"):
        bus.send(0x100, b"")
    async with running(bus.run) as task:
        bus.send(0x02A43FF0, b"\x10\x02", extended=True)
        assert (fake.sent[0].arbitration_id, fake.sent[0].is_extended_id) == (
            0x02A43FF0,
            True,
        )
        fd = can.Message(arbitration_id=1, data=bytes(12), is_fd=True)
        fake.arrive(fd)
        fake.arrive(
            can.Message(arbitration_id=0x102, data=b"\x01", is_extended_id=False)
        )
        await until(lambda: got)
        assert got == [(0x102, b"\x01")]
        fake.broken = True
        with pytest.raises(BridgeError, match="no network"):
            bus.send(0x100, b"")
        fake.far.send(b"!")
        with pytest.raises(BridgeError, match="no network"):
            await asyncio.wait_for(asyncio.shield(task), 2)
    assert fake.closed
