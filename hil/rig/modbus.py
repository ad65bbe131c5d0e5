"""A Modbus server: RTU and TCP framing, functions 3, 4, 6 and 16. Pure.

Written from the Modbus application protocol, so that drivers are not judged by their
own library. A wrong CRC or another unit is met with silence, as on a real line.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Protocol

from hil.rig.faults import Faults

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
READ_MAX, WRITE_MAX = 125, 123

KINDS: Mapping[str, str] = {
    "wrong_id": "answers carry another unit id",
    "exception": "every question is answered with exception `code` (default 4)",
}


class ModbusError(Exception):
    """An exception answer: `code` as in the protocol."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class Registers(Protocol):
    """A device's register map; both methods raise ModbusError."""

    def read(self, function: int, address: int, count: int) -> list[int]: ...
    def write(self, address: int, values: list[int]) -> None: ...


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def with_crc(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(2, "little")


def answer_pdu(registers: Registers, pdu: bytes) -> bytes:
    """The answer to one request PDU, exceptions included."""
    try:
        return _serve(registers, pdu)
    except ModbusError as error:
        return bytes((pdu[0] | 0x80, error.code))


def _serve(registers: Registers, pdu: bytes) -> bytes:
    function = pdu[0]
    if function in (READ_HOLDING, READ_INPUT) and len(pdu) == 5:
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= READ_MAX:
            raise ModbusError(ILLEGAL_VALUE)
        values = registers.read(function, address, count)
        return bytes((function, 2 * count)) + struct.pack(f">{count}H", *values)
    if function == WRITE_ONE and len(pdu) == 5:
        address, value = struct.unpack(">HH", pdu[1:])
        registers.write(address, [value])
        return pdu
    if function == WRITE_MANY and len(pdu) >= 6:
        address, count, size = struct.unpack(">HHB", pdu[1:6])
        if size != 2 * count or len(pdu) != 6 + size or not 1 <= count <= WRITE_MAX:
            raise ModbusError(ILLEGAL_VALUE)
        registers.write(address, list(struct.unpack(f">{count}H", pdu[6:])))
        return pdu[:5]
    raise ModbusError(ILLEGAL_FUNCTION)


class Unit:
    """One addressed device with its faults; `answer` is None when it stays silent."""

    def __init__(self, number: int, registers: Registers, faults: Faults) -> None:
        self.number = number
        self.registers = registers
        self.faults = faults
        self.questions = 0

    def answer(self, pdu: bytes) -> tuple[int, bytes] | None:
        """(unit id, PDU) of the answer."""
        if self.faults.deaf or not pdu:
            return None
        self.questions += 1
        if "exception" in self.faults:
            code = int(self.faults.number("exception", "code", DEVICE_FAILURE)) & 0xFF
            out = bytes((pdu[0] | 0x80, code))
        else:
            out = answer_pdu(self.registers, pdu)
        number = self.number
        if "wrong_id" in self.faults:
            number = number % 247 + 1
        return number, out


class RtuServer:
    """One unit on a serial line."""

    GAP_S = 0.05  # a pause this long starts a new frame

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.bad_frames = 0
        self._buffer = b""
        self._last = 0.0

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Bytes of the line: whole answer frames, CRC included."""
        if now - self._last > self.GAP_S:
            self._buffer = b""
        self._last = now
        self._buffer += data
        out = []
        while (size := self._size()) and len(self._buffer) >= size:
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            if crc16(frame) != 0:
                self.bad_frames += 1
                self._buffer = b""
                break
            if frame[0] == self.unit.number:
                answer = self.unit.answer(frame[1:-2])
                if answer is not None:
                    out.append(with_crc(bytes((answer[0],)) + answer[1]))
        return out

    def _size(self) -> int:
        """Length of the frame the buffer starts with; 0 = not known yet."""
        if len(self._buffer) < 7:
            return 0
        return 9 + self._buffer[6] if self._buffer[1] == WRITE_MANY else 8


class TcpServer:
    """The MBAP side of one connection; units by id, others are silent."""

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self.units = units
        self._buffer = b""

    def receive(self, data: bytes) -> list[tuple[Unit, bytes]]:
        """Bytes of the connection: answering unit and its frame, in order.

        ModbusError when the stream is not Modbus: the caller closes it.
        """
        self._buffer += data
        out = []
        while len(self._buffer) >= 8:
            tid, protocol, length, number = struct.unpack(">HHHB", self._buffer[:7])
            if protocol != 0 or not 2 <= length <= 254:
                raise ModbusError(ILLEGAL_VALUE)
            if len(self._buffer) < 6 + length:
                break
            pdu = self._buffer[7 : 6 + length]
            self._buffer = self._buffer[6 + length :]
            unit = self.units.get(number)
            answer = None if unit is None else unit.answer(pdu)
            if unit is not None and answer is not None:
                head = struct.pack(">HHHB", tid, 0, len(answer[1]) + 1, answer[0])
                out.append((unit, head + answer[1]))
        return out
