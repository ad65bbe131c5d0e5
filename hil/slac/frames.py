"""The bench's own codec of HomePlug frames, written from the field tables.

Layouts: EVerest/libslac `slac.hpp`, EcoG-io/pyslac `messages.py`. Must stay apart from
the product's codec: the two check each other.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

LOCAL = bytes.fromhex("00b052000001")
ALL = b"\xff" * 6
PARM_REQ, PARM_CNF = 0x6064, 0x6065
START_IND = 0x606A
CHAR_IND, CHAR_RSP = 0x606E, 0x606F
SOUND_IND = 0x6076
VALIDATE_REQ, VALIDATE_CNF = 0x6078, 0x6079
MATCH_REQ, MATCH_CNF = 0x607C, 0x607D
PROFILE_IND = 0x6086
KEY_REQ, KEY_CNF = 0x6008, 0x6009
VERSION_REQ, VERSION_CNF = 0xA000, 0xA001
LINK_REQ, LINK_CNF = 0xA0B8, 0xA0B9
LUMISSIL_VERSION_REQ, LUMISSIL_LINK_REQ = 0xAC6C, 0xAC9C
GROUPS = 58
_ETHER = struct.Struct("!6s6sH")
_QUALCOMM = bytes.fromhex("00b052")
_LUMISSIL = bytes.fromhex("0016e8") + bytes(19)


@dataclass(frozen=True, slots=True)
class Frame:
    """`data`: what follows the MME header, with padding."""

    to: bytes
    by: bytes
    kind: int
    data: bytes


def pack(to: bytes, by: bytes, kind: int, data: bytes) -> bytes:
    """Vendor messages (0xA000 on) go without the fragmentation field."""
    version, fragment = (0, b"") if kind >= 0xA000 else (1, bytes(2))
    frame = _ETHER.pack(to, by, 0x88E1) + struct.pack("<BH", version, kind)
    return (frame + fragment + data).ljust(60, b"\0")


def unpack(raw: bytes) -> Frame | None:
    if len(raw) < 19:
        return None
    to, by, ether = _ETHER.unpack_from(raw)
    version, kind = struct.unpack_from("<BH", raw, 14)
    if ether != 0x88E1:
        return None
    return Frame(to, by, kind, raw[19:] if version else raw[17:])


def nid(nmk: bytes) -> bytes:
    for _ in range(5):
        nmk = hashlib.sha256(nmk).digest()
    return nmk[:6] + bytes([nmk[6] >> 4])


# --- a vehicle says -------------------------------------------------------------------


def parm_req(run: bytes) -> bytes:
    return struct.pack("BB8s", 0, 0, run)


def start_ind(run: bytes, mac: bytes, sounds: int = 10, deci_s: int = 6) -> bytes:
    return struct.pack("BBBBB6s8s", 0, 0, sounds, deci_s, 1, mac, run)


def sound_ind(run: bytes, left: int, noise: bytes) -> bytes:
    return struct.pack("BB17sB8s8s16s", 0, 0, b"", left, run, b"", noise)


def char_rsp(run: bytes, mac: bytes, result: int = 0) -> bytes:
    return struct.pack("BB6s8s17s17sB", 0, 0, mac, run, b"", b"", result)


def match_req(run: bytes, mac: bytes, evse: bytes) -> bytes:
    return struct.pack("<BBH17s6s17s6s8s8s", 0, 0, 62, b"", mac, b"", evse, run, b"")


def key_req(nmk: bytes) -> bytes:
    return struct.pack("<BIIBHBB7sB16s", 1, 0, 0, 4, 0, 0, 0, nid(nmk), 1, nmk)


def link_req() -> bytes:
    return _QUALCOMM


# --- a vehicle hears ------------------------------------------------------------------


def parm_cnf(data: bytes) -> tuple[bytes, bytes]:
    """(run id, the vehicle it is for)."""
    _, _, _, _, mac, _, _, run = struct.unpack_from("6sBBB6sBB8s", data)
    return run, mac


def char_ind(data: bytes) -> tuple[bytes, bytes, int, bytes]:
    """(run id, the vehicle it is about, sounds, dB per group)."""
    _, _, mac, run, _, _, sounds, groups = struct.unpack_from("BB6s8s17s17sBB", data)
    return run, mac, sounds, data[52 : 52 + groups]


def match_cnf(data: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """(run id, vehicle, station, NID, NMK)."""
    parts = struct.unpack_from("<BBH17s6s17s6s8s8s7sB16s", data)
    return parts[7], parts[4], parts[6], parts[9], parts[11]


# --- a modem says and hears -----------------------------------------------------------


def profile_ind(mac: bytes, groups_db: bytes) -> bytes:
    return struct.pack("6sBB", mac, len(groups_db), 0) + groups_db


def key_of(data: bytes) -> bytes:
    return bytes(struct.unpack_from("<BIIBHBB7sB16s", data)[9])


def key_cnf(result: int) -> bytes:
    return struct.pack("<BIIBHBB", result, 0, 0, 4, 0, 0, 0)


def version_cnf(text: str) -> bytes:
    raw = text.encode()
    return _QUALCOMM + struct.pack("BBB", 0, 0x06, len(raw)) + raw.ljust(128, b"\0")


def link_cnf(up: bool) -> bytes:
    return _QUALCOMM + bytes((0, int(up)))


def lumissil_version_cnf(*numbers: int) -> bytes:
    return _LUMISSIL + struct.pack("<4H", *numbers) + bytes(2)


def lumissil_link_cnf(up: bool) -> bytes:
    return _LUMISSIL + bytes((int(up),))
