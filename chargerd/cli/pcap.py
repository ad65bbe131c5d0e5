"""Capture files: libpcap and pcapng in, TCP segments and UDP datagrams out.

Owns the two file formats and the headers below TCP and UDP, as far as a power line
capture needs them. Must never interpret a payload. Not read: fragments, tunnels.
Sources: pcap-savefile(5); IETF draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chargerd.cli.client import CliError

PACKET_MAX_BYTES = 1 << 20
_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_TIME_RESOLUTION = 9

_VLAN = {0x8100, 0x88A8}
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP, _UDP = 6, 17
_EXTENSIONS = {0, 43, 60}  # hop-by-hop, routing, destination options
_FIN, _SYN, _RST = 1, 2, 4

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as captured. `time_s`: since 1970, as the capturing machine saw it."""

    time_s: float
    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """What TCP or UDP carried. `sequence` is of the first byte of `data`; UDP: 0."""

    time_s: float
    tcp: bool
    source: Endpoint
    target: Endpoint
    data: bytes
    sequence: int = 0
    start: bool = False
    end: bool = False


def segments(file: BinaryIO) -> Iterator[Segment]:
    """TCP and UDP over IPv4 and IPv6 in the file's order; all else is passed over."""
    for packet in packets(file):
        segment = _segment(packet)
        if segment is not None:
            yield segment


def packets(file: BinaryIO) -> Iterator[Packet]:
    """Every packet; CliError when the file is no capture or is broken inside."""
    magic = file.read(4)
    if magic in _PCAP_MAGIC:
        return _pcap(file, *_PCAP_MAGIC[magic])
    if magic == _PCAPNG_MAGIC:
        return _pcapng(file)
    raise CliError("no capture file: save it as pcap or pcapng")


def _pcap(file: BinaryIO, order: str, tick_s: float) -> Iterator[Packet]:
    link = int(struct.unpack(order + "I", _exactly(file, 20)[16:])[0]) & 0xFFFF
    while header := file.read(16):
        if len(header) < 16:
            return  # cut off while being written: what was whole has been told
        seconds, parts, length, _ = struct.unpack(order + "IIII", header)
        data = file.read(_capped(length))
        if len(data) < length:
            return
        yield Packet(seconds + parts * tick_s, link, data)


def _pcapng(file: BinaryIO) -> Iterator[Packet]:
    order, links, head = "<", [(0, 1e-6)], _PCAPNG_MAGIC
    while head:
        if head == _PCAPNG_MAGIC:
            length_bytes, byte_order = _exactly(file, 4), _exactly(file, 4)
            order = "<" if byte_order == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
            _exactly(file, _body_length(order, length_bytes))
            head = file.read(4)
            continue
        kind = struct.unpack(order + "I", head)[0]
        length_bytes = file.read(4)
        if len(length_bytes) < 4:
            return
        length = _body_length(order, length_bytes)
        body = file.read(length + 4)
        if len(body) < length + 4:
            return
        body = body[:length]
        if kind == _INTERFACE:
            links.append(_interface(order, body))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, length = struct.unpack_from(order + "IIII", body)
            if number >= len(links):
                raise CliError(f"capture file: packet of unknown interface {number}")
            link, tick_s = links[number]
            yield Packet((high << 32 | low) * tick_s, link, body[20 : 20 + length])
        elif kind == _SIMPLE and links and len(body) >= 4:
            length = struct.unpack_from(order + "I", body)[0]
            yield Packet(0.0, links[0][0], body[4 : 4 + length])
        head = file.read(4)
        if len(head) < 4:
            return


def _interface(order: str, body: bytes) -> tuple[int, float]:
    """Link type and seconds per tick of an interface description block."""
    if len(body) < 8:
        raise CliError("capture file: an interface block is too short")
    tick_s, at = 1e-6, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            break
        if code == _TIME_RESOLUTION and length and at + 4 < len(body):
            value = body[at + 4]
            tick_s = 2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value
        at += 4 + length + (-length % 4)
    return struct.unpack_from(order + "H", body)[0], tick_s


def _body_length(order: str, field: bytes) -> int:
    length = int(struct.unpack(order + "I", field)[0])
    if length < 12 or length % 4:
        raise CliError(f"capture file: a block of {length} bytes cannot be")
    return _capped(length - 12)


def _capped(length: int) -> int:
    if length > PACKET_MAX_BYTES:
        raise CliError(
            f"capture file: a block of {length} bytes, at most 1 MiB is read"
        )
    return length


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise CliError("capture file: it ends in its own header")
    return data


# --- from the wire up -----------------------------------------------------------------


def _segment(packet: Packet) -> Segment | None:
    """None: not TCP or UDP, or cut short by the capture."""
    try:
        network = _network(packet)
        if network is None:
            return None
        protocol, source, target, data = network
        if protocol == _TCP:
            return _tcp(packet.time_s, source, target, data)
        return _udp(packet.time_s, source, target, data) if protocol == _UDP else None
    except (struct.error, IndexError, ipaddress.AddressValueError):
        return None


def _network(packet: Packet) -> tuple[int, str, str, bytes] | None:
    data = packet.data
    kind, at = _link(packet)
    if kind == _IPV4:
        if struct.unpack_from(">H", data, at + 6)[0] & 0x3FFF:
            return None  # a fragment
        start, length = (data[at] & 15) * 4, struct.unpack_from(">H", data, at + 2)[0]
        source = str(ipaddress.IPv4Address(data[at + 12 : at + 16]))
        target = str(ipaddress.IPv4Address(data[at + 16 : at + 20]))
        return data[at + 9], source, target, data[at + start : at + length]
    if kind != _IPV6:
        return None
    length, protocol = struct.unpack_from(">HB", data, at + 4)
    source = str(ipaddress.IPv6Address(data[at + 8 : at + 24]))
    target = str(ipaddress.IPv6Address(data[at + 24 : at + 40]))
    start, end = at + 40, at + 40 + length
    while protocol in _EXTENSIONS:
        protocol, more = data[start], (data[start + 1] + 1) * 8
        start += more
    return protocol, source, target, data[start:end]


def _link(packet: Packet) -> tuple[int, int]:
    """EtherType and where the network header begins."""
    data = packet.data
    match packet.link:
        case 1:  # Ethernet; the numbers are tcpdump.org's
            at = 14
            kind = struct.unpack_from(">H", data, 12)[0]
            while kind in _VLAN:
                kind = struct.unpack_from(">H", data, at + 2)[0]
                at += 4
            return kind, at
        case 113:  # Linux cooked
            return struct.unpack_from(">H", data, 14)[0], 16
        case 276:  # Linux cooked, version 2
            return struct.unpack_from(">H", data, 0)[0], 20
        case 101 | 228 | 229:  # bare IP
            return (_IPV6 if data[0] >> 4 == 6 else _IPV4), 0
    raise CliError(f"capture file: link type {packet.link}; capture on Ethernet")


def _tcp(time_s: float, source: str, target: str, data: bytes) -> Segment:
    here, there, sequence = struct.unpack_from(">HHI", data)
    start, flags = (data[12] >> 4) * 4, data[13]
    opens = bool(flags & _SYN)
    return Segment(
        time_s,
        True,
        (source, here),
        (target, there),
        data[start:],
        (sequence + opens) & 0xFFFFFFFF,
        opens,
        bool(flags & (_FIN | _RST)),
    )


def _udp(time_s: float, source: str, target: str, data: bytes) -> Segment:
    here, there, length = struct.unpack_from(">HHH", data)
    return Segment(time_s, False, (source, here), (target, there), data[8:length])
