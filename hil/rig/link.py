"""The TCP link between the daemon and its central system, which the rig can break.

Forwards bytes unread. `cut` resets every connection and refuses new ones; `freeze`
stops the flow while the connections stay up, as when packets vanish.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from typing import Any

from hil.rig.bench import Address
from hil.rig.faults import Faults, RigError
from hil.rig.peers import Peers

CHUNK = 16_384
CONNECT_S = 5.0
KINDS: Mapping[str, str] = {
    "delay": "every chunk arrives `ms` later (default 200)",
    "throttle": "at most `bytes_per_s` (default 2000) each way",
}


class CsmsLink:
    """One listening address, forwarded to one upstream."""

    def __init__(self, listen: Address, upstream: Address) -> None:
        self.listen = listen
        self.upstream = upstream
        self.faults = Faults("csms-link", KINDS)
        self.accepted = 0
        self.cut_count = 0
        self.up = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._peers = Peers()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, self.listen.host, self.listen.port
            )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._flowing.set()
        self._reset_all()
        await self._peers.end()

    async def set(self, up: bool, how: str) -> dict[str, Any]:
        """The `ws` verb: what it did, as an answer."""
        if how not in ("cut", "freeze"):
            raise RigError(f"ws: how={how!r} unknown; use cut or freeze")
        connected = len(self._pairs)
        cut = 0
        if up:
            self._flowing.set()
            await self.start()
        elif how == "freeze":
            self._flowing.clear()
        else:
            if self._server is not None:
                self._server.close()
                self._server = None
            cut = self._reset_all()
        self.up = up
        self.cut_count += cut
        answer: dict[str, Any] = {"up": up, "connections": connected, "cut": cut}
        if not self.accepted or not (up or connected):
            answer["note"] = (
                f"nobody is connected through {self.listen.host}:{self.listen.port};"
                " is the daemon's [ocpp] url pointing there?"
            )
        return answer

    def state(self) -> dict[str, Any]:
        return {
            "up": self.up,
            "frozen": not self._flowing.is_set(),
            "connections": len(self._pairs),
            "accepted": self.accepted,
            "cut": self.cut_count,
            "listen": f"{self.listen.host}:{self.listen.port}",
            "upstream": f"{self.upstream.host}:{self.upstream.port}",
        }

    def _reset_all(self) -> int:
        pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for writer in pair:
                _reset(writer)
        return len(pairs)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        with self._peers.serving(writer):
            try:
                async with asyncio.timeout(CONNECT_S):
                    far_reader, far_writer = await asyncio.open_connection(
                        self.upstream.host, self.upstream.port
                    )
            except (OSError, TimeoutError):
                _reset(writer)
                return
            pair = (writer, far_writer)
            if self._server is None:  # cut while we were connecting
                _reset(writer)
                _reset(far_writer)
                return
            self._pairs.add(pair)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, far_writer))
                    group.create_task(self._pump(far_reader, writer))
            finally:
                self._pairs.discard(pair)
                far_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Forward until either side ends; errors of a broken link end it quietly."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if "delay" in self.faults:
                    await asyncio.sleep(self.faults.number("delay", "ms", 200) / 1000)
                if "throttle" in self.faults:
                    rate = self.faults.number("throttle", "bytes_per_s", 2000.0)
                    await asyncio.sleep(len(data) / max(rate, 1.0))
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a cut cable looks to a kernel that probes it."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
