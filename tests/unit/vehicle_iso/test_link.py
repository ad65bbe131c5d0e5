"""The link's address as the kernel tells it, and sockets that stay on their link."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from pathlib import Path

import pytest

from chargerd.vehicle.iso15118 import link, sdp

# /proc/net/if_inet6: address, index, prefix length, scope, flags, name.
READY = "fe8000000000000002aabbfffeccdd01 02 40 20 80     plc0"
TENTATIVE = "fe8000000000000002aabbfffeccdd02 03 40 20 c0     plc1"
DUPLICATE = "fe8000000000000002aabbfffeccdd03 04 40 20 88     plc2"
GLOBAL = "20010db8000000000000000000000001 05 40 00 80     eth0"
LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo"


@pytest.mark.parametrize(
    ("interface", "address"),
    [
        ("plc0", "fe80::2aa:bbff:fecc:dd01"),
        ("plc1", None),  # duplicate address detection runs
        ("plc2", None),  # and has found another
        ("eth0", None),  # never a global address
        ("lo", "::1"),
        ("plc9", None),
    ],
)
def test_the_address(
    interface: str,
    address: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = tmp_path / "if_inet6"
    rows = (READY, TENTATIVE, DUPLICATE, GLOBAL, LOOPBACK)
    table.write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(link, "_IF_INET6", table)
    found = link.link_address(interface)
    assert found == (ipaddress.IPv6Address(address) if address else None)


def test_a_kernel_without_ipv6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_IF_INET6", tmp_path / "absent")
    assert link.link_address("lo") is None


def test_listeners_find_ports_that_sdp_may_name() -> None:
    loopback = ipaddress.IPv6Address("::1")
    with link.tcp_socket(loopback, 1, 4) as first, link.tcp_socket(loopback, 1, 4) as b:
        ports = [sock.getsockname()[1] for sock in (first, b)]
        assert len(set(ports)) == 2
        assert all(sdp.PORT_MIN <= port <= sdp.PORT_MAX for port in ports)
        assert first.getsockname()[0] == "::1"


def test_an_address_of_nobody_here_is_an_error() -> None:
    with pytest.raises(OSError, match=r"[Aa]ssign|[Ii]nvalid"):
        link.tcp_socket(ipaddress.IPv6Address("fe80::1"), 1, 4)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x01\xfe\x90\x00\x00\x00\x00\x02\x10",  # short
        b"\x01\xfe\x90\x00\x00\x00\x00\x02\x10\x10",  # UDP wanted
        b"\x01\xfe\x90\x01\x00\x00\x00\x02\x10\x00",  # a response's type
        bytes(1400),
    ],
)
async def test_sdp_is_silent_to_all_but_good_requests(datagram: bytes) -> None:
    station = sdp.Station(ipaddress.IPv6Address("::1"), None, 50_000)
    sock = link.sdp_socket("lo", station.address, 0, 1)
    port = sock.getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: link.Sdp(lambda: station), sock=sock
    )
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.setblocking(False)
        peer.connect(("::1", port))
        peer.send(datagram)
        good = sdp.encode_request(sdp.Request(sdp.Security.TLS, sdp.Transport.TCP))
        peer.send(good)
        async with asyncio.timeout(5.0):
            answer = await loop.sock_recv(peer, 100)  # the good one's, and the first
    transport.close()
    found = sdp.decode_response(answer)
    assert (found.port, found.security) == (50_000, sdp.Security.NONE)
