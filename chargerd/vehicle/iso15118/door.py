"""The SECC's shell: SDP, TCP and TLS on one interface, one session per connector.

Owns sockets and time, decides nothing: bytes go to `secc/connection.py`. Listens on the
link-local address of its interface only; an address that is late, goes or comes back is
a state. Peers beyond the caps and the silent are turned away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

import structlog

from chargerd.clock import Clock
from chargerd.model import Revocable, VehicleOffer, VehiclePhase, VehicleState
from chargerd.vehicle.iso15118 import sap, sdp
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.link import (
    AddressOf,
    Sdp,
    link_address,
    sdp_socket,
    tcp_socket,
)
from chargerd.vehicle.iso15118.peer import Peer
from chargerd.vehicle.iso15118.secc.flow import Margins, Session
from chargerd.vehicle.iso15118.secc.sessions import Sessions
from chargerd.vehicle.iso15118.tls import TlsLink
from firmware_bridge.api import PilotState

log = structlog.get_logger(__name__)

MAX_PEERS = 4  # sockets at once; one more drops the oldest that has no session
NewTls = Callable[[], TlsLink]  # of one new connection
QUIET_S = 5.0  # ours: a link that died without a word does not hold the connector
PILOT_S = 0.3  # ours: a pull ends the link this much before the pilot tells of it
LOOK_S = 1.0  # how often the interface's address is looked for
_PLUGGED = (PilotState.B, PilotState.C, PilotState.D)
_GREETED = (VehiclePhase.NONE, VehiclePhase.HANDSHAKE)
# Tells, now or later, whether one of these certificates is revoked.
Judge = Callable[[tuple[Revocable, ...], Callable[[bool], None]], None]
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
        tls: NewTls | None = None,
        tls_serves: Callable[[], bool] = lambda: True,
        plain: bool = True,
        judge: Judge | None = None,
        address_of: AddressOf = link_address,
    ) -> None:
        """`plain`: whether DIN and ISO 15118-2 EIM may run without TLS. `tls_serves`:
        whether a certificate of the station is good now. `judge`: knows of revoked
        certificates of vehicles.

        With neither TLS nor plain there is nothing to serve: no vehicle is answered.
        """
        self._log = log.bind(evse_id=evse_id)
        self._interface, self._sdp_port = interface, sdp_port
        self._protocols = tuple(protocols)
        self._sessions = sessions
        self._clock = clock
        self._tls, self._tls_serves, self._plain = tls, tls_serves, plain
        self._judge = judge
        self._address_of = address_of
        self._peers: list[Peer] = []
        self._holder: Peer | None = None  # who has, or had last, the session
        self._plugged = False
        self._told = VehicleState()  # what the log has
        self._offer = VehicleOffer(at_mono=float("-inf"))
        self._margins = Margins()  # of connections that are over
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
        holder = self._holder
        if holder is None:
            return VehicleState()
        state = holder.state()
        if state.phase is VehiclePhase.ENDED and self._sessions.paused:
            return replace(state, phase=VehiclePhase.PAUSED)
        if "VehicleTimeout" in state.faults and holder.just_gone(PILOT_S):
            return replace(state, faults=state.faults - {"VehicleTimeout"})
        return state

    def margins(self) -> Margins:
        """How much time answers had left since the start, by request name."""
        total = Margins()
        total.add(self._margins)
        for peer in self._peers:
            if peer.connection is not None:
                total.add(peer.connection.margins)
        return total

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
        serves = self._plain or self._tls is not None
        while True:
            address = self._address_of(self._interface) if serves else None
            if address is None:
                if not missing:
                    why = "no link-local address" if serves else "no TLS, no plain TCP"
                    self._log.warning("v2g_silent", interface=self._interface, why=why)
                missing = True
                await asyncio.sleep(LOOK_S)
                continue
            missing = False
            try:
                await self._serve(address)
            except OSError as error:  # the interface went away under us
                why = str(error)
                self._log.warning("v2g_down", interface=self._interface, why=why)
                await asyncio.sleep(LOOK_S)

    async def _serve(self, address: ipaddress.IPv6Address) -> None:
        """Until the address is gone or another."""
        index = socket.if_nametoindex(self._interface)
        async with contextlib.AsyncExitStack() as stack:
            tls_port = plain_port = None
            if self._tls is not None:
                tls_port = await self._listen(stack, address, index, self._tls)
            if self._plain:
                plain_port = await self._listen(stack, address, index, None)
            await self._be_found(stack, address, index, tls_port, plain_port)
            self._log.info(
                "v2g_serves",
                interface=self._interface,
                address=str(address),
                sdp_port=self._sdp_port,
                tls_port=tls_port,
                plain_port=plain_port,
            )
            stack.callback(self._drop_all)
            await self._while_there(address)

    async def _while_there(self, address: ipaddress.IPv6Address) -> None:
        """The kernel tells of lost addresses by netlink only; looking is enough."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._address_of(self._interface) != address:
                return

    async def _be_found(
        self,
        stack: contextlib.AsyncExitStack,
        address: ipaddress.IPv6Address,
        index: int,
        tls_port: int | None,
        plain_port: int | None,
    ) -> None:
        """SDP: without a plug there is nobody to be found by. Certificates may expire
        while we serve: TLS is then named no more."""

        def station() -> sdp.Station | None:
            tls = tls_port if self._tls_serves() else None
            if not self._plugged or (tls is None and plain_port is None):
                return None
            return sdp.Station(address, tls, plain_port)

        sock = sdp_socket(self._interface, address, self._sdp_port, index)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Sdp(station), sock=sock
        )
        stack.callback(transport.close)

    async def _listen(
        self,
        stack: contextlib.AsyncExitStack,
        address: ipaddress.IPv6Address,
        index: int,
        tls: NewTls | None,
    ) -> int:
        """The port of a listener. Every socket counts, also in its handshake."""
        loop = asyncio.get_running_loop()

        def peer() -> Peer:
            link = tls() if tls is not None else None
            return Peer(self, self._clock, self._protocols, link)

        sock = tcp_socket(address, index, MAX_PEERS)
        server = await loop.create_server(peer, sock=sock, backlog=MAX_PEERS)
        stack.callback(server.close)
        return int(sock.getsockname()[1])

    def _drop_all(self) -> None:
        for peer in tuple(self._peers):
            peer.abort("the interface's address is gone")

    # -- peer.Host ---------------------------------------------------------------

    def admit(self, peer: Peer) -> bool:
        """Whoever connects and says nothing keeps nobody out: the oldest of those
        goes when a socket too many comes."""
        if len(self._peers) >= MAX_PEERS:
            self.refused += 1
            idle = [each for each in self._peers if each is not self._holder]
            if not idle:
                return False
            idle[0].abort("a socket too many")
            self._peers.remove(idle[0])
        self._peers.append(peer)
        return True

    def broken(self) -> Collection[sap.Protocol]:
        """Protocols in which a session of this plug-in broke."""
        return self._sessions.broken()

    def begin(self, peer: Peer, protocol: sap.Protocol, now_mono: float) -> Session:
        """The session of a peer that agreed on a protocol. V2gError: it may not."""
        holder = self._holder
        if holder is not None and not self._free(holder):
            if holder.quiet_s(now_mono) > QUIET_S:
                holder.abort("silent, and a vehicle began anew")
            raise V2gError("another session runs on this connector")
        session = self._sessions.make(
            protocol, now_mono, tls=peer.over_tls, vehicle=peer.vehicle
        )
        session.command(self._offer, now_mono)
        self._holder = peer
        if self._judge is not None and peer.revocable:
            self._judge(peer.revocable, partial(self._judged, peer))
        self._log.info(
            "v2g_session", protocol=protocol.namespace, transport=peer.summary
        )
        return session

    def _judged(self, peer: Peer, revoked: bool) -> None:
        """The word of the central system may come at once, later or never."""
        if revoked:
            self._log.warning("v2g_revoked", transport=peer.summary)
            peer.abort("the vehicle's certificate is revoked")

    @staticmethod
    def _free(holder: Peer) -> bool:
        """Its connection has gone and its power path is dark."""
        return holder.gone and holder.state().phase in _OVER

    def ended(self, peer: Peer, why: str, was: VehiclePhase) -> None:
        """A peer's connection is gone; its session may still open its contactor.

        One that only was greeted leaves nothing: many vehicles try once more.
        """
        if peer is self._holder and was in _GREETED and not self._sessions.paused:
            self._holder = None
        if peer in self._peers:
            self._peers.remove(peer)
        margins = peer.connection.margins if peer.connection else Margins()
        self._margins.add(margins)
        self._log.info(
            "v2g_closed",
            why=why,
            transport=peer.summary,
            late_answers=margins.late,
            worst_margin_s=min(margins.worst_s.values(), default=None),
        )
        self._report()
