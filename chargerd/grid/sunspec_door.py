"""The SunSpec door's shell: the server on TCP, few connections, each at its pace.

A command is followed in the call that reads it. Whoever asks too fast waits; the daemon
does not.
"""

from __future__ import annotations

import asyncio
import os
from ipaddress import IPv4Address
from typing import Any

import structlog

from chargerd.config import Config
from chargerd.config_grid import Sunspec
from chargerd.grid.errors import GridError
from chargerd.grid.peers import Rate, within
from chargerd.grid.ports import GridDoor, Ports
from chargerd.grid.sunspec import Server
from chargerd.grid.sunspec_modbus import Stream
from chargerd.model import DispatchSignal, EvseReport

log = structlog.get_logger(__name__)

TICK_S = 0.2
PAUSE_S = 0.25  # of a host beyond its rate, before it is heard again
SEND_S = 5.0  # who does not take its answers is left
CHUNK_BYTES = 512  # at most 42 requests in one go


class SunspecDoor:
    """`[grid.sunspec]`."""

    name = "sunspec"

    def __init__(self, server: Server, config: Sunspec, ports: Ports) -> None:
        self._server, self._config, self._ports = server, config, ports
        self._rate = Rate(config.requests_per_s)
        self._peers: asyncio.TaskGroup | None = None
        self._open = 0
        self.port = 0  # where it listens; 0 = not yet

    async def run(self) -> None:
        """Until cancelled; an address that is taken raises GridError."""
        host, port = str(self._config.address), self._config.port
        try:
            listening = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise GridError(
                f"grid.sunspec: {host}:{port}: {os.strerror(error.errno or 0)}; is "
                "address this machine's, and the port free (below 1024: allowed)?"
            ) from error
        try:
            async with asyncio.TaskGroup() as self._peers:
                try:
                    self.port = listening.sockets[0].getsockname()[1]
                    log.info(
                        "sunspec_up", address=str(self._config.address), port=self.port
                    )
                    while True:
                        await asyncio.sleep(TICK_S)
                        self._follow(self._server.tick(self._ports.now().mono))
                finally:  # nobody new, then the group leaves its peers
                    listening.close()
        finally:
            self.port = 0

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._server.report(report)

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "listening": bool(self.port),
            "connections": self._open,
            **self._server.status(),
        }

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A task of our group, if it may come in at all."""
        host = IPv4Address(writer.get_extra_info("peername")[0])
        may_write = within(host, self._config.controllers)
        # Those who may only read leave half of the places to those who command.
        places = self._config.connections
        places = places if may_write else max(1, places // 2)
        reason = ""
        if not may_write and not within(host, self._config.readers):
            reason = "unknown host"
        elif self._open >= places:
            reason = "connections"
        if reason or self._peers is None:
            self._server.refused[reason or "closing"] += 1
            writer.transport.abort()
            return
        self._open += 1
        self._peers.create_task(self._serve(reader, writer, str(host), may_write))

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: str,
        may_write: bool,
    ) -> None:
        try:
            await self._converse(reader, writer, host, may_write)
        except GridError:
            self._server.refused["malformed"] += 1
        except (OSError, TimeoutError):
            log.debug("sunspec_peer_left", host=host)
            writer.transport.abort()  # close() keeps the socket of who does not read
        finally:
            self._open -= 1
            writer.close()

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: str,
        may_write: bool,
    ) -> None:
        stream = Stream()
        while True:
            async with asyncio.timeout(self._config.idle_s):
                data = await reader.read(CHUNK_BYTES)
            if not data:
                return
            for request in stream.feed(data):
                now_mono = self._ports.now().mono
                while not self._rate.take(host, now_mono):
                    self._server.refused["flood"] += 1
                    await asyncio.sleep(PAUSE_S)
                    now_mono = self._ports.now().mono
                answer, signals = self._server.serve(
                    request, now_mono, may_write=may_write
                )
                self._follow(signals)
                writer.write(answer)
                await asyncio.sleep(0)  # the heart's turn, between any two
            async with asyncio.timeout(SEND_S):
                await writer.drain()

    def _follow(self, signals: list[DispatchSignal]) -> None:
        for signal in signals:
            if not self._ports.signal(signal):
                self._server.refused["heart"] += 1


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    asked = config.grid.sunspec
    if asked is None:
        raise GridError("grid.sunspec: not configured")
    return SunspecDoor(Server(asked, config.station, config.evse), asked, ports)
