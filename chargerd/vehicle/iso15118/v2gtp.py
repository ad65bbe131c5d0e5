"""V2GTP: the 8-byte header between TCP (or TLS) and EXI, whole frames from any split.

Owns sync bytes, payload types and length caps. Must never look into a payload, read
a clock or keep more than one frame's cap plus what was handed in.
Source: ISO 15118-2 section 7.8, ISO 15118-20 section 7.8 (payload types).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from chargerd.vehicle.iso15118.errors import V2gError

VERSION, INVERSE = 0x01, 0xFE
HEADER_BYTES = 8
IGNORED_CAP_BYTES = 65_536

_HEADER = struct.Struct(">BBHI")
_SYNC = bytes((VERSION, INVERSE))


class PayloadType(IntEnum):
    """What a frame carries; 0xA000 and above belong to manufacturers."""

    EXI = 0x8001  # SupportedAppProtocol, DIN 70121 and ISO 15118-2
    COMMON = 0x8002  # ISO 15118-20 main stream, CommonMessages
    AC = 0x8003
    DC = 0x8004
    ACDP = 0x8005
    WPT = 0x8006
    SCHEDULE_RENEGOTIATION = 0x8101  # ISO 15118-20 side streams
    METERING_CONFIRMATION = 0x8102
    ACDP_STATUS = 0x8103
    PARKING_STATUS = 0x8104
    SDP_REQUEST = 0x9000  # UDP only, as all below
    SDP_RESPONSE = 0x9001
    SDP_REQUEST_WIRELESS = 0x9002
    SDP_RESPONSE_WIRELESS = 0x9003


# The longest payload taken from a peer, in bytes. A certificate message may hold
# several chains, a schedule up to 1,024 entries; a loop message stays below 300 bytes.
CAPS: Mapping[int, int] = {
    PayloadType.EXI: 65_536,
    PayloadType.COMMON: 65_536,
    PayloadType.AC: 4_096,
    PayloadType.DC: 4_096,
    PayloadType.ACDP: 4_096,
    PayloadType.WPT: 16_384,
    PayloadType.SCHEDULE_RENEGOTIATION: 65_536,
    PayloadType.METERING_CONFIRMATION: 16_384,
    PayloadType.ACDP_STATUS: 4_096,
    PayloadType.PARKING_STATUS: 4_096,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it came; `payload_type` is one of the framer's caps."""

    payload_type: int
    payload: bytes


def pack(payload_type: int, payload: bytes) -> bytes:
    """One frame for the wire."""
    return _HEADER.pack(VERSION, INVERSE, payload_type, len(payload)) + payload


def unpack(datagram: bytes) -> Frame:
    """The one frame that a UDP datagram is; V2gError for anything else."""
    if len(datagram) < HEADER_BYTES:
        raise V2gError(f"V2GTP datagram of {len(datagram)} bytes: no header; drop it")
    version, inverse, payload_type, length = _HEADER.unpack_from(datagram)
    if (version, inverse) != (VERSION, INVERSE):
        raise V2gError(f"V2GTP datagram begins {datagram[:2].hex()}: drop it")
    if length != len(datagram) - HEADER_BYTES:
        raise V2gError(
            f"V2GTP datagram says {length} bytes and has "
            f"{len(datagram) - HEADER_BYTES}: drop it"
        )
    return Frame(payload_type, datagram[HEADER_BYTES:])


class Framer:
    """Frames out of a byte stream: `receive` what came, then `next_frame` until None.

    Types that are not in `caps` are skipped unread and counted in `ignored`
    [V2G2-800]. A wrong sync byte or a length over its cap raises V2gError, now and on
    every later call: there is no way back into step, close the connection.
    """

    __slots__ = ("_buffer", "_caps", "_error", "_skip", "ignored")

    def __init__(self, caps: Mapping[int, int] = CAPS) -> None:
        self._caps = caps
        self._buffer = bytearray()
        self._skip = 0
        self._error: str | None = None
        self.ignored = 0

    @property
    def waiting(self) -> int:
        """Bytes of a frame that has not come whole."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        """Take bytes from the stream; never raises."""
        if self._error is not None:
            return
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += memoryview(data)[skipped:]

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None until more bytes come."""
        while True:
            length = self._header()
            if length is None:
                return None
            payload_type = int.from_bytes(self._buffer[2:4], "big")
            if payload_type not in self._caps:
                self._ignore(length)
                continue
            end = HEADER_BYTES + length
            if len(self._buffer) < end:
                return None
            payload = bytes(memoryview(self._buffer)[HEADER_BYTES:end])
            del self._buffer[:end]
            return Frame(payload_type, payload)

    def _header(self) -> int | None:
        """The payload's length once the header is there and true."""
        if self._error is not None:
            raise V2gError(self._error)
        start = bytes(self._buffer[:2])
        if start != _SYNC[: len(start)]:
            raise self._broken("V2GTP frame does not begin with 01fe")
        if len(self._buffer) < HEADER_BYTES:
            return None
        payload_type, length = struct.unpack_from(">HI", self._buffer, 2)
        cap = self._caps.get(payload_type, IGNORED_CAP_BYTES)
        if length > cap:
            raise self._broken(
                f"V2GTP frame 0x{payload_type:04x} of {length} bytes, at most {cap}"
            )
        return int(length)

    def _ignore(self, length: int) -> None:
        self.ignored += 1
        end = HEADER_BYTES + length
        self._skip = max(0, end - len(self._buffer))
        del self._buffer[:end]

    def _broken(self, what: str) -> V2gError:
        self._error = f"{what}: close the connection"
        self._buffer.clear()
        return V2gError(self._error)
