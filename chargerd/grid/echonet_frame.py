"""ECHONET Lite frames, format 1, and property maps: bytes to values and back.

Pure. Reads nothing it was not given; whatever is not a whole frame raises GridError.
Layout (ECHONET Lite specification part 2, 3.2; refs: grid 1.1): 10 81, TID, SEOJ, DEOJ,
ESV, OPC, then OPC times EPC PDC EDT; a SetGet has two such lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from chargerd.grid.errors import GridError

MAX_BYTES = 1500  # more than an Ethernet frame holds is nobody's honest request
_HEAD = b"\x10\x81"


class Esv(IntEnum):
    """Services. `_SNA` = at least one property was not served."""

    SETI_SNA = 0x50
    SETC_SNA = 0x51
    GET_SNA = 0x52
    INF_SNA = 0x53
    SETGET_SNA = 0x5E
    SETI = 0x60
    SETC = 0x61
    GET = 0x62
    INF_REQ = 0x63
    SETGET = 0x6E
    SET_RES = 0x71
    GET_RES = 0x72
    INF = 0x73
    INFC = 0x74
    INFC_RES = 0x7A
    SETGET_RES = 0x7E


@dataclass(frozen=True, slots=True)
class Property:
    epc: int
    edt: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `more`: the second list of a SetGet and its answers."""

    tid: int
    source: bytes  # EOJ: class group, class, instance
    target: bytes
    esv: Esv
    properties: tuple[Property, ...]
    more: tuple[Property, ...] = ()


_TWO_LISTS = (Esv.SETGET, Esv.SETGET_RES, Esv.SETGET_SNA)


def read(data: bytes) -> Frame:
    """Raises GridError."""
    if len(data) > MAX_BYTES:
        raise GridError(f"{len(data)} bytes, over {MAX_BYTES}")
    if len(data) < 12 or data[:2] != _HEAD:
        raise GridError("no ECHONET Lite frame of format 1")
    try:
        esv = Esv(data[10])
    except ValueError:
        raise GridError(f"no service {data[10]:#04x}") from None
    first, at = _list(data, 11)
    more: tuple[Property, ...] = ()
    if esv in _TWO_LISTS:
        more, at = _list(data, at)
    if at != len(data):
        raise GridError(f"{len(data) - at} bytes after the last property")
    tid = int.from_bytes(data[2:4], "big")
    return Frame(tid, data[4:7], data[7:10], esv, first, more)


def _list(data: bytes, at: int) -> tuple[tuple[Property, ...], int]:
    found = []
    if at >= len(data):
        raise GridError("cut off before a property count")
    count, at = data[at], at + 1
    for _ in range(count):
        end = at + 2 + data[at + 1] if at + 1 < len(data) else len(data) + 1
        if end > len(data):
            raise GridError("cut off within a property")
        found.append(Property(data[at], data[at + 2 : end]))
        at = end
    return tuple(found), at


def write(frame: Frame) -> bytes:
    """Ready for the wire."""
    data = _HEAD + frame.tid.to_bytes(2, "big")
    data += frame.source + frame.target + bytes((frame.esv,)) + _pack(frame.properties)
    if frame.esv in _TWO_LISTS:
        data += _pack(frame.more)
    return data


def _pack(properties: Iterable[Property]) -> bytes:
    parts = [bytes((p.epc, len(p.edt))) + p.edt for p in properties]
    return bytes((len(parts),)) + b"".join(parts)


def property_map(epcs: Iterable[int]) -> bytes:
    """EDT of 9D, 9E, 9F: a list of up to 15 codes, a bitmap of 16 bytes from 16 on."""
    codes = sorted(set(epcs))
    if len(codes) < 16:
        return bytes((len(codes), *codes))
    bits = bytearray(16)
    for code in codes:
        bits[code & 0x0F] |= 1 << ((code >> 4) - 8)
    return bytes((len(codes),)) + bytes(bits)
