"""The ECHONET Lite door's shell: the node on UDP.

One socket for what is meant for us, one for the multicast group. Answers go to the
node port of who asked, as the specification has it, wherever the question came from.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address
from typing import Any

import structlog

from chargerd.config import Config
from chargerd.grid.echonet import Node, Out, Work
from chargerd.grid.echonet_objects import GARAGE, Charger, Profile
from chargerd.grid.errors import GridError
from chargerd.grid.ports import GridDoor, Ports
from chargerd.model import EvseReport

log = structlog.get_logger(__name__)

GROUP = "224.0.23.0"
TICK_S = 0.5
NAMESPACE = "grid.echonet"
_IP_MULTICAST_ALL = 49  # Linux; the socket module does not name it


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, door: EchonetDoor) -> None:
        self._door = door

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._door.received(data, addr[0])

    def error_received(self, exc: Exception) -> None:
        """A host that is gone: its answer is lost, as datagrams may be."""
        self._door.lost += 1


class EchonetDoor:
    """`[grid.echonet]`."""

    name = "echonet"

    def __init__(
        self,
        node: Node,
        chargers: tuple[Charger, ...],
        address: tuple[IPv4Address, int],
        ports: Ports,
    ) -> None:
        self._node, self._chargers, self._ports = node, chargers, ports
        self._address, self._port = address
        self._out: asyncio.DatagramTransport | None = None
        self._places = {charger.evse_id: charger.place for charger in chargers}
        self.lost = 0

    async def run(self) -> None:
        """Until cancelled; a network that is not there raises GridError."""
        loop = asyncio.get_running_loop()
        opened: list[asyncio.DatagramTransport] = []
        try:
            for make in (_socket, _group_socket):
                try:
                    made = make(self._address, self._port)
                except OSError as error:
                    raise GridError(
                        f"grid.echonet: {self._address}:{self._port}: {error.strerror}"
                        "; is the network up, and address this machine's own there?"
                    ) from error
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Ear(self), sock=made
                )
                opened.append(transport)
            self._out = opened[0]
            log.info("echonet_up", address=str(self._address), port=self._port)
            self._send(self._node.greet())
            while True:
                await asyncio.sleep(TICK_S)
                self._work(self._node.tick(self._ports.now().mono))
        finally:
            self._out = None
            for transport in opened:
                transport.close()

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._send(self._node.report(report))

    def status(self) -> dict[str, Any]:
        """For people."""
        up = self._out is not None
        return {"listening": up, "lost": self.lost, **self._node.status()}

    def received(self, data: bytes, host: str) -> None:
        """One datagram."""
        self._work(self._node.receive(data, host, self._ports.now().mono))
        for charger in self._chargers:
            if self._places[charger.evse_id] != charger.place:
                self._places[charger.evse_id] = charger.place
                key = f"place.{charger.evse_id}"
                self._ports.save(NAMESPACE, key, charger.place)

    def _work(self, work: Work) -> None:
        for signal in work.signals:
            if not self._ports.signal(signal):
                self._node.refused["heart"] += 1
        self._send(work.outs)

    def _send(self, outs: list[Out]) -> None:
        for out in outs:
            if self._out is not None:
                self._out.sendto(out.data, (out.host or GROUP, self._port))


def _socket(address: IPv4Address, port: int) -> socket.socket:
    """For what is sent to us alone, and for all that we send."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address.packed)
        made.bind((str(address), port))
    except OSError:
        made.close()
        raise
    return made


def _group_socket(address: IPv4Address, port: int) -> socket.socket:
    """For what is sent to every node."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    member = socket.inet_aton(GROUP) + address.packed
    try:
        made.bind((GROUP, port))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError:
        made.close()
        raise
    return made


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    asked = config.grid.echonet
    if asked is None:
        raise GridError("grid.echonet: not configured")
    saved = ports.saved.get(NAMESPACE, {})
    chargers = tuple(
        Charger(
            evse,
            config.station,
            asked.manufacturer,
            config.vehicle.promise.floor_soc_pct,
            _place(saved.get(f"place.{evse.id}")),
        )
        for evse in config.evse
    )
    profile = Profile(config.station, asked.manufacturer, chargers)
    node = Node(asked, profile, chargers)
    return EchonetDoor(node, chargers, (asked.address, asked.port), ports)


def _place(saved: Any) -> int:
    """What was kept, if it still is a place code."""
    return saved if type(saved) is int and 0 <= saved < 0xFF else GARAGE
