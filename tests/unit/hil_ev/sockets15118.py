"""The whole vehicle model at an outlet, over real sockets on loopback; fake time.

The station's sockets are moved by hand, one step after the other: nothing waits.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass, field

from chargerd.vehicle.iso15118 import sdp
from chargerd.vehicle.iso15118.tls import TlsLink, TlsServer
from hil.ev.battery import Battery
from hil.ev.iso15118.link import Wire
from hil.ev.iso15118.model import Iso15118Ev
from tests.unit.hil_ev.bench15118 import STEP_S, Outlet

HERE = ipaddress.IPv6Address("::1")


def _socket(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setblocking(False)
    sock.bind((str(HERE), 0))
    return sock


@dataclass
class Stall(Outlet):
    """`tls` None: plain TCP. `deaf`: SDP is not answered."""

    tls: TlsServer | None = None
    deaf: bool = False
    demands_tls: bool = False  # says so in SDP, whether it can or not
    port: int = 0  # told by SDP; 0 = its own
    here: ipaddress.IPv6Address = HERE
    ev: Iso15118Ev = field(init=False)
    sdp_requests: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._peer: socket.socket | None = None
        self._link: TlsLink | None = None
        wire = self.open()
        battery = Battery(self.soc_pct, self.capacity_wh)
        self.ev = Iso15118Ev(battery, self.profile, wire)

    @property
    def battery(self) -> Battery:
        return self.ev.car.battery

    def open(self) -> Wire:
        """The station's sockets; where the vehicle looks for them."""
        self.udp = _socket(socket.SOCK_DGRAM)
        self.listener = _socket(socket.SOCK_STREAM)
        self.listener.listen(1)
        return Wire("lo", self.udp.getsockname()[1])

    def close(self) -> None:
        self.ev.unplugged()
        for sock in (self.udp, self.listener, self._peer):
            if sock is not None:
                sock.close()

    def step(self) -> None:
        now = self.plant.now + STEP_S
        self.show(self.ev.step(now, STEP_S, self.seen(self.ev.car.ac_w)))
        self._answer_sdp()
        self._accept()
        self._read(now)
        self.tick()
        self._write(now)

    def _answer_sdp(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data, where = self.udp.recvfrom(1024)
            self.sdp_requests += 1
            sdp.decode_request(data)
            if self.deaf:
                return
            secure = self.tls is not None or self.demands_tls
            port = self.port or self.listener.getsockname()[1]
            kind = sdp.Security.TLS if secure else sdp.Security.NONE
            answer = sdp.Response(self.here, port, kind)
            self.udp.sendto(sdp.encode_response(answer), where)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            peer, _ = self.listener.accept()
            peer.setblocking(False)
            self._peer, self.connections = peer, self.connections + 1
            self._link = self.tls.wrap(None) if self.tls is not None else None
            self.accept()

    def _read(self, now: float) -> None:
        if self._peer is None:
            return
        data = b""
        with contextlib.suppress(ConnectionError):
            try:
                data = self._peer.recv(65_536)
            except BlockingIOError:
                return
        if not data:
            self._hang_up(now)
            return
        if self._link is not None:
            data = self._link.receive(data)
        self.secc.receive(data, now)

    def _write(self, now: float) -> None:
        if self._peer is None:
            return
        data = self.secc.to_send(now)
        if self._link is not None:
            if data:
                self._link.send(data)
            data = self._link.to_send()
        if data:
            self._peer.sendall(data)
        if self.secc.closing:
            self._hang_up(now)

    def _hang_up(self, now: float) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self.secc.disconnected(now)
