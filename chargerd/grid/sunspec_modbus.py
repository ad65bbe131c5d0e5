"""Modbus TCP as a server hears it: bytes to requests, answers to bytes.

Pure. Knows functions 3, 6 and 16 and no register (MODBUS Messaging on TCP/IP V1.0b,
Application Protocol V1.1b3). A stream that is no Modbus raises GridError: close it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from chargerd.grid.errors import GridError

READ, WRITE_ONE, WRITE = 3, 6, 16
MOST_READ, MOST_WRITTEN = 125, 123
_HEADER = struct.Struct(">HHHB")
_MOST_BYTES = 254  # what the length field may say: unit and PDU


class Code(IntEnum):
    """Why a request was not served."""

    FUNCTION = 1
    ADDRESS = 2
    VALUE = 3
    BUSY = 6
    NO_UNIT = 11


class Refusal(Exception):
    """Answered by an exception code. `reason` is the counter's name."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Request:
    """`words` None = read `count` registers."""

    tid: int
    unit: int
    function: int
    address: int = 0
    count: int = 0
    words: tuple[int, ...] | None = None
    refusal: Refusal | None = None  # it is whole, but nothing to serve


class Stream:
    """One connection's bytes, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are whole now. Raises GridError."""
        self._buffer += data
        found = []
        while len(self._buffer) >= _HEADER.size:
            tid, protocol, length, unit = _HEADER.unpack_from(self._buffer)
            if protocol != 0 or not 2 <= length <= _MOST_BYTES:
                raise GridError(f"no Modbus: protocol {protocol}, length {length}")
            if len(self._buffer) < 6 + length:
                break
            pdu = bytes(self._buffer[7 : 6 + length])
            del self._buffer[: 6 + length]
            found.append(_request(tid, unit, pdu))
        return found


def _request(tid: int, unit: int, pdu: bytes) -> Request:
    function, body = pdu[0], pdu[1:]
    if function not in (READ, WRITE_ONE, WRITE):
        refusal = Refusal(Code.FUNCTION, "function")
        return Request(tid, unit, function, refusal=refusal)
    bad = Request(tid, unit, function, refusal=Refusal(Code.VALUE, "malformed"))
    if len(body) < 4:
        return bad
    address, count = struct.unpack_from(">HH", body)
    if function == READ:
        good = len(body) == 4 and 1 <= count <= MOST_READ
        return Request(tid, unit, function, address, count) if good else bad
    if function == WRITE_ONE:
        good = len(body) == 4
        return Request(tid, unit, function, address, 1, (count,)) if good else bad
    if not 1 <= count <= MOST_WRITTEN or len(body) != 5 + 2 * count:
        return bad
    if body[4] != 2 * count:
        return bad
    words = struct.unpack_from(f">{count}H", body, 5)
    return Request(tid, unit, function, address, count, words)


def answer(request: Request, words: list[int]) -> bytes:
    """What was read; of a write its echo."""
    if request.words is None:
        body = struct.pack(f">B{len(words)}H", 2 * len(words), *words)
    elif request.function == WRITE_ONE:
        body = struct.pack(">HH", request.address, request.words[0])
    else:
        body = struct.pack(">HH", request.address, request.count)
    return _adu(request, request.function, body)


def refuse(request: Request, code: Code) -> bytes:
    """An exception answer."""
    return _adu(request, request.function | 0x80, bytes((code,)))


def _adu(request: Request, function: int, body: bytes) -> bytes:
    head = _HEADER.pack(request.tid, 0, 2 + len(body), request.unit)
    return head + bytes((function,)) + body
