"""The SECC's shell: SDP, TCP and TLS on one interface, one session per connector.

Owns sockets and time, decides nothing: bytes go to `secc/connection.py`. Listens on the
link-local address of its interface only; an address that is late, goes or comes back is
a state. Peers beyond the caps and the silent are turned away.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Collection
from typing import cast

import structlog

from chargerd.clock import Clock
from chargerd.model import VehicleOffer, VehiclePhase, VehicleState
from chargerd.vehicle.iso15118 import sap, sdp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.link import (
    AddressOf,
    Sdp,
    link_address,
    sdp_socket,
    tcp_socket,
)
from chargerd.vehicle.iso15118.secc.connection import Connection
from chargerd.vehicle.iso15118.secc.flow import Session
from chargerd.vehicle.iso15118.secc.sessions import Sessions
from chargerd.vehicle.iso15118.tls import is_mutual_1_3
from firmware_bridge.api import PilotState

log = structlog.get_logger(__name__)

MAX_PEERS = 4  # sockets at once; one more drops the oldest that has no session
HANDSHAKE_S = 10.0
CLOSE_S = 5.0  # for what is still to be sent
UNREAD_MAX_BYTES = 65_536  # answers that a vehicle does not read
LOOK_S = 1.0  # how often the interface's address is looked for
_PLUGGED = (PilotState.B, PilotState.C, PilotState.D)
_OVER = (VehiclePhase.NONE, VehiclePhase.ENDED, VehiclePhase.FAULT)


class SeccDoor:
    """`model.VehicleDoor` over ISO 15118. `offer` and `state` never wait."""

    def __init__(
        self,
        evse_id: int,
        interface: str,
        protocols: Collection[sap.Protocol],
        sessions: Sessions,
        clock: Clock,
        *,
        sdp_port: int = sdp.UDP_PORT,
        tls: ssl.SSLContext | None = None,
        plain: bool = True,
        address_of: AddressOf = link_address,
    ) -> None:
        """`plain`: whether DIN and ISO 15118-2 EIM may run without TLS.

        V2gError: neither TLS nor plain.
        """
        if tls is None and not plain:
            raise V2gError("neither TLS nor plain TCP may be offered: nothing to serve")
        self._log = log.bind(evse_id=evse_id)
        self._interface, self._sdp_port = interface, sdp_port
        self._protocols = tuple(protocols)
        self._sessions = sessions
        self._clock = clock
        self._tls, self._plain = tls, plain
        self._address_of = address_of
        self._peers: dict[_Peer, asyncio.Task[None]] = {}
        self._holder: _Peer | None = None  # who has, or had last, the session
        self._plugged = False
        self._told = VehicleState()  # what the log has
        self._offer = VehicleOffer(at_mono=float("-inf"))
        self.refused = 0

    # -- the heart's side --------------------------------------------------------

    def offer(self, offer: VehicleOffer) -> None:
        """The station's word of this tick; an unplug ends the session at once."""
        self._offer = offer
        self._see_plug(offer)
        if self._holder is not None:
            self._holder.command(offer)
        self._report()

    def state(self) -> VehicleState:
        """The session's; after its connection has gone, until unplug or the next."""
        return self._holder.connection.state() if self._holder else VehicleState()

    def _see_plug(self, offer: VehicleOffer) -> None:
        """E, F and an unread pilot say nothing, so what was known stays."""
        pilot = offer.telemetry.pilot
        state = pilot.value.pilot_state if pilot is not None else PilotState.UNKNOWN
        if state in _PLUGGED:
            self._plugged = True
        elif state is PilotState.A and self._plugged:
            self._plugged = False
            for peer in tuple(self._peers):
                peer.unplugged()
            self._sessions.forget()
            self._holder = None

    def _report(self) -> None:
        """One line a change of phase, with the cause when it ended."""
        state, before = self.state(), self._told
        self._told = state
        if state.phase is before.phase and state.stop_cause == before.stop_cause:
            return
        self._log.info(
            "v2g_phase",
            protocol=state.protocol,
            phase=state.phase.value,
            was=before.phase.value,
            stop_cause=state.stop_cause,
            faults=sorted(state.faults),
            soc_pct=state.soc_pct,
        )

    # -- listening ---------------------------------------------------------------

    async def run(self) -> None:
        """Serve whenever the interface has an address of its own, until cancelled."""
        missing = False
        while True:
            address = self._address_of(self._interface)
            if address is None:
                if not missing:
                    self._log.warning("v2g_no_address", interface=self._interface)
                missing = True
                await asyncio.sleep(LOOK_S)
                continue
            missing = False
            try:
                await self._serve(address)
            except* OSError as errors:  # the interface went away under us
                why = str(errors.exceptions[0])
                self._log.warning("v2g_down", interface=self._interface, why=why)
                await asyncio.sleep(LOOK_S)

    async def _serve(self, address: ipaddress.IPv6Address) -> None:
        """Until the address is gone or another."""
        index = socket.if_nametoindex(self._interface)
        async with asyncio.TaskGroup() as group:
            ports: dict[bool, int] = {}
            tasks: list[asyncio.Task[None]] = []
            for tls in self._services():
                listener = tcp_socket(address, index, MAX_PEERS)
                ports[tls is not None] = int(listener.getsockname()[1])
                tasks.append(group.create_task(self._accept(group, listener, tls)))
            station = sdp.Station(address, ports.get(True), ports.get(False))
            finder = await self._find(station, index)
            self._log.info(
                "v2g_serves",
                interface=self._interface,
                address=str(address),
                sdp_port=self._sdp_port,
                tls_port=station.tls_port,
                plain_port=station.plain_port,
            )
            try:
                await self._while_there(address)
            finally:
                finder.close()
                for task in (*tasks, *self._peers.values()):
                    task.cancel()

    def _services(self) -> list[ssl.SSLContext | None]:
        """What is listened for; None = plain TCP."""
        services: list[ssl.SSLContext | None] = []
        if self._tls is not None:
            services.append(self._tls)
        if self._plain:
            services.append(None)
        return services

    async def _while_there(self, address: ipaddress.IPv6Address) -> None:
        """The kernel tells of lost addresses by netlink only; looking is enough."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._address_of(self._interface) != address:
                return

    async def _find(
        self, station: sdp.Station, index: int
    ) -> asyncio.DatagramTransport:
        """SDP: without a plug there is nobody to be found by."""
        sock = sdp_socket(self._interface, station.address, self._sdp_port, index)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Sdp(station, lambda: self._plugged), sock=sock
        )
        return transport

    async def _accept(
        self,
        group: asyncio.TaskGroup,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Every socket counts from here on, also in its TLS handshake."""
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                sock, _ = await loop.sock_accept(listener)
                if len(self._peers) >= MAX_PEERS and not self._drop_oldest():
                    self.refused += 1
                    sock.close()
                    continue
                peer = _Peer(self, self._clock, self._protocols)
                self._peers[peer] = group.create_task(self._admit(peer, sock, tls))

    def _drop_oldest(self) -> bool:
        """Whoever connects and says nothing keeps nobody out for long."""
        for peer, task in self._peers.items():
            if peer is not self._holder:
                self.refused += 1
                task.cancel()
                del self._peers[peer]
                return True
        return False

    async def _admit(
        self, peer: _Peer, sock: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        """One peer, from its handshake to its end."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: peer,
                sock,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_S if tls else None,
            )
            await peer.gone.wait()
        except (OSError, ssl.SSLError) as error:  # TimeoutError is one
            self._log.info("v2g_no_handshake", why=str(error)[:200])
        finally:
            peer.abort()
            self._peers.pop(peer, None)

    # -- one peer's session --------------------------------------------------------

    def begin(self, peer: _Peer, protocol: sap.Protocol, now_mono: float) -> Session:
        """The session of a peer that agreed on a protocol."""
        holder = self._holder
        if holder is not None and holder is not peer:
            busy = holder.state().phase not in _OVER
            if not holder.gone.is_set() or busy:
                raise V2gError("another session runs on this connector")
        session = self._sessions.make(protocol, now_mono, tls=peer.tls)
        session.command(self._offer, now_mono)
        self._holder = peer
        self._log.info("v2g_session", protocol=protocol.namespace, tls=peer.tls)
        return session

    def ended(self, peer: _Peer) -> None:
        """A peer's connection is gone; its session may still open its contactor."""
        connection = peer.connection
        worst = min(connection.margins.worst_s.values(), default=None)
        self._log.info(
            "v2g_closed",
            why=connection.why or "the vehicle closed it",
            late_answers=connection.margins.late,
            worst_margin_s=worst,
        )
        self._report()


class _Peer(asyncio.Protocol):
    """One connection: bytes to the core and back within one callback."""

    def __init__(
        self, door: SeccDoor, clock: Clock, protocols: Collection[sap.Protocol]
    ) -> None:
        self._door, self._clock = door, clock
        self._protocols = protocols
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()
        self.tls = False

    # -- asyncio's side ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        found = transport.get_extra_info("ssl_object")
        self.tls = found is not None
        self.connection = Connection(
            self._protocols,
            lambda protocol, now_mono: self._door.begin(self, protocol, now_mono),
            mutual_tls_1_3=is_mutual_1_3(found),
            now_mono=self._clock.now().mono,
        )
        self._turn()

    def data_received(self, data: bytes) -> None:
        self.connection.receive(data, self._clock.now().mono)
        self._turn()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.connection.disconnected(self._clock.now().mono)
        self.gone.set()
        self._door.ended(self)

    # -- the door's side -----------------------------------------------------------

    def state(self) -> VehicleState:
        return self.connection.state()

    def command(self, offer: VehicleOffer) -> None:
        """The station's word of this tick; also after the end, to open in order."""
        self.connection.command(offer, self._clock.now().mono)
        if not self.gone.is_set():
            self._turn()

    def unplugged(self) -> None:
        if self._transport is not None and not self.gone.is_set():
            self.connection.unplugged(self._clock.now().mono)
            self._turn()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _turn(self) -> None:
        """Answers that are due go out; the next timer is set."""
        transport, connection = self._transport, self.connection
        if transport is None or transport.is_closing():
            return
        now_mono = self._clock.now().mono
        connection.on_timer(now_mono)
        data = connection.to_send(now_mono)
        if data:
            transport.write(data)
        if transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            transport.abort()
        elif connection.closing:
            transport.close()
            self._wake_at(now_mono + CLOSE_S, now_mono)
        else:
            self._wake_at(connection.next_timer(), now_mono)

    def _wake_at(self, at_mono: float | None, now_mono: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at_mono is not None:
            loop = asyncio.get_running_loop()
            wait_s = max(0.001, at_mono - now_mono)
            self._timer = loop.call_later(wait_s, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._transport is not None and self._transport.is_closing():
            self._transport.abort()
        else:
            self._turn()
