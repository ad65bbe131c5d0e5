"""Eastron SDM630-V2 and SDM72D-V2 register map (FC04, float32 big endian), sans-I/O.

Addresses: mbmd `sdm.go`, EVerest GenericPowermeter models. Each block has a length of
its own, so that a late reply to another question is refused by its length. The wire's
power is already import-positive; currents are magnitudes and get their phase's sign.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.api import MeterReading
from firmware_bridge.units import BridgeError, Range


@dataclass(frozen=True, slots=True)
class Block:
    """Registers read with one request."""

    address: int
    count: int


PHASES = Block(0x0000, 18)  # V, A, W of L1..L3
TOTAL_W = Block(0x0034, 2)
REACTIVE = Block(0x003C, 4)  # var, power factor [K: SDM72D-V2]
FREQUENCY_AND_ENERGY = Block(0x0046, 6)  # Hz, import kWh, export kWh
ENERGY = Block(0x0048, 4)  # import kWh, export kWh

# SDM72D-V2 answers the same map.
SDM630 = (TOTAL_W, PHASES, FREQUENCY_AND_ENERGY, REACTIVE)
SDM72 = (TOTAL_W, ENERGY)  # SDM72DM (V1) has no voltages and no frequency

_POWER_W = Range(-2e6, 2e6)
_VOLTAGE_V = Range(0.0, 1000.0)
_CURRENT_A = Range(-5000.0, 5000.0)
_FREQUENCY_HZ = Range(0.0, 100.0)
_FACTOR = Range(-1.01, 1.01)
_ENERGY_KWH = Range(0.0, 1e9)


def decode(blocks: Sequence[tuple[Block, Sequence[int]]]) -> MeterReading:
    """All blocks of one map into a reading.

    Raises BridgeError for a wrong length, NaN, infinity or a value no grid has.
    """
    values: dict[int, float] = {}
    for block, registers in blocks:
        if len(registers) != block.count:
            raise BridgeError(
                f"SDM {block.address:04X}: {len(registers)} registers of {block.count}"
            )
        for offset in range(0, block.count, 2):
            values[block.address + offset] = float32(registers[offset : offset + 2])
    hertz, var, factor = values.get(0x46), values.get(0x3C), values.get(0x3E)
    voltage_v, current_a, phase_power_w = _phases(values)
    return MeterReading(
        power_w=_checked(values[0x34], _POWER_W, "total W"),
        import_wh=_checked(values[0x48], _ENERGY_KWH, "import kWh") * 1000,
        export_wh=_checked(values[0x4A], _ENERGY_KWH, "export kWh") * 1000,
        frequency_hz=None if hertz is None else _checked(hertz, _FREQUENCY_HZ, "Hz"),
        voltage_v=voltage_v,
        current_a=current_a,
        phase_power_w=phase_power_w,
        reactive_var=None if var is None else _checked(var, _POWER_W, "var"),
        power_factor=None if factor is None else _checked(factor, _FACTOR, "factor"),
    )


def float32(registers: Sequence[int]) -> float:
    """Two registers, high word first."""
    high, low = registers
    value: float = struct.unpack(">f", struct.pack(">HH", high, low))[0]
    return value


def _phases(
    values: dict[int, float],
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """V, A and W of L1..L3; empty where the map has none."""
    if 0x00 not in values:
        return (), (), ()
    power_w = _three(values, 0x0C, _POWER_W, "W")
    current_a = _three(values, 0x06, _CURRENT_A, "A")
    signed_a = tuple(
        math.copysign(a, w) for a, w in zip(current_a, power_w, strict=True)
    )
    return _three(values, 0x00, _VOLTAGE_V, "V"), signed_a, power_w


def _three(
    values: dict[int, float], first: int, allowed: Range, what: str
) -> tuple[float, ...]:
    return tuple(
        _checked(values[first + 2 * n], allowed, f"L{n + 1} {what}") for n in range(3)
    )


def _checked(value: float, allowed: Range, what: str) -> float:
    if value not in allowed:  # NaN is in no range
        raise BridgeError(
            f"SDM {what}: {value} is not in {allowed.low:g}..{allowed.high:g}"
        )
    return value
