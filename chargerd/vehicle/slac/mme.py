"""The frame around every HomePlug management message (MME): Ethernet and MME header.

Frames are built and read here; what is inside is `messages.py`. A frame that is not an
MME is None, never an exception: on a shared wire strangers' frames are weather.
Layout: EVerest/libslac `slac.hpp` (homeplug_message), EcoG-io/pyslac `messages.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chargerd.vehicle.slac.errors import SlacError

ETHERTYPE = 0x88E1
BROADCAST = b"\xff" * 6
MIN_FRAME = 60  # without the checksum, which the interface adds
MAX_FRAME = 1514
AV_1_0 = 0x00  # vendors' messages: no fragmentation field
AV_1_1 = 0x01
_VERSIONS = {AV_1_0: 17, AV_1_1: 19, 0x02: 19}  # where the body begins

# The two low bits of a message type say what it is.
REQ, CNF, IND, RSP = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Mme:
    """One management message. `body` may end in padding."""

    destination: bytes
    source: bytes
    kind: int  # MMTYPE with REQ, CNF, IND or RSP
    body: bytes
    version: int = AV_1_1


def parse(frame: bytes) -> Mme | None:
    """None for anything but an unfragmented MME."""
    if not 17 <= len(frame) <= MAX_FRAME:
        return None
    if int.from_bytes(frame[12:14], "big") != ETHERTYPE:
        return None
    begin = _VERSIONS.get(frame[14])
    if begin is None or len(frame) < begin:
        return None
    if begin == 19 and frame[17:19] != b"\0\0":  # a fragment: no SLAC message is one
        return None
    kind = int.from_bytes(frame[15:17], "little")
    return Mme(frame[:6], frame[6:12], kind, frame[begin:], frame[14])


def build(mme: Mme) -> bytes:
    """The frame, padded to Ethernet's minimum."""
    head = mme.destination + mme.source + ETHERTYPE.to_bytes(2, "big")
    head += bytes((mme.version,)) + mme.kind.to_bytes(2, "little")
    if mme.version != AV_1_0:
        head += b"\0\0"
    return (head + mme.body).ljust(MIN_FRAME, b"\0")


def mac_text(mac: bytes) -> str:
    """ "00:b0:52:00:00:01"."""
    return ":".join(f"{byte:02x}" for byte in mac)


def mac_bytes(text: str) -> bytes:
    """Raises SlacError for anything but six hex bytes with colons."""
    if not re.fullmatch(r"([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", text):
        raise SlacError(f'MAC address {text!r}: write it like "00:b0:52:00:00:01"')
    return bytes.fromhex(text.replace(":", ""))
