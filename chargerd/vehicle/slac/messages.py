"""The SLAC messages an EVSE reads and writes: bodies to values and back.

Layouts as EVerest/libslac `include/slac/slac.hpp` @913412d and EcoG-io/pyslac
`messages.py` @51ed0d6 have them (ISO 15118-3 Tables A.2 to A.8); both were read, and
tests/interop compares bytes with pyslac. A body that is too short or of another
application gives None.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

SET_KEY = 0x6008
SLAC_PARM = 0x6064
START_ATTEN_CHAR = 0x6068
ATTEN_CHAR = 0x606C
VALIDATE = 0x6078
SLAC_MATCH = 0x607C
ATTEN_PROFILE = 0x6084

GROUPS = 58  # OFDM carrier groups of an attenuation profile
RUN_ID = 8
NMK = 16
NID = 7
OTHER_STATION = 0x01  # RESP_TYPE: results go to the vehicle's host
NOT_REQUIRED = 0x04  # CM_VALIDATE result
_PEV_EVSE_OPEN = b"\0\0"  # application 0 (PEV-EVSE matching), security 0 (none)


def network_id(nmk: bytes) -> bytes:
    """NID from NMK: SHA-256 five times, the first 52 bits, security level 0.

    HomePlug Green PHY 4.4.3.1, as libslac `generate_nid_from_nmk` and pyslac
    `generate_nid` read it.
    """
    digest = nmk
    for _ in range(5):
        digest = hashlib.sha256(digest).digest()
    return digest[:6] + bytes((digest[6] >> 4,))


# --- from the vehicle -----------------------------------------------------------------


def slac_parm_req(body: bytes) -> bytes | None:
    """CM_SLAC_PARM.REQ: the run id."""
    if len(body) < 10 or body[:2] != _PEV_EVSE_OPEN:
        return None
    return body[2:10]


@dataclass(frozen=True, slots=True)
class StartAttenChar:
    """CM_START_ATTEN_CHAR.IND: sounds will follow for `time_out_s` at most."""

    run_id: bytes
    sounds: int
    time_out_s: float

    @staticmethod
    def read(body: bytes) -> StartAttenChar | None:
        if len(body) < 19 or body[:2] != _PEV_EVSE_OPEN or body[4] != OTHER_STATION:
            return None
        return StartAttenChar(body[11:19], body[2], body[3] / 10.0)


@dataclass(frozen=True, slots=True)
class AttenCharRsp:
    """CM_ATTEN_CHAR.RSP: the vehicle has our measurement."""

    ev_mac: bytes
    run_id: bytes
    result: int

    @staticmethod
    def read(body: bytes) -> AttenCharRsp | None:
        if len(body) < 51 or body[:2] != _PEV_EVSE_OPEN:
            return None
        return AttenCharRsp(body[2:8], body[8:16], body[50])


@dataclass(frozen=True, slots=True)
class MatchReq:
    """CM_SLAC_MATCH.REQ: the vehicle has chosen a station."""

    ev_id: bytes
    ev_mac: bytes
    evse_id: bytes
    evse_mac: bytes
    run_id: bytes

    @staticmethod
    def read(body: bytes) -> MatchReq | None:
        if len(body) < 66 or body[:2] != _PEV_EVSE_OPEN:
            return None
        return MatchReq(body[4:21], body[21:27], body[27:44], body[44:50], body[50:58])


# --- to the vehicle -------------------------------------------------------------------


def slac_parm_cnf(
    ev_mac: bytes, run_id: bytes, sounds: int, time_out_s: float
) -> bytes:
    """CM_SLAC_PARM.CNF: sound to all, and send the results to your own host."""
    deci = round(time_out_s * 10.0)
    head = b"\xff" * 6 + bytes((sounds, deci, OTHER_STATION))
    return head + ev_mac + _PEV_EVSE_OPEN + run_id


def atten_char_ind(
    ev_mac: bytes, run_id: bytes, sounds: int, groups_db: Sequence[int]
) -> bytes:
    """CM_ATTEN_CHAR.IND: how weak the sounds were, per group. Ids are zeros."""
    profile = bytes((sounds, len(groups_db))) + bytes(groups_db)
    return _PEV_EVSE_OPEN + ev_mac + run_id + bytes(34) + profile


def validate_cnf(result: int) -> bytes:
    """CM_VALIDATE.CNF for signal type 0 (toggles of S2), no toggle seen."""
    return bytes((0, 0, result))


def match_cnf(request: MatchReq, nmk: bytes) -> bytes:
    """CM_SLAC_MATCH.CNF: the key of this cable's network. MVFLength is 0x56, little
    endian."""
    head = _PEV_EVSE_OPEN + (0x56).to_bytes(2, "little")
    names = request.ev_id + request.ev_mac + request.evse_id + request.evse_mac
    return head + names + request.run_id + bytes(8) + network_id(nmk) + b"\0" + nmk


# --- with the own modem ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttenProfile:
    """CM_ATTEN_PROFILE.IND: what our modem measured of one sound of `ev_mac`."""

    ev_mac: bytes
    groups_db: bytes

    @staticmethod
    def read(body: bytes) -> AttenProfile | None:
        if len(body) < 8 + GROUPS or body[6] != GROUPS:
            return None
        return AttenProfile(body[:6], body[8 : 8 + GROUPS])


def set_key_req(nmk: bytes) -> bytes:
    """CM_SET_KEY.REQ as ISO 15118-3 Table A.8 fixes it: nonces 0 (EVerest issue 1423),
    PID 4 (HLE protocol), NMK known."""
    head = bytes((1,)) + bytes(8) + bytes((4,)) + bytes(4)
    return head + network_id(nmk) + b"\x01" + nmk


def set_key_cnf(body: bytes) -> int | None:
    """CM_SET_KEY.CNF: the result. What it means depends on the modem (modem.py)."""
    return body[0] if len(body) >= 14 else None
