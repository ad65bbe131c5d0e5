"""The SECC's shell: SDP, TCP and TLS on one interface, one session per connector.

Owns sockets and time, decides nothing: bytes go to `secc/connection.py`. Listens on the
link-local address of its interface only; an address that is late, goes or comes back is
a state. Peers beyond the caps, strangers and the silent are turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import struct
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from chargerd.clock import Clock
from chargerd.model import VehicleOffer, VehicleState
from chargerd.vehicle.iso15118 import sap, sdp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.secc.connection import Connection, MakeSession
from chargerd.vehicle.iso15118.secc.flow import Session
from chargerd.vehicle.iso15118.tls import is_mutual_1_3
from firmware_bridge.api import PilotState

log = structlog.get_logger(__name__)

MAX_PEERS = 4  # sockets of peers that have no session yet
READ_BYTES = 4096
HANDSHAKE_S = 10.0
WRITE_S = 5.0
LOOK_S = 1.0  # how often the interface's address is looked for
IDLE_S = 0.5  # the longest pause between two looks at a session's timers
_IF_INET6 = Path("/proc/net/if_inet6")
_LINK_SCOPE = "20"
_PLUGGED = (PilotState.B, PilotState.C, PilotState.D)


def link_local(interface: str) -> ipaddress.IPv6Address | None:
    """The interface's link-local address; None while it has none that is ready."""
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        address, _, _, scope, flags, name = line.split()
        tentative = int(flags, 16) & 0x40
        if name == interface and scope == _LINK_SCOPE and not tentative:
            return ipaddress.IPv6Address(bytes.fromhex(address))
    return None


class SeccDoor:
    """`model.VehicleDoor` over ISO 15118. `offer` and `state` never wait."""

    def __init__(
        self,
        interface: str,
        protocols: Collection[sap.Protocol],
        make_session: MakeSession,
        clock: Clock,
        *,
        tls: ssl.SSLContext | None = None,
        plain: bool = True,
        address_of: Callable[[str], ipaddress.IPv6Address | None] = link_local,
    ) -> None:
        """`plain`: whether DIN and ISO 15118-2 EIM may run without TLS.

        V2gError: neither TLS nor plain.
        """
        if tls is None and not plain:
            raise V2gError("neither TLS nor plain TCP may be offered: nothing to serve")
        self._interface = interface
        self._protocols = tuple(protocols)
        self._make_session = make_session
        self._clock = clock
        self._tls, self._plain = tls, plain
        self._address_of = address_of
        self._active: Connection | None = None
        self._changed = asyncio.Event()
        self._peers = 0
        self._plugged = False
        self._last = VehicleState()
        self._offer = VehicleOffer(at_mono=float("-inf"))
        self.refused = 0

    # -- the heart's side --------------------------------------------------------

    def offer(self, offer: VehicleOffer) -> None:
        """The station's word of this tick; an unplug ends the session at once."""
        now_mono = self._clock.now().mono
        pilot = offer.telemetry.pilot
        plugged = pilot is not None and pilot.value.pilot_state in _PLUGGED
        self._offer = offer
        active = self._active
        if active is not None:
            active.command(offer, now_mono)
            if self._plugged and not plugged:
                active.unplugged(now_mono)
            self._changed.set()
        if not plugged:
            self._last = VehicleState()
        self._plugged = plugged

    def state(self) -> VehicleState:
        """The session's; after its connection has gone, its last word until unplug."""
        return self._active.state() if self._active else self._last

    # -- listening ---------------------------------------------------------------

    async def run(self) -> None:
        """Serve whenever the interface has a link-local address, until cancelled."""
        known: ipaddress.IPv6Address | None = None
        while True:
            address = self._address_of(self._interface)
            if address is None:
                if known is not None:
                    log.warning("v2g_no_address", interface=self._interface)
                known = None
                await asyncio.sleep(LOOK_S)
                continue
            known = address
            try:
                await self._serve(address)
            except OSError as error:  # the interface went away under us
                log.warning("v2g_down", interface=self._interface, why=str(error))
                await asyncio.sleep(LOOK_S)

    async def _serve(self, address: ipaddress.IPv6Address) -> None:
        """Until the address is gone or another."""
        async with contextlib.AsyncExitStack() as stack:
            tls_port = plain_port = None
            if self._tls is not None:
                tls_port = await self._listen(stack, address, self._tls)
            if self._plain:
                plain_port = await self._listen(stack, address, None)
            station = sdp.Station(address, tls_port, plain_port)
            index = socket.if_nametoindex(self._interface)
            transport = await self._sdp(station, index)
            stack.callback(transport.close)
            log.info(
                "v2g_serves", interface=self._interface, tls=tls_port, plain=plain_port
            )
            await self._while_there(address)

    async def _while_there(self, address: ipaddress.IPv6Address) -> None:
        """The kernel tells of lost addresses by netlink only; looking is enough."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._address_of(self._interface) != address:
                return

    async def _listen(
        self,
        stack: contextlib.AsyncExitStack,
        address: ipaddress.IPv6Address,
        tls: ssl.SSLContext | None,
    ) -> int:
        """A listener on a port that SDP may name."""
        scoped = f"{address}%{self._interface}"
        for port in range(sdp.PORT_MIN, sdp.PORT_MIN + 64):
            try:
                server = await asyncio.start_server(
                    self._peer,
                    scoped,
                    port,
                    ssl=tls,
                    ssl_handshake_timeout=HANDSHAKE_S if tls else None,
                    backlog=MAX_PEERS,
                )
            except OSError:
                continue
            stack.callback(server.close)
            return port
        raise OSError(f"no free port from {sdp.PORT_MIN} on at {scoped}")

    async def _sdp(self, station: sdp.Station, index: int) -> asyncio.DatagramTransport:
        """Answers on UDP 15118 of this interface only."""
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            group = socket.inet_pton(socket.AF_INET6, sdp.MULTICAST_GROUP)
            membership = group + struct.pack("@I", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
            sock.bind(("::", sdp.UDP_PORT, 0, index))
        except OSError:
            sock.close()
            raise
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Sdp(station, index), sock=sock
        )
        return transport

    # -- one peer ----------------------------------------------------------------

    async def _peer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._peers >= MAX_PEERS:
            self.refused += 1
            writer.transport.abort()
            return
        self._peers += 1
        try:
            await self._talk(reader, writer)
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.info("v2g_peer_gone", why=str(error)[:200])
        finally:
            self._peers -= 1
            writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        mutual = is_mutual_1_3(writer.get_extra_info("ssl_object"))

        def make(protocol: sap.Protocol, now_mono: float) -> Session:
            if self._active is not None:
                raise V2gError("another vehicle's session runs on this connector")
            self._active = connection
            session = self._make_session(protocol, now_mono)
            session.command(self._offer, now_mono)
            return session

        now_mono = self._clock.now().mono
        connection = Connection(
            self._protocols, make, mutual_tls_1_3=mutual, now_mono=now_mono
        )
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump(connection, writer))
                while not connection.closing:
                    data = await reader.read(READ_BYTES)
                    if not data:
                        break
                    connection.receive(data, self._clock.now().mono)
                    self._changed.set()
                pump.cancel()
            await self._flush(connection, writer)
        except* (OSError, TimeoutError, ssl.SSLError) as gone:
            log.info("v2g_link_lost", why=str(gone.exceptions[0])[:200])
        finally:
            connection.disconnected(self._clock.now().mono)
            if self._active is connection:
                self._active, self._last = None, connection.state()
            log.info("v2g_closed", why=connection.why, late=connection.margins.late)

    async def _pump(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        """Answers and timers, until the connection closes."""
        while not connection.closing:
            self._changed.clear()
            connection.on_timer(self._clock.now().mono)
            await self._flush(connection, writer)
            due_mono = connection.next_timer()
            wait_s = IDLE_S
            if due_mono is not None:
                wait_s = min(IDLE_S, max(0.001, due_mono - self._clock.now().mono))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        await self._flush(connection, writer)
        writer.transport.abort()  # ends the read of a peer that stays silent

    async def _flush(
        self, connection: Connection, writer: asyncio.StreamWriter
    ) -> None:
        data = connection.to_send(self._clock.now().mono)
        if data:
            writer.write(data)
            async with asyncio.timeout(WRITE_S):
                await writer.drain()


class _Sdp(asyncio.DatagramProtocol):
    """Answers each good request from the port that was asked."""

    def __init__(self, station: sdp.Station, index: int) -> None:
        self._station, self._index = station, index
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.DatagramTransport):
            self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        host, scope = str(addr[0]).partition("%")[0], addr[3] if len(addr) > 3 else 0
        if self._transport is None or scope != self._index:
            return
        with contextlib.suppress(V2gError):  # "stay silent"
            self._transport.sendto(sdp.answer(data, host, self._station), addr)

    def error_received(self, exc: Exception) -> None:
        log.info("sdp_error", why=str(exc))
