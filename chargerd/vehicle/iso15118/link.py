"""The link a vehicle is on: its address, and the sockets bound to it alone.

Owns how SDP and TCP are kept on one interface. Loopback serves a bench without a
network: ::1 there, SDP by unicast, as ff02::1 does not reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

import structlog

from chargerd.vehicle.iso15118 import sdp
from chargerd.vehicle.iso15118.errors import V2gError

log = structlog.get_logger(__name__)

AddressOf = Callable[[str], ipaddress.IPv6Address | None]
_IF_INET6 = Path("/proc/self/net/if_inet6")
_TENTATIVE, _DAD_FAILED = 0x40, 0x08
PORTS_TRIED = 64


def link_address(interface: str) -> ipaddress.IPv6Address | None:
    """The interface's link-local address, ::1 of loopback; None while there is none
    that is ready."""
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:  # the kernel has no IPv6 at all
        return None
    for line in lines:
        digits, _, _, _, flags, name = line.split()
        address = ipaddress.IPv6Address(bytes.fromhex(digits))
        usable = address.is_link_local or address.is_loopback
        ready = not int(flags, 16) & (_TENTATIVE | _DAD_FAILED)
        if name == interface and usable and ready:
            return address
    return None


def tcp_socket(
    address: ipaddress.IPv6Address, index: int, backlog: int
) -> socket.socket:
    """A listener on a port that SDP may name; OSError when none is free."""
    for port in range(sdp.PORT_MIN, sdp.PORT_MIN + PORTS_TRIED):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((str(address), port, 0, _scope(address, index)))
            sock.listen(backlog)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed


def sdp_socket(
    interface: str, address: ipaddress.IPv6Address, port: int, index: int
) -> socket.socket:
    """Hears SDP on this interface only. Other EVSEs have their own, on theirs."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if address.is_loopback:
            sock.bind((str(address), port))
        else:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode()
            )
            group = socket.inet_pton(socket.AF_INET6, sdp.MULTICAST_GROUP)
            membership = group + struct.pack("@I", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
            sock.bind(("::", port))
    except OSError:
        sock.close()
        raise
    return sock


def _scope(address: ipaddress.IPv6Address, index: int) -> int:
    return index if address.is_link_local else 0


class Sdp(asyncio.DatagramProtocol):
    """Answers each good request from the port that was asked.

    `station()` says who is to be found at that moment; None = nobody: silence.
    """

    def __init__(self, station: Callable[[], sdp.Station | None]) -> None:
        self._station = station
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's is none by its class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        station = self._station()
        if self._transport is None or station is None:
            return
        host = str(addr[0]).partition("%")[0]
        with contextlib.suppress(V2gError):  # "stay silent"
            self._transport.sendto(sdp.answer(data, host, station), addr)

    def error_received(self, exc: Exception) -> None:
        log.info("sdp_error", why=str(exc))
