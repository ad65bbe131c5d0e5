"""What the Eastron SDM630-EV adds to the SDM630: transactions that it signs itself.

Sans-I/O. Holding registers (FC03, FC16), one parameter a write; addresses and values
from EVerest's module Eastron_SDM630EV, not verified on hardware. The document is OCMF
with ECDSA-secp256r1-SHA256; whether it holds the export register, too, is [K].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum

from firmware_bridge.units import BridgeError

READ_MAX = 36  # registers in one answer: what the links' time allows; the meter: 80
TEXT_REGISTERS = 20
DOCUMENT_MAX = 2 * (0x2300 - 0x2101)  # bytes, up to the next thing in the map
SIGNATURE_MAX = 160

STATUS = 0x17A1
CONTROL = 0x17A2
SIGNATURE_STATUS = 0x17AC
SIGNATURE_FORMAT = 0x17B0
SIGNATURE_ALGORITHM = 0x17B1
ID_STATUS = 0x1800
ID_FLAGS = 0x1802
ID_TYPE = 0x1804
ID_DATA = 0x1805
SIGNATURE_LENGTH = 0x1D00
SIGNATURE = 0x1D01
DOCUMENT_LENGTH = 0x2100
DOCUMENT = 0x2101
PUBLIC_KEY = 0x2300
PUBLIC_KEY_REGISTERS = 32
TIME_ZONE = 0xEFFE  # float32, hours
TIME = 0xF000

BEGIN, END = 1, 2
FORMAT_HEX_DER = 0
ALGORITHM_SECP256R1 = 1
ID_ASSIGNED = 0  # inverted: 1 = not assigned
ID_LOCAL = 0x0D  # an identity made by the station: OCMF's "LOCAL"
NO_FLAGS = 0x0000_5011  # RFID_NONE, OCPP_NONE, ISO15118_NONE, PLMN_NONE


class Status(IntEnum):
    """Of the meter's transaction."""

    IDLE = 0
    RUNNING = 1
    POWER_LOSS = 2
    RESET = 3


class Signing(IntEnum):
    """Of the last signature; all others are failures."""

    NOT_INITIALISED = 0
    IDLE = 1
    RUNNING = 2
    DONE = 3


_FAILURES = {
    0x04: "its clock was not set before the transaction began",
    0x05: "invalid measurement",
    0x06: "signature state",
    0x07: "making of the key pair",
    0x08: "SHA",
    0x09: "public key",
    0x10: "message format",
    0x11: "message size",
    0x12: "signature",
}


def failure(code: int) -> str:
    """Why there is no signature; "" while there may be one yet."""
    if code in tuple(Signing):
        return ""
    return f"the meter could not sign: {_FAILURES.get(code, f'error {code:#x}')}"


def text_registers(text: str) -> list[int]:
    """A field of 40 characters, filled up with zeros. BridgeError: does not fit."""
    data = text.encode("ascii", "replace")
    if len(data) > 2 * TEXT_REGISTERS:
        raise BridgeError(f"{text!r:.50}: {len(data)} characters, 40 fit")
    return _registers(data.ljust(2 * TEXT_REGISTERS, b"\0"))


def time_registers(at: datetime) -> list[int]:
    """Packed BCD: second, minute, hour, weekday, day, month, year, century."""
    day = (at.day, at.month, at.year % 100, at.year // 100)
    parts = (at.second, at.minute, at.hour, at.isoweekday(), *day)
    return _registers(bytes(part // 10 << 4 | part % 10 for part in parts))


def octets(registers: Sequence[int], length: int) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in registers)[:length]


def document(given: bytes, signature: bytes) -> str:
    """The OCMF text. Devices give it whole, or without signature, or the bare payload.

    BridgeError: not ASCII.
    """
    try:
        text = given.decode("ascii").rstrip("\0")
    except UnicodeDecodeError as error:
        raise BridgeError(f"the meter's document is no text: {error}") from error
    if text.count("|") >= 2:
        return text
    head = "" if text.startswith("OCMF|") else "OCMF|"
    signed = f'{{"SA":"ECDSA-secp256r1-SHA256","SD":"{signature.hex().upper()}"}}'
    return f"{head}{text}|{signed}"


def public_key(registers: Sequence[int]) -> str:
    """In hex, as the uncompressed point 04||X||Y."""
    return "04" + octets(registers, 64).hex().upper()


def _registers(data: bytes) -> list[int]:
    return [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2)]
