"""Pseudo-terminals that stand for serial lines, paced like the real ones.

A link in the bench folder leads to the slave end; the rig keeps that end open too, so
that a daemon may come and go. Must never block: what does not fit is dropped, counted.
"""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic

SPEEDS = {
    9600: termios.B9600,
    19_200: termios.B19200,
    115_200: termios.B115200,
}
WireLogger = Callable[[str, str, bytes], None]  # wire, "<" from the daemon or ">", data


class Pty:
    """One serial line. `on_data(data, at_mono)` gets bytes as their last bit arrives.

    `baud` 0 is a USB adapter without character time. A host that sets another speed
    than the line's gets, and sends, garbage.
    """

    def __init__(
        self,
        path: Path,
        on_data: Callable[[bytes, float], None],
        *,
        baud: int = 0,
        bits_per_char: int = 10,
        log: WireLogger | None = None,
    ) -> None:
        self.path = path
        self.dropped_bytes = 0
        self._on_data = on_data
        self._log = log
        self._char_s = bits_per_char / baud if baud else 0.0
        self._speed = SPEEDS.get(baud)
        self._loop = asyncio.get_running_loop()
        self._tx_free = self._rx_free = 0.0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        if self._speed is not None:
            mode = termios.tcgetattr(self._slave)
            mode[4] = mode[5] = self._speed
            termios.tcsetattr(self._slave, termios.TCSANOW, mode)
        os.set_blocking(self._master, False)
        self._loop.add_reader(self._master, self._readable)
        link(path, Path(os.ttyname(self._slave)))

    @property
    def garbled(self) -> bool:
        """The host set another speed than the line's."""
        if self._speed is None:
            return False
        return bool(termios.tcgetattr(self._slave)[5] != self._speed)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            return
        now = monotonic()
        if self._log is not None:
            self._log(self.path.name, "<", data)
        if self.garbled:
            data = bytes(byte ^ 0x5A for byte in data)
        if not self._char_s:
            self._on_data(data, now)
            return
        self._rx_free = max(now, self._rx_free) + len(data) * self._char_s
        arrival = self._rx_free
        self._loop.call_later(arrival - now, self._on_data, data, arrival)

    def send(self, chunks: Iterable[tuple[float, bytes]]) -> None:
        """Put (delay in s, bytes) on the line, in order, at the line's pace."""
        now = monotonic()
        for delay_s, data in chunks:
            if not data:
                continue
            start = max(now + delay_s, self._tx_free)
            self._tx_free = start + len(data) * self._char_s
            if self._tx_free <= now:
                self._write(data)
            else:
                self._loop.call_later(self._tx_free - now, self._write, data)

    def _write(self, data: bytes) -> None:
        if self._master < 0:
            return
        if self.garbled:
            data = bytes(byte ^ 0x5A for byte in data)
        try:
            done = os.write(self._master, data)
        except OSError:  # the buffer is full: nobody reads
            done = 0
        self.dropped_bytes += len(data) - done
        if self._log is not None:
            self._log(self.path.name, ">", data)

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        self.path.unlink(missing_ok=True)
        for handle in (self._master, self._slave):
            os.close(handle)
        self._master = self._slave = -1


def link(path: Path, target: Path) -> None:
    """Make `path` a link to `target`, replacing what a dead rig left."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)
