"""The S2 door's shell: the WebSocket to the customer energy manager.

Must never wait for the CEM on a tick of the heart. With the socket goes what was asked.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from chargerd.config import Config
from chargerd.config_grid_servers import S2
from chargerd.grid.errors import GridError
from chargerd.grid.peers import Rate
from chargerd.grid.ports import GridDoor, Ports
from chargerd.grid.s2 import Manager
from chargerd.grid.trust import trust
from chargerd.model import EvseReport

log = structlog.get_logger(__name__)

TICK_S = 0.2
MESSAGE_MAX = 65_536
OPEN_S, PING_S = 10.0, 10.0  # a dead socket is found in 20 s
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
SEND_S = 5.0


class S2Door:
    """`[grid.s2]`."""

    name = "s2"

    def __init__(
        self,
        manager: Manager,
        config: S2,
        context: ssl.SSLContext | None,
        ports: Ports,
    ) -> None:
        self._manager, self._config = manager, config
        self._context, self._ports = context, ports
        self._connected = False
        self._problem = ""

    async def run(self) -> None:
        """Until cancelled; each failure waits longer, up to a minute."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                if await self._session():
                    wait_s = FIRST_WAIT_S
            except (OSError, TimeoutError, WebSocketException) as error:
                self._count(error)
            finally:
                self._connected = False
                self._manager.end(self._ports.now())
                self.follow()
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2.0 * wait_s)

    def _count(self, error: Exception) -> None:
        self._problem = str(error)[:300]
        refused = self._manager.refused
        refused["connection"] += 1
        if refused["connection"] % 100 == 1:
            log.warning("s2_failed", why=self._problem)

    async def _session(self) -> bool:
        """One socket's life; True if the CEM has said anything."""
        token = self._config.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with connect(
            self._config.url,
            ssl=self._context,
            additional_headers=headers,
            compression=None,
            proxy=None,
            max_size=MESSAGE_MAX,
            max_queue=16,
            open_timeout=OPEN_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=2.0,
        ) as socket:
            self._connected, self._problem = True, ""
            log.info("s2_up", url=self._config.url)
            self._manager.begin(self._ports.now())
            return await self._converse(socket)

    async def _converse(self, socket: ClientConnection) -> bool:
        rate = Rate(self._config.messages_per_s)
        heard = False
        with suppress(ConnectionClosed):
            while not self._manager.over:
                self.follow()
                await self._flush(socket)
                try:
                    async with asyncio.timeout(TICK_S):
                        text = await socket.recv()
                except TimeoutError:
                    continue
                heard = True
                now = self._ports.now()
                if not rate.take("cem", now.mono):
                    self._manager.refused["flood"] += 1
                    socket.transport.abort()  # a flood gets no goodbye: that waits long
                    return heard
                self._manager.receive(text if isinstance(text, str) else "", now)
            await self._flush(socket)
        return heard

    async def _flush(self, socket: ClientConnection) -> None:
        texts = list(self._manager.to_send)
        self._manager.to_send.clear()
        async with asyncio.timeout(SEND_S):
            for text in texts:
                await socket.send(text)

    def follow(self) -> None:
        """What the CEM wants now."""
        for signal in self._manager.tick(self._ports.now()):
            if not self._ports.signal(signal):
                self._manager.refused["heart"] += 1

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._manager.report(report)

    def status(self) -> dict[str, Any]:
        """For people."""
        own = {"connected": self._connected, "problem": self._problem}
        return {**own, **self._manager.status()}


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    asked = config.grid.s2
    if asked is None:
        raise GridError("grid.s2: not configured")
    evse = next((evse for evse in config.evse if evse.id == asked.evse), None)
    if evse is None:
        raise GridError(f"grid.s2.evse: there is no EVSE {asked.evse}")
    context = None
    if urlsplit(asked.url).scheme == "wss":
        context = trust("grid.s2", asked.ca, asked.certificate, asked.key)
    manager = Manager(asked, config.station.id, evse, uuid4)
    return S2Door(manager, asked, context, ports)
