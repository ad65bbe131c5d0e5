"""The bench's ISO 15118 vehicle on a real link: SDP to ff02::1, link-local TCP."""

from __future__ import annotations

import ipaddress
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from chargerd.model import VehiclePhase
from chargerd.vehicle.iso15118 import sdp
from hil.ev.iso15118.link import Wire
from hil.ev.iso15118.profile import Profile
from tests.interop.namespaces import namespaces
from tests.unit.hil_ev.sockets15118 import Stall

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]

STATION, VEHICLE = "near", "far"  # both ends of a cable, in one namespace


def cable() -> None:
    for command in (
        f"ip link add {STATION} type veth peer name {VEHICLE}",
        f"ip link set {STATION} up",
        f"ip link set {VEHICLE} up",
    ):
        subprocess.run(command.split(), check=True)


def link_local(interface: str) -> ipaddress.IPv6Address:
    shown = Path("/proc/net/if_inet6").read_text().splitlines()
    digits = next(row.split()[0] for row in shown if row.split()[-1] == interface)
    return ipaddress.IPv6Address(bytes.fromhex(digits))


@dataclass
class LinkStall(Stall):
    """The station's sockets on its end of the cable."""

    def open(self) -> Wire:
        index = socket.if_nametoindex(STATION)
        self.here = link_local(STATION)
        self.udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        group = socket.inet_pton(socket.AF_INET6, sdp.MULTICAST_GROUP)
        joined = group + struct.pack("@I", index)
        self.udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined)
        self.udp.bind(("::", sdp.UDP_PORT, 0, index))
        self.listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.listener.bind((str(self.here), 0, 0, index))
        self.listener.listen(1)
        for sock in (self.udp, self.listener):
            sock.setblocking(False)
        return Wire(VEHICLE)


def test_a_session_on_a_real_link() -> None:
    with namespaces():
        cable()
        s = LinkStall(
            Profile(protocols=("iso15118-2",), services=("DC",)), mutual=False
        )
        try:
            s.run(60.0, lambda: s.state.phase is VehiclePhase.ENERGY)
            assert s.state.phase is VehiclePhase.ENERGY, s.ev.state()
            s.run(2.0)
            assert s.plant.current_a > 10.0
        finally:
            s.close()
