"""Capture files made by hand, for the tests of their reader."""

from __future__ import annotations

import ipaddress
import struct

CAR, STATION = "fe80::a", "fe80::b"


def ethernet(payload: bytes, kind: int = 0x86DD, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    return bytes(12) + tag + struct.pack(">H", kind) + payload


def ipv6(protocol: int, payload: bytes, source: str, target: str) -> bytes:
    ends = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(target).packed
    return struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + ends + payload


def ipv4(protocol: int, payload: bytes, offset: int = 0) -> bytes:
    head = struct.pack(
        ">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, offset, 64, protocol, 0
    )
    return head + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + payload


def tcp(
    data: bytes, sequence: int, here: int = 50000, there: int = 61000, flags: int = 0x18
) -> bytes:
    head = struct.pack(">HHIIBBHHH", here, there, sequence, 0, 0x50, flags, 0, 0, 0)
    return head + data


def udp(data: bytes, here: int, there: int) -> bytes:
    return struct.pack(">HHHH", here, there, 8 + len(data), 0) + data


def from_car(data: bytes, sequence: int, flags: int = 0x18) -> bytes:
    segment = tcp(data, sequence, 50000, 61000, flags)
    return ethernet(ipv6(6, segment, CAR, STATION))


def from_station(data: bytes, sequence: int, flags: int = 0x18) -> bytes:
    segment = tcp(data, sequence, 61000, 50000, flags)
    return ethernet(ipv6(6, segment, STATION, CAR))


def pcap(
    packets: list[bytes], link: int = 1, order: str = "<", nano: bool = False
) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    for number, packet in enumerate(packets):
        out += struct.pack(order + "IIII", 100, number, len(packet), len(packet))
        out += packet
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def pcapng(
    packets: list[bytes], link: int = 1, order: str = "<", resolution: int | None = None
) -> bytes:
    section = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = b""
    if resolution is not None:
        options = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    out = block(0x0A0D0D0A, section, order)
    out += block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)
    out += block(5, bytes(12), order)  # statistics: passed over
    for number, packet in enumerate(packets):
        stamp = struct.pack(order + "IIIII", 0, 0, number, len(packet), len(packet))
        out += block(6, stamp + packet, order)
    return out
