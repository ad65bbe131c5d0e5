"""What differs between modems: vendor messages, and the meaning of a result.

Qualcomm QCA7000/7005 and Lumissil CG5317. Layouts: EVerest/libslac `slac.hpp`,
qca/open-plc-utils (VS_SW_VER), uhi22/pyPLC `evaluateGetSwCnf`. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chargerd.vehicle.slac import mme
from chargerd.vehicle.slac.mme import CNF, REQ, Mme

LOCAL = bytes.fromhex("00b052000001")  # the modem at our own port, whatever its MAC

VS_SW_VER = 0xA000
VS_LINK_STATUS = 0xA0B8
NSCM_GET_VERSION = 0xAC6C
NSCM_GET_D_LINK_STATUS = 0xAC9C
_QUALCOMM = bytes.fromhex("00b052")
_LUMISSIL = bytes.fromhex("0016e8") + bytes(19)  # vendor code, then an empty LMS header
_MAX_VERSION = 64


class Vendor(Enum):
    UNKNOWN = "unknown"  # no answer to either question: no link detection
    QUALCOMM = "qualcomm"
    LUMISSIL = "lumissil"


@dataclass(frozen=True, slots=True)
class Version:
    """Who answered, with which firmware."""

    vendor: Vendor
    text: str


def questions(own_mac: bytes) -> tuple[Mme, Mme]:
    """Both vendors' version requests: a modem answers the one it knows."""
    return (
        Mme(LOCAL, own_mac, VS_SW_VER | REQ, _QUALCOMM, mme.AV_1_0),
        Mme(LOCAL, own_mac, NSCM_GET_VERSION | REQ, _LUMISSIL, mme.AV_1_0),
    )


def version(message: Mme) -> Version | None:
    """The answer to one of `questions`; None for anything else."""
    body = message.body
    if message.kind == VS_SW_VER | CNF and body[:3] == _QUALCOMM and len(body) >= 6:
        status, length = body[3], body[5]
        if status or not 0 < length <= _MAX_VERSION or len(body) < 6 + length:
            return None
        raw = body[6 : 6 + length].split(b"\0")[0]
        text = "".join(chr(c) if 0x20 <= c < 0x7F else "." for c in raw)
        return Version(Vendor.QUALCOMM, text)
    if message.kind == NSCM_GET_VERSION | CNF and body[:3] == _LUMISSIL[:3]:
        if len(body) < 30:
            return None
        numbers = (int.from_bytes(body[i : i + 2], "little") for i in (22, 24, 26, 28))
        return Version(Vendor.LUMISSIL, "CG5317 " + ".".join(map(str, numbers)))
    return None


def link_question(vendor: Vendor, own_mac: bytes) -> Mme | None:
    """Is anybody in our network? None: this modem cannot tell."""
    if vendor is Vendor.QUALCOMM:
        return Mme(LOCAL, own_mac, VS_LINK_STATUS | REQ, _QUALCOMM, mme.AV_1_0)
    if vendor is Vendor.LUMISSIL:
        kind = NSCM_GET_D_LINK_STATUS | REQ
        return Mme(LOCAL, own_mac, kind, _LUMISSIL, mme.AV_1_0)
    return None


def link_up(message: Mme) -> bool | None:
    """The answer to `link_question`; None for anything else."""
    body = message.body
    if message.kind == VS_LINK_STATUS | CNF and body[:3] == _QUALCOMM:
        return body[4] == 1 if len(body) >= 5 else None
    if message.kind == NSCM_GET_D_LINK_STATUS | CNF and body[:3] == _LUMISSIL[:3]:
        return body[22] == 1 if len(body) >= 23 else None
    return None


def key_accepted(vendor: Vendor, result: int) -> bool:
    """HomePlug AV 1.0 says 1 for success, and Qualcomm kept it; HomePlug AV 1.1 and
    Green PHY say 0 (qca/open-plc-utils issue 161). Of an unknown modem any answer is
    taken: better a match than none."""
    if vendor is Vendor.QUALCOMM:
        return result == 1
    return vendor is Vendor.UNKNOWN or result == 0
