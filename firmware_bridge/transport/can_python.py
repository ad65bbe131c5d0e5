"""CAN where there is no SocketCAN: slcan adapters and UDP multicast, by python-can.

python-can speaks the slcan language; the port under it is our own serial line, so that
neither its blocking writes (tcdrain) nor its byte-wise polling thread touch the loop.
The only file that imports python-can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import can
import serial
from can.interfaces.slcan import slcanBus

from firmware_bridge.transport.address import CanAddress, SerialAddress
from firmware_bridge.transport.serial import SerialLine
from firmware_bridge.units import BridgeError

LINE_BYTES = 32  # the longest slcan line, T + 8 + 1 + 16 + stamp + CR, is 31
BURST = 64  # frames per wake, so that a flooded bus cannot hold the loop

Listener = Callable[[int, bytes, float], None]


class SlcanCan:
    """`api.CanBus` behind an slcan adapter. `bad` counts refused lines."""

    def __init__(
        self, address: CanAddress, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.bad = 0
        self._address = address
        self._line = SerialLine(
            SerialAddress(address.channel, address.baud), clock, self._on_open
        )
        self._line.subscribe(self._on_bytes)
        self._port = _Port(self._line)
        self._codec = _codec_on(self._port)
        self._listeners: list[Listener] = []
        self._unended = 0  # bytes since the last line end

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def send(self, frame_id: int, data: bytes, *, extended: bool = False) -> None:
        """BridgeError: not open, queue full. Never waits."""
        if len(data) > 8:
            raise BridgeError(f"{self._address.channel}: {len(data)} bytes, at most 8")
        try:
            self._codec.send(_message(frame_id, data, extended))
        except can.CanError as error:
            raise BridgeError(f"{self._address.channel}: {error}") from error

    async def run(self) -> None:
        """Open the adapter and its channel; raises BridgeError when it is lost."""
        try:
            await self._line.run()
        except can.CanError as error:
            raise BridgeError(f"{self._address.channel}: {error}") from error

    def _on_open(self) -> None:
        self._codec.flush()
        self._unended = 0
        self._codec.set_bitrate(self._address.bitrate)  # C, S<n>, O

    def _on_bytes(self, data: bytes, at_mono: float) -> None:
        self._port.inbox += data
        end = max(data.rfind(b"\r"), data.rfind(b"\a"))
        self._unended = len(data) - end - 1 + (self._unended if end < 0 else 0)
        while self._port.inbox:
            try:
                message = self._codec.recv(timeout=0)
            except (ValueError, IndexError, can.CanError):
                self._refuse()
                return
            if message is not None:
                self._deliver(message, at_mono)
        if self._unended > LINE_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        """Drop what was received; the next line end starts anew."""
        self.bad += 1
        self._codec.flush()
        self._unended = 0

    def _deliver(self, message: can.Message, at_mono: float) -> None:
        if not _is_plain(message):
            self.bad += 1
            return
        for listener in self._listeners:
            listener(message.arbitration_id, bytes(message.data), at_mono)


class UdpCan:
    """`api.CanBus` on python-can's UDP multicast, for desks without CAN hardware."""

    def __init__(self, group: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._group = group
        self._clock = clock
        self._bus: can.BusABC | None = None
        self._listeners: list[Listener] = []
        self._lost: asyncio.Future[None] | None = None

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def send(self, frame_id: int, data: bytes, *, extended: bool = False) -> None:
        if self._bus is None:
            raise BridgeError(f"udp {self._group}: not open")
        try:
            self._bus.send(_message(frame_id, data, extended), timeout=0.001)
        except can.CanError as error:
            raise BridgeError(f"udp {self._group}: {error}") from error

    async def run(self) -> None:
        """Join the group, deliver frames, raise BridgeError when it fails."""
        loop = asyncio.get_running_loop()
        try:
            bus = can.Bus(interface="udp_multicast", channel=self._group, fd=False)
        except (can.CanError, OSError) as error:
            raise BridgeError(f"udp {self._group}: cannot open: {error}") from error
        lost = self._lost = loop.create_future()
        self._bus = bus
        loop.add_reader(bus.fileno(), self._on_readable)
        try:
            await lost
        finally:
            loop.remove_reader(bus.fileno())
            self._bus = None
            bus.shutdown()

    def _on_readable(self) -> None:
        for _ in range(BURST):
            if self._bus is None or self._lost is None or self._lost.done():
                return
            try:
                message = self._bus.recv(timeout=0)
            except can.CanError as error:
                asyncio.get_running_loop().remove_reader(self._bus.fileno())
                self._lost.set_exception(BridgeError(f"udp {self._group}: {error}"))
                return
            if message is None:
                return
            if _is_plain(message):
                now = self._clock()
                for listener in self._listeners:
                    listener(message.arbitration_id, bytes(message.data), now)


class _Port:
    """The file-like object slcanBus writes to and reads from: never waits."""

    write_timeout: float | None = None

    def __init__(self, line: SerialLine) -> None:
        self.inbox = bytearray()
        self._line = line

    @property
    def in_waiting(self) -> int:
        return len(self.inbox)

    def read(self, size: int = 1) -> bytes:
        data = bytes(self.inbox[:size])
        del self.inbox[:size]
        return data

    def write(self, data: bytes) -> int:
        self._line.send(data)
        return len(data)

    def flush(self) -> None:
        """Nothing to do: the loop empties the line's buffer."""

    def reset_input_buffer(self) -> None:
        self.inbox.clear()


def _codec_on(port: _Port) -> slcanBus:
    """A slcanBus whose port is ours; it is made on loop://, which is only memory."""
    codec = slcanBus("loop://", sleep_after_open=0)
    codec.shutdown()
    codec.serialPortOrig = cast(serial.Serial, port)
    return codec


def _message(frame_id: int, data: bytes, extended: bool) -> can.Message:
    return can.Message(arbitration_id=frame_id, data=data, is_extended_id=extended)


def _is_plain(message: can.Message) -> bool:
    """A classic data frame whose parts agree with each other."""
    highest = 0x1FFF_FFFF if message.is_extended_id else 0x7FF
    return (
        not message.is_fd
        and not message.is_remote_frame
        and not message.is_error_frame
        and message.arbitration_id <= highest
        and len(message.data) == message.dlc <= 8
    )
