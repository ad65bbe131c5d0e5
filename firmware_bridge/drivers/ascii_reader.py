"""Driver of card readers that send `STX text CR LF`: `api.TokenReader`.

Owns nothing but the framer: bytes are untrusted, tokens are never logged nor counted
with their content, and nothing is sent to the reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firmware_bridge.api import SerialPort
from firmware_bridge.health import Stats
from firmware_bridge.wire.ascii_token import TokenFramer


class AsciiReader:
    """`api.TokenReader` over a serial port."""

    def __init__(
        self,
        port: SerialPort,
        stats: Stats,
    ) -> None:
        self._stats = stats
        self._framer = TokenFramer()
        self._listeners: list[Callable[[str], None]] = []
        port.subscribe(self._on_bytes)

    def subscribe(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    async def run(self) -> None:
        """Nothing to poll: the port calls. Waits until cancelled."""
        await asyncio.get_running_loop().create_future()

    def _on_bytes(self, data: bytes, at_mono: float) -> None:
        bad = self._framer.bad
        for token in self._framer.receive(data):
            self._stats.answered(at_mono)
            for listener in self._listeners:
                listener(token)
        if self._framer.bad > bad:
            self._stats.failed("reader sent a malformed line")
