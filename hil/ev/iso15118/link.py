"""The vehicle's sockets: SDP over UDP, then TCP or TLS. Nothing here ever waits.

The rig calls `step` every few milliseconds. Owns sockets and the TLS machine; knows
no message. Times: refs/iso15118.md 4.1 (SDP 250 ms per try, 50 tries).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from chargerd.vehicle.iso15118 import sdp
from chargerd.vehicle.iso15118.errors import V2gError
from hil.ev.iso15118.script import EvError

SDP_TRY_S = 0.25
SDP_TRIES = 50
CONNECT_S = 5.0  # [K] ours: TCP and TLS together
CIPHERS_1_2 = "ECDHE-ECDSA-AES128-SHA256"  # refs 4.3
READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the station is looked for: multicast on a real link, ::1 on loopback."""

    interface: str = "lo"
    sdp_port: int = sdp.UDP_PORT

    @property
    def group(self) -> str:
        return "::1" if self.interface == "lo" else sdp.MULTICAST_GROUP


def client_context(pki: Path, *, tls_1_3: bool) -> ssl.SSLContext:
    """The roots of a PKI folder (hil/pki/store.py), and in TLS 1.3 the vehicle's
    certificate. ISO 15118-2 alone has TLS 1.2. ValueError: which file is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # a SECC's certificate names no host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls_1_3:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(CIPHERS_1_2)
        context.load_verify_locations(pki / "v2g" / "root.pem")
        if tls_1_3:
            context.load_cert_chain(pki / "oem" / "chain.pem", pki / "oem" / "leaf.key")
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"pki {pki}: {error}") from error
    return context


class Tls:
    """TLS of one connection between bytes and bytes."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        self.ready = False

    def receive(self, data: bytes) -> bytes:
        """EvError: the handshake failed, or the station sent no TLS."""
        self._in.write(data)
        plain = b""
        try:
            if not self.ready:
                self._tls.do_handshake()
                self.ready = True
            while self._in.pending or self._tls.pending():
                plain += self._tls.read(READ_BYTES)
            return plain
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return plain
        except ssl.SSLError as error:
            raise EvError(f"TLS: {error.reason or error}") from error

    def send(self, data: bytes) -> None:
        self._tls.write(data)

    def to_send(self) -> bytes:
        return self._out.read()

    def version(self) -> str:
        return self._tls.version() or ""


class Link:
    """One way to one station. `up`: bytes can flow. `down`: why it ended, or ""."""

    def __init__(
        self, wire: Wire, context: ssl.SSLContext | None, now_s: float
    ) -> None:
        """With a `context` TLS is asked for."""
        self._wire, self._context = wire, context
        self._udp = self._open_udp()
        self._tcp: socket.socket | None = None
        self._tls: Tls | None = None
        self._connected = False
        self._unsent = bytearray()
        self._tries = 0
        self._again_s = now_s
        self._give_up_s = float("inf")
        self.down = ""

    @property
    def up(self) -> bool:
        ready = self._tls is None or self._tls.ready
        return self._connected and ready and not self.down

    @property
    def security(self) -> str:
        """For reports: "plain", "TLSv1.2", "TLSv1.3"."""
        return self._tls.version() if self._tls is not None else "plain"

    # -- time -----------------------------------------------------------------------

    def step(self, now_s: float) -> bytes:
        """Do what can be done now; what the station sent."""
        try:
            if self.down:
                return b""
            if self._tcp is None:
                self._look_for_station(now_s)
                return b""
            if not self.up:
                self._patience(now_s)
            return self._pump() if self._connected or self._has_connected() else b""
        except (OSError, EvError) as error:
            self.close(str(error) or type(error).__name__)
            return b""

    def _patience(self, now_s: float) -> None:
        if now_s >= self._give_up_s:
            what = "TLS handshake" if self._connected else "TCP connection"
            raise EvError(f"no {what} within {CONNECT_S:.0f} s")

    def send(self, segments: list[bytes]) -> None:
        """Each segment is a send of its own."""
        for segment in segments:
            if self._tls is not None:
                self._tls.send(segment)
                self._unsent += self._tls.to_send()
            else:
                self._unsent += segment
            self._push()

    def close(self, why: str = "closed") -> None:
        self.down = self.down or why
        for sock in (self._udp, self._tcp):
            if sock is not None:
                sock.close()

    # -- SDP ------------------------------------------------------------------------

    def _open_udp(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setblocking(False)
        return sock

    def _scope(self) -> int:
        return socket.if_nametoindex(self._wire.interface)

    def _look_for_station(self, now_s: float) -> None:
        answer = self._sdp_answer()
        if answer is not None:
            self._connect(answer, now_s)
        elif now_s >= self._again_s:
            if self._tries >= SDP_TRIES:
                raise EvError(f"no SDP answer in {SDP_TRIES} tries")
            self._tries += 1
            self._again_s += SDP_TRY_S
            wanted = sdp.Security.NONE if self._context is None else sdp.Security.TLS
            request = sdp.Request(wanted, sdp.Transport.TCP)
            to = (self._wire.group, self._wire.sdp_port, 0, self._scope())
            try:
                self._udp.sendto(sdp.encode_request(request), to)
            except OSError as error:
                if error.errno not in (errno.ENETUNREACH, errno.ECONNREFUSED):
                    raise

    def _sdp_answer(self) -> sdp.Response | None:
        try:
            return sdp.decode_response(self._udp.recv(1024))
        except (BlockingIOError, ConnectionRefusedError, V2gError):
            return None

    # -- TCP and TLS ------------------------------------------------------------------

    def _connect(self, station: sdp.Response, now_s: float) -> None:
        if station.security is sdp.Security.TLS:
            if self._context is None:
                raise EvError("the station demands TLS, and this vehicle has no roots")
            self._tls = Tls(self._context)
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self._tcp = sock
        self._give_up_s = now_s + CONNECT_S
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = ipaddress.IPv6Address(station.address)
        code = sock.connect_ex((str(address), station.port, 0, self._scope()))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def _has_connected(self) -> bool:
        if self._tcp is None:
            return False
        code = self._tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            self._tcp.getpeername()
        except OSError:
            return False
        self._connected = True
        return True

    def _pump(self) -> bytes:
        """One read; what it means in plain bytes."""
        data = self._read()
        if self._tls is not None:
            data = self._tls.receive(data or b"")
            self._unsent += self._tls.to_send()
        self._push()
        return data or b""

    def _read(self) -> bytes | None:
        if self._tcp is None:
            return None
        try:
            data = self._tcp.recv(READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise EvError("the station closed the connection")
        return data

    def _push(self) -> None:
        if self._tcp is None or not self._unsent:
            return
        try:
            sent = self._tcp.send(self._unsent)
        except BlockingIOError:
            return
        del self._unsent[:sent]
