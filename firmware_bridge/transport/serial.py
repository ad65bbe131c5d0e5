"""A serial line on the event loop: pyserial sets it up, the loop moves the bytes.

Never blocks: reads and writes are non-blocking, what does not fit waits in a bounded
buffer, and is thrown away with the line when it gets old: nobody obeys stale orders.
`run` opens once and raises when the line dies; its caller opens it again.
"""

from __future__ import annotations

import asyncio
import os
import termios
import time
from collections.abc import Callable

import serial

from firmware_bridge.transport.address import SerialAddress
from firmware_bridge.units import BridgeError

READ_BYTES = 4096
PENDING_BYTES = 4096  # more waiting than this: the far end does not read
STALL_S = 0.1  # bytes waiting longer than this are old orders: they are thrown away


def settable_parity(address: SerialAddress) -> str:
    """The parity to ask the kernel for. A pseudo-terminal carries bytes, not bits, and
    refuses parity (EINVAL from tcsetattr), so there it is N."""
    real = os.path.realpath(address.path)
    return "N" if real.startswith("/dev/pts/") else address.parity


class SerialLine:
    """`api.SerialPort`. `on_open` is called each time the line has just been opened."""

    def __init__(
        self,
        address: SerialAddress,
        clock: Callable[[], float] = time.monotonic,
        on_open: Callable[[], None] | None = None,
    ) -> None:
        self._address = address
        self._clock = clock
        self._on_open = on_open
        self._listeners: list[Callable[[bytes, float], None]] = []
        self._fd = -1
        self._pending = bytearray()
        self._pending_mono = 0.0  # since when anything has been waiting
        self._lost: asyncio.Future[None] | None = None

    def subscribe(self, listener: Callable[[bytes, float], None]) -> None:
        self._listeners.append(listener)

    def send(self, data: bytes) -> None:
        """Write now, or queue what does not fit. BridgeError: not open, queue full."""
        if self._fd < 0:
            raise BridgeError(f"{self._address.path}: not open")
        now = self._clock()
        if self._pending and now - self._pending_mono > STALL_S:
            self._fail("far end stalled")
            raise BridgeError(f"{self._address.path}: far end stalled")
        if len(self._pending) + len(data) > PENDING_BYTES:
            raise BridgeError(f"{self._address.path}: send queue full, far end stalled")
        written = 0 if self._pending else self._write(data)
        if written < len(data):
            if not self._pending:
                self._pending_mono = now
                asyncio.get_running_loop().add_writer(self._fd, self._on_writable)
            self._pending += data[written:]

    async def run(self) -> None:
        """Open, move bytes, and raise BridgeError when the line is lost."""
        loop = asyncio.get_running_loop()
        port = self._open()
        lost = self._lost = loop.create_future()
        self._fd = port.fileno()
        loop.add_reader(self._fd, self._on_readable)
        try:
            if self._on_open is not None:
                self._on_open()
            await lost
        finally:
            loop.remove_reader(self._fd)
            loop.remove_writer(self._fd)
            self._fd = -1
            self._pending.clear()
            _discard(port)
            port.close()

    def _open(self) -> serial.Serial:
        address = self._address
        try:
            return serial.Serial(
                address.path,
                address.baud,
                parity=settable_parity(address),
                stopbits=address.stop_bits,
                timeout=0,
                write_timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:
            raise BridgeError(f"{address.path}: cannot open: {error}") from error

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(str(error))
            return
        if not data:
            self._fail("closed by the far end")
            return
        now = self._clock()
        for listener in self._listeners:
            listener(data, now)

    def _on_writable(self) -> None:
        try:
            del self._pending[: self._write(bytes(self._pending))]
        except BridgeError:
            return  # _fail has told run()
        if not self._pending:
            asyncio.get_running_loop().remove_writer(self._fd)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(str(error))
            raise BridgeError(f"{self._address.path}: {error}") from error

    def _fail(self, why: str) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(BridgeError(f"{self._address.path}: lost: {why}"))


def _discard(port: serial.Serial) -> None:
    """Drop unsent bytes: stale orders, and close() would wait for them up to 30 s."""
    try:
        port.reset_output_buffer()
    except (OSError, termios.error):
        return  # the line is gone, and its buffer with it
