"""CHAdeMO CAN frames: bytes to frozen values and back.

Owns every scale, sign and bit of the bus; discharge current is <= 0 inside and
`0xFF - A` on the wire (200.0, 208.0, 208.3). Must never keep state or read a clock.
Facts: docs/vehicle-chademo.md. 11-bit ids, 8 bytes, 16-bit values little endian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.units import Range

VOLTAGE_MAX_V = 1500
CAPACITY_MAX_WH = 1_000_000.0
EXTENDED = 0xFF  # 102.3: the request is in frame 110

# 102.4.0 to 102.4.4, by bit.
VEHICLE_FAULT_BITS = (
    "over_voltage",
    "under_voltage",
    "current_deviation",
    "over_temperature",
    "voltage_deviation",
)

_BYTE = Range(0, 255)
_AMPERES = Range(0, 254)
_WORD = Range(0, 65_535)


class ChademoError(Exception):
    """A frame that cannot be true: wrong length or a value out of its range."""


@dataclass(frozen=True, slots=True)
class BatteryLimits:
    """100: what the battery stands. `rate_constant` 100 = SoC comes as percent."""

    min_current_a: float
    min_voltage_v: float
    max_voltage_v: float
    rate_constant: int


@dataclass(frozen=True, slots=True)
class ChargeEstimate:
    """101: times and capacity; `capacity_wh` None = not told."""

    max_time_s: float
    estimated_s: float
    capacity_wh: float | None


@dataclass(frozen=True, slots=True)
class VehicleStatus:
    """102: the vehicle's wishes and warnings. `request_a` None = see frame 110."""

    protocol: int
    target_voltage_v: float
    request_a: float | None
    faults: frozenset[str]
    enabled: bool
    not_in_park: bool
    system_fault: bool
    contactor_open: bool
    normal_stop: bool
    discharge_compatible: bool
    charged_rate: int


@dataclass(frozen=True, slots=True)
class BatteryVoltage:
    """103: battery voltage, sent by some cars only [K]."""

    voltage_v: float


@dataclass(frozen=True, slots=True)
class ExtendedRequest:
    """110 (protocol 2.0): capabilities; the request when 102.3 is FF, 1 A a bit [K]."""

    dynamic_control: bool
    high_current: bool
    high_voltage: bool
    request_a: float


@dataclass(frozen=True, slots=True)
class DischargeLimits:
    """200: `discharge_a` <= 0. Levels are raw: % or 0.1 kWh, see `levels_pct`."""

    discharge_a: float
    min_voltage_v: float
    min_level: int
    max_level: int


@dataclass(frozen=True, slots=True)
class DischargeEstimate:
    """201: V2H sequence number, time to the end of discharge, energy on offer."""

    sequence_number: int
    completion_min: int
    energy_wh: float


@dataclass(frozen=True, slots=True)
class MakerOption:
    """700 and 708: maker code and seven bytes of its own."""

    maker_code: int
    option: bytes = bytes(7)


VehicleFrame = (
    BatteryLimits
    | ChargeEstimate
    | VehicleStatus
    | BatteryVoltage
    | ExtendedRequest
    | DischargeLimits
    | DischargeEstimate
    | MakerOption
)


@dataclass(frozen=True, slots=True)
class StationCaps:
    """108: what we can give. `available_a` is live; 0 inhibits charging."""

    available_v: float
    available_a: float
    threshold_v: float
    weld_detection: bool = True


@dataclass(frozen=True, slots=True)
class StationStatus:
    """109: what we do. `current_a` (>= 0) charges; `remaining_s` None = very long."""

    protocol: int
    voltage_v: float = 0.0
    current_a: float = 0.0
    discharge_compatible: bool = False
    charging: bool = False
    malfunction: bool = False
    locked: bool = False
    incompatible: bool = False
    system_malfunction: bool = False
    stopped: bool = True
    remaining_s: float | None = None


@dataclass(frozen=True, slots=True)
class StationExtended:
    """118 (protocol 2.0): capability bits; we claim none unless told to."""

    dynamic_control: bool = False
    high_current: bool = False
    high_voltage: bool = False


@dataclass(frozen=True, slots=True)
class StationDischarge:
    """208: measured and largest discharge current (both <= 0) and voltage floors."""

    present_a: float
    min_input_v: float
    max_input_a: float
    lower_threshold_v: float


@dataclass(frozen=True, slots=True)
class StationSequence:
    """209: V2H sequence number and remaining discharge time."""

    sequence_number: int
    remaining_min: int


StationFrame = (
    StationCaps
    | StationStatus
    | StationExtended
    | StationDischarge
    | StationSequence
    | MakerOption
)


def _u16(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8


def _voltage(data: bytes, at: int, what: str) -> float:
    value = _u16(data, at)
    if value > VOLTAGE_MAX_V:
        raise ChademoError(f"{what}: {value} V is above {VOLTAGE_MAX_V} V")
    return float(value)


def _bit(byte: int, number: int) -> bool:
    return bool(byte >> number & 1)


def _battery_limits(data: bytes) -> BatteryLimits:
    return BatteryLimits(
        min_current_a=float(data[0]),
        min_voltage_v=_voltage(data, 2, "100.2-3 minimum battery voltage"),
        max_voltage_v=_voltage(data, 4, "100.4-5 maximum battery voltage"),
        rate_constant=data[6],
    )


def _charge_estimate(data: bytes) -> ChargeEstimate:
    capacity_wh = _u16(data, 5) * 100.0
    if capacity_wh > CAPACITY_MAX_WH:
        raise ChademoError(f"101.5-6 capacity: {capacity_wh:.0f} Wh is not a battery")
    max_time_s = data[2] * 60.0 if data[1] == 0xFF else data[1] * 10.0
    return ChargeEstimate(max_time_s, data[3] * 60.0, capacity_wh or None)


def _vehicle_status(data: bytes) -> VehicleStatus:
    flags = data[5]
    return VehicleStatus(
        protocol=data[0],
        target_voltage_v=_voltage(data, 1, "102.1-2 target voltage"),
        request_a=None if data[3] == EXTENDED else float(data[3]),
        faults=frozenset(
            name for bit, name in enumerate(VEHICLE_FAULT_BITS) if _bit(data[4], bit)
        ),
        enabled=_bit(flags, 0),
        not_in_park=_bit(flags, 1),
        system_fault=_bit(flags, 2),
        contactor_open=_bit(flags, 3),
        normal_stop=_bit(flags, 4),
        discharge_compatible=_bit(flags, 7),
        charged_rate=data[6],
    )


def _battery_voltage(data: bytes) -> BatteryVoltage:
    return BatteryVoltage(_voltage(data, 0, "103.0-1 battery voltage"))


def _extended_request(data: bytes) -> ExtendedRequest:
    request_a = float(_u16(data, 1))
    if request_a > 1000.0:
        raise ChademoError(f"110.1-2 request: {request_a:.0f} A is above 1000 A")
    return ExtendedRequest(
        _bit(data[0], 0), _bit(data[0], 1), _bit(data[0], 2), request_a
    )


def _discharge_limits(data: bytes) -> DischargeLimits:
    return DischargeLimits(
        discharge_a=float(data[0] - 0xFF),
        min_voltage_v=_voltage(data, 4, "200.4-5 minimum discharge voltage"),
        min_level=data[6],
        max_level=data[7],
    )


def _discharge_estimate(data: bytes) -> DischargeEstimate:
    return DischargeEstimate(data[0], _u16(data, 1), _u16(data, 3) * 100.0)


def _maker_option(data: bytes) -> MakerOption:
    return MakerOption(data[0], data[1:])


_DECODERS: dict[int, Callable[[bytes], VehicleFrame]] = {
    0x100: _battery_limits,
    0x101: _charge_estimate,
    0x102: _vehicle_status,
    0x103: _battery_voltage,
    0x110: _extended_request,
    0x200: _discharge_limits,
    0x201: _discharge_estimate,
    0x700: _maker_option,
}


def decode(frame_id: int, data: bytes) -> VehicleFrame | None:
    """One vehicle frame; None for an id that is not ours (202 of the Leaf ZE1, noise).

    Raises ChademoError for a known id with other than 8 bytes or an impossible value.
    """
    decoder = _DECODERS.get(frame_id)
    if decoder is None:
        return None
    if len(data) != 8:
        raise ChademoError(f"frame {frame_id:X}: {len(data)} bytes, expected 8")
    return decoder(bytes(data))


def _byte(value: float) -> int:
    return round(_BYTE.clamp(value))


def _word(value: float) -> bytes:
    return round(_WORD.clamp(value)).to_bytes(2, "little")


def _inverted(current_a: float) -> int:
    """`0xFF - A` of a discharge current (<= 0 inside); a charge current gives FF."""
    return 0xFF - round(_AMPERES.clamp(-current_a))


def _time_bytes(remaining_s: float | None) -> tuple[int, int]:
    """109.6 in 10 s steps, or FF there and minutes in 109.7."""
    if remaining_s is None:
        return 0xFF, 0xFF
    if remaining_s <= 2540.0:
        return _byte(remaining_s / 10.0), 0
    return 0xFF, _byte(remaining_s / 60.0)


def _flags(*bits: tuple[int, bool]) -> int:
    return sum(1 << number for number, on in bits if on)


def _status_bytes(frame: StationStatus) -> bytes:
    flags = _flags(
        (0, frame.charging),
        (1, frame.malfunction),
        (2, frame.locked),
        (3, frame.incompatible),
        (4, frame.system_malfunction),
        (5, frame.stopped),
    )
    head = bytes((_byte(frame.protocol),)) + _word(frame.voltage_v)
    amperes = round(_AMPERES.clamp(frame.current_a))
    tail = (amperes, int(frame.discharge_compatible), flags)
    return head + bytes((*tail, *_time_bytes(frame.remaining_s)))


def encode(frame: StationFrame) -> tuple[int, bytes]:
    """The id and 8 bytes of one of our frames; values are clamped, never refused."""
    match frame:
        case StationCaps():
            body = bytes((int(frame.weld_detection),)) + _word(frame.available_v)
            body += bytes((int(_AMPERES.clamp(frame.available_a)),))
            return 0x108, body + _word(frame.threshold_v) + bytes(2)
        case StationStatus():
            return 0x109, _status_bytes(frame)
        case StationExtended():
            bits = (frame.dynamic_control, frame.high_current, frame.high_voltage)
            return 0x118, bytes((_flags(*enumerate(bits)),)) + bytes(7)
        case StationDischarge():
            body = bytes((_inverted(frame.present_a),)) + _word(frame.min_input_v)
            body += bytes((_inverted(frame.max_input_a), 0, 0))
            return 0x208, body + _word(frame.lower_threshold_v)
        case StationSequence():
            body = bytes((_byte(frame.sequence_number),)) + _word(frame.remaining_min)
            return 0x209, body + bytes(5)
        case MakerOption():
            body = bytes((_byte(frame.maker_code),)) + frame.option
            return 0x708, body[:8].ljust(8, b"\0")


def soc_pct(rate_constant: int, charged_rate: int) -> float | None:
    """SoC from 100.6 and 102.6; None when the pair makes no sense."""
    if rate_constant == 0 or charged_rate > rate_constant:
        return None
    return 100.0 * charged_rate / rate_constant


def levels_pct(
    limits: DischargeLimits, *, has_201: bool, capacity_wh: float | None
) -> tuple[float | None, float | None]:
    """200.6 and 200.7 in percent: (minimum for discharge, maximum for charge).

    One value above 100, or no frame 201 (V2H guideline before 1.1), means 0.1 kWh a
    bit for both, to be divided by the capacity of 101.5-6. None = unknown; a maximum
    of 0 is "unused" and None too.
    """
    if max(limits.min_level, limits.max_level) <= 100 and has_201:
        return float(limits.min_level), float(limits.max_level) or None
    if not capacity_wh:
        return None, None
    percent = 100.0 * 100.0 / capacity_wh  # per bit: 100 Wh of the whole, in percent
    return limits.min_level * percent, limits.max_level * percent or None
