"""SDP: how a vehicle finds the station's address and port over UDP 15118 on ff02::1.

Owns both datagrams and the rule of the security byte. Must never send: the shell
answers from the port that was asked, to the port and link it was asked from.
Source: ISO 15118-2 section 7.10.1, ISO 15118-20 section 7.10.1.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum

from chargerd.vehicle.iso15118 import v2gtp
from chargerd.vehicle.iso15118.errors import V2gError

UDP_PORT = 15118
MULTICAST_GROUP = "ff02::1"
PORT_MIN, PORT_MAX = 49_152, 65_535

_RESPONSE = struct.Struct(">16sHBB")


class Security(IntEnum):
    """The security byte of both datagrams."""

    TLS = 0x00
    NONE = 0x10


class Transport(IntEnum):
    """The transport byte; no station offers UDP."""

    TCP = 0x00
    UDP = 0x10


@dataclass(frozen=True, slots=True)
class Request:
    """What the vehicle asks for."""

    security: Security
    transport: Transport


@dataclass(frozen=True, slots=True)
class Response:
    """Where the station listens, and how."""

    address: ipaddress.IPv6Address
    port: int
    security: Security
    transport: Transport = Transport.TCP


@dataclass(frozen=True, slots=True)
class Station:
    """The station's own listeners on one link; a port of None = no such listener.

    The address is link-local; ::1 serves a bench without a network.
    Without `tls_port` every vehicle is told "no TLS"; without `plain_port` every
    vehicle is told "TLS", asked or not [V2G2-627].
    """

    address: ipaddress.IPv6Address
    tls_port: int | None
    plain_port: int | None

    def __post_init__(self) -> None:
        if not (self.address.is_link_local or self.address.is_loopback):
            raise V2gError(f"SDP address {self.address}: give the link-local one")
        ports = [port for port in (self.tls_port, self.plain_port) if port is not None]
        if not ports:
            raise V2gError("SDP station without a listener: give a TLS or plain port")
        for port in ports:
            if not PORT_MIN <= port <= PORT_MAX:
                raise V2gError(f"SDP port {port}: {PORT_MIN} to {PORT_MAX} only")


def answer(datagram: bytes, source: str, station: Station) -> bytes:
    """The datagram that answers `datagram` from the IPv6 address `source`.

    V2gError: stay silent (not a request, UDP asked for, source not of this link).
    """
    try:
        asked_from = ipaddress.IPv6Address(source)
    except ValueError:
        asked_from = ipaddress.IPv6Address("::")
    local = asked_from.is_link_local
    if station.address.is_loopback:
        local = asked_from.is_loopback
    if not local:
        raise V2gError(f"SDP request from {source[:64]!r}, not link-local: drop it")
    request = decode_request(datagram)
    if request.transport is not Transport.TCP:
        raise V2gError("SDP request for UDP as transport: drop it")
    return encode_response(choose(request, station))


def choose(request: Request, station: Station) -> Response:
    """The listener for this request: what was asked for where there is a choice."""
    wants_tls = request.security is Security.TLS
    if station.tls_port is not None and (wants_tls or station.plain_port is None):
        return Response(station.address, station.tls_port, Security.TLS)
    if station.plain_port is None:
        raise V2gError("SDP station without a listener: give a TLS or plain port")
    return Response(station.address, station.plain_port, Security.NONE)


def encode_request(request: Request) -> bytes:
    """The vehicle's datagram."""
    payload = bytes((request.security, request.transport))
    return v2gtp.pack(v2gtp.PayloadType.SDP_REQUEST, payload)


def decode_request(datagram: bytes) -> Request:
    """The vehicle's question; V2gError for anything but a whole, known request."""
    payload = _payload(datagram, v2gtp.PayloadType.SDP_REQUEST, 2)
    return Request(_security(payload[0]), _transport(payload[1]))


def encode_response(response: Response) -> bytes:
    """The station's datagram."""
    payload = _RESPONSE.pack(
        response.address.packed, response.port, response.security, response.transport
    )
    return v2gtp.pack(v2gtp.PayloadType.SDP_RESPONSE, payload)


def decode_response(datagram: bytes) -> Response:
    """The station's answer; V2gError for anything but a whole, known response."""
    payload = _payload(datagram, v2gtp.PayloadType.SDP_RESPONSE, _RESPONSE.size)
    address, port, security, transport = _RESPONSE.unpack(payload)
    return Response(
        ipaddress.IPv6Address(address), port, _security(security), _transport(transport)
    )


def _payload(datagram: bytes, wanted: v2gtp.PayloadType, length: int) -> bytes:
    frame = v2gtp.unpack(datagram)
    if frame.payload_type != wanted:
        raise V2gError(f"SDP datagram of type 0x{frame.payload_type:04x}: drop it")
    if len(frame.payload) != length:
        raise V2gError(
            f"{wanted.name} of {len(frame.payload)} bytes, {length} wanted: drop it"
        )
    return frame.payload


def _security(value: int) -> Security:
    try:
        return Security(value)
    except ValueError:
        raise V2gError(f"SDP security byte 0x{value:02x}: drop the datagram") from None


def _transport(value: int) -> Transport:
    try:
        return Transport(value)
    except ValueError:
        raise V2gError(f"SDP transport byte 0x{value:02x}: drop the datagram") from None
