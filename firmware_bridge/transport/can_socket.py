"""SocketCAN through our own raw socket: 16-byte frames, non-blocking, error frames.

python-can is not used here: its reader swallows bus errors and waits for ever (its
issues 1865, 1912). `run` opens once and raises when the interface goes down or bus-off.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Callable

from firmware_bridge.units import BridgeError

_FRAME = struct.Struct("=IB3x8s")  # linux/can.h struct can_frame
_FILTER = struct.Struct("=II")
EXTENDED = 0x8000_0000
REMOTE = 0x4000_0000
ERROR = 0x2000_0000
RAW_ERROR_FILTER = 2  # linux/can/raw.h CAN_RAW_ERR_FILTER
ERROR_BUS_OFF = 0x0000_0040  # linux/can/error.h
_FULL = (errno.ENOBUFS, errno.EAGAIN)
BURST = 64  # frames per wake, so that a flooded bus cannot hold the loop


def open_socket(interface: str) -> socket.socket:
    """A raw socket that sees data frames and the bus-off error frame."""
    sock = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    try:
        sock.setblocking(False)
        data_frames = _FILTER.pack(0, REMOTE)
        sock.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, data_frames)
        sock.setsockopt(socket.SOL_CAN_RAW, RAW_ERROR_FILTER, ERROR_BUS_OFF)
        sock.bind((interface,))
    except OSError:
        sock.close()
        raise
    return sock


class CanSocket:
    """`api.CanBus` on one interface."""

    def __init__(
        self,
        interface: str,
        clock: Callable[[], float] = time.monotonic,
        opener: Callable[[str], socket.socket] = open_socket,
    ) -> None:
        self._interface = interface
        self._clock = clock
        self._opener = opener
        self._listeners: list[Callable[[int, bytes, float], None]] = []
        self._socket: socket.socket | None = None
        self._lost: asyncio.Future[None] | None = None

    def subscribe(self, listener: Callable[[int, bytes, float], None]) -> None:
        self._listeners.append(listener)

    def send(self, frame_id: int, data: bytes, *, extended: bool = False) -> None:
        """BridgeError: not open, transmit queue full, interface down."""
        if self._socket is None:
            raise BridgeError(f"{self._interface}: not open")
        if len(data) > 8:
            raise BridgeError(f"{self._interface}: {len(data)} bytes, CAN takes 8")
        word = frame_id | EXTENDED if extended else frame_id
        try:
            self._socket.send(_FRAME.pack(word, len(data), data))
        except OSError as error:
            if error.errno in _FULL:
                raise BridgeError(f"{self._interface}: transmit queue full") from error
            self._fail(str(error))
            raise BridgeError(f"{self._interface}: {error}") from error

    async def run(self) -> None:
        """Open, deliver frames, raise BridgeError when the bus is lost."""
        loop = asyncio.get_running_loop()
        try:
            sock = self._opener(self._interface)
        except OSError as error:
            raise BridgeError(f"{self._interface}: cannot open: {error}") from error
        lost = self._lost = loop.create_future()
        self._socket = sock
        loop.add_reader(sock, self._on_readable)
        try:
            await lost
        finally:
            loop.remove_reader(sock)
            self._socket = None
            sock.close()

    def _on_readable(self) -> None:
        for _ in range(BURST):
            if self._socket is None or self._lost is None or self._lost.done():
                return
            try:
                raw = self._socket.recv(_FRAME.size)
            except BlockingIOError:
                return
            except OSError as error:  # ENETDOWN: the interface was taken down
                self._fail(str(error))
                return
            self._receive(raw)

    def _receive(self, raw: bytes) -> None:
        if len(raw) != _FRAME.size:
            return
        word, length, data = _FRAME.unpack(raw)
        if word & ERROR:
            if word & ERROR_BUS_OFF:
                self._fail("bus-off: check wiring, termination and bit rate")
            return
        if word & REMOTE:
            return
        frame_id = word & (0x1FFF_FFFF if word & EXTENDED else 0x7FF)
        now = self._clock()
        for listener in self._listeners:
            listener(frame_id, data[: min(length, 8)], now)

    def _fail(self, why: str) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(BridgeError(f"{self._interface}: lost: {why}"))
