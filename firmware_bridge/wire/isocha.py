"""Bender isoCHA425HV values and registers (FC03, FC16), sans-I/O.

Source: EVerest Bender_isoCHA425HV driver; not verified on hardware. A value is four
registers: float32, alarm and unit and validity bits, channel. Channel and unit are
checked, so a late reply to another question is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from firmware_bridge.units import BridgeError

RESISTANCE = 1000
VOLTAGE = 1008
VALUE_REGISTERS = 4
DEVICE_ON = 3026

UNIT_OHM = 2
UNIT_VOLT = 4


class Validity(IntEnum):
    """Bits 6..7 of the low byte: how the true value stands to the one shown."""

    TRUE = 0
    SMALLER = 1
    BIGGER = 2
    INVALID = 3


class Alarm(IntEnum):
    """Bits 0..2 of the high byte."""

    NONE = 0
    PREWARNING = 1
    DEVICE_ERROR = 2
    WARNING = 4
    ALARM = 5


@dataclass(frozen=True, slots=True)
class Value:
    """One measured value as the monitor shows it."""

    value: float
    alarm: int
    testing: bool
    unit: int
    validity: Validity
    channel: int


def decode_value(registers: Sequence[int], unit: int, what: str) -> Value:
    """Raises BridgeError for a wrong length or unit, or a number that is not finite."""
    if len(registers) != VALUE_REGISTERS:
        raise BridgeError(f"isoCHA {what}: {len(registers)} registers, need 4")
    number: float = struct.unpack(">f", struct.pack(">HH", *registers[:2]))[0]
    high, low = registers[2] >> 8, registers[2] & 0xFF
    validity = Validity(low >> 6)
    if low & 0x1F != unit and validity is not Validity.INVALID:
        raise BridgeError(f"isoCHA {what}: unit {low & 0x1F}, expected {unit}")
    if not math.isfinite(number) and validity is not Validity.INVALID:
        raise BridgeError(f"isoCHA {what}: {number} is not finite")
    return Value(number, high & 0x7, bool(high >> 6), unit, validity, registers[3])


def worst_resistance_ohm(value: Value) -> float | None:
    """The resistance one may rely on, or None.

    "Bigger" gives a lower bound: safe to use. "Smaller" gives none: 0 ohm is assumed.
    """
    if value.validity is Validity.INVALID:
        return None
    if value.validity is Validity.SMALLER or value.value < 0:
        return 0.0
    return value.value
