"""CHAdeMO frames from the vehicle's side: what it sends, what it reads. Pure.

Written from the facts of IEEE 2030.1.1 as public sources quote them (project refs,
grid 4.2); the discharge amperes are 0xFF minus A on the wire. Shares no code with the
station's codec. Bytes are little endian.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

PERIOD_S = 0.1
JITTER_S = 0.001
# (offset in the cycle, identifier); order matters on this bus
TIMETABLE = (
    (0.00, 0x100),
    (0.01, 0x101),
    (0.02, 0x102),
    (0.03, 0x110),
    (0.03, 0x200),
    (0.03, 0x201),
    (0.03, 0x700),
)
CHARGED_RATE_FULL = 0x64
MAKER_CODE = 0x01  # 700.0, option bytes zero


@dataclass(frozen=True, slots=True)
class Says:
    """All a vehicle tells in one 100 ms cycle; amperes are positive magnitudes."""

    min_battery_v: int = 0
    max_battery_v: int = 0
    capacity_wh: float = 0.0
    max_minutes: int = 0  # longest time it wants to charge
    charge_minutes: int = 0  # its estimate
    protocol_number: int = 2
    target_v: int = 0
    request_a: int = 0
    fault_bits: int = (
        0  # 102.4: over-V, under-V, current deviation, over-T, V deviation
    )
    enabled: bool = False  # 102.5.0
    shift_not_p: bool = False  # 102.5.1
    system_fault: bool = False  # 102.5.2
    contactor_open: bool = True  # 102.5.3
    stop_before_charge: bool = False  # 102.5.4
    discharge_compatible: bool = True  # 102.5.7
    soc_raw: int = 0
    discharge_a: int = 0
    min_discharge_v: int = 0
    min_level_raw: int = 0
    max_level_raw: int = 0
    sequence_number: int = 1
    discharge_minutes: int = 0
    available_wh: float = 0.0

    def frame(self, frame_id: int) -> bytes:
        """The 8 data bytes of one identifier this vehicle sends."""
        return _BUILDERS[frame_id](self)


def _u16(value: float) -> bytes:
    return min(0xFFFF, max(0, round(value))).to_bytes(2, "little")


def _u8(value: float) -> int:
    return min(0xFF, max(0, round(value)))


def _limits(says: Says) -> bytes:
    volts = _u16(says.min_battery_v) + _u16(says.max_battery_v)
    return b"\0\0" + volts + bytes([CHARGED_RATE_FULL, 0])


def _estimate(says: Says) -> bytes:
    minutes = bytes([_u8(says.max_minutes), _u8(says.charge_minutes)])
    return b"\0\xff" + minutes + b"\0" + _u16(says.capacity_wh / 100.0) + b"\0"


def _session(says: Says) -> bytes:
    status = (
        says.enabled
        | says.shift_not_p << 1
        | says.system_fault << 2
        | says.contactor_open << 3
        | says.stop_before_charge << 4
        | says.discharge_compatible << 7
    )
    head = bytes([says.protocol_number]) + _u16(says.target_v)
    return head + bytes(
        [_u8(says.request_a), says.fault_bits, status, _u8(says.soc_raw), 0]
    )


def _extended(says: Says) -> bytes:
    return bytes([0x01, 0, 0, 0, 0, 0, 0, 0])  # dynamic control, no high current


def _discharge(says: Says) -> bytes:
    head = bytes([0xFF - _u8(says.discharge_a), 0, 0, 0])
    levels = bytes([_u8(says.min_level_raw), _u8(says.max_level_raw)])
    return head + _u16(says.min_discharge_v) + levels


def _v2h(says: Says) -> bytes:
    minutes, energy = _u16(says.discharge_minutes), _u16(says.available_wh / 100.0)
    return bytes([says.sequence_number]) + minutes + energy + b"\0\0\0"


def _maker(says: Says) -> bytes:
    return bytes([MAKER_CODE, 0, 0, 0, 0, 0, 0, 0])


_BUILDERS = {
    0x100: _limits,
    0x101: _estimate,
    0x102: _session,
    0x110: _extended,
    0x200: _discharge,
    0x201: _v2h,
    0x700: _maker,
}


@dataclass(slots=True)
class Heard:
    """The newest of what the station said; `*_at_s` is when, None = never."""

    caps_at_s: float | None = None  # 108
    status_at_s: float | None = None  # 109
    available_v: int = 0
    available_a: int = 0
    threshold_v: int = 0
    present_v: int = 0
    present_a: int = 0
    discharge_compatible: bool = False  # 109.4.0
    charging: bool = False  # 109.5.0
    malfunction: bool = False  # 109.5.1
    locked: bool = False  # 109.5.2: locked (1.0), energised (1.1+)
    incompatible: bool = False  # 109.5.3
    system_malfunction: bool = False  # 109.5.4
    stop_control: bool = True  # 109.5.5
    discharge_at_s: float | None = None  # 208
    present_discharge_a: int = 0
    sequence_at_s: float | None = None  # 209

    def take(self, frame_id: int, data: bytes, now_s: float) -> None:
        """Read one frame of the station; others, and short ones, are ignored."""
        if len(data) < 8:
            return
        if frame_id == 0x108:
            self.caps_at_s = now_s
            self.available_v = int.from_bytes(data[1:3], "little")
            self.available_a = data[3]
            self.threshold_v = int.from_bytes(data[4:6], "little")
        elif frame_id == 0x109:
            self._status(data, now_s)
        elif frame_id == 0x208:
            self.discharge_at_s = now_s
            self.present_discharge_a = 0xFF - data[0]
        elif frame_id == 0x209:
            self.sequence_at_s = now_s

    def _status(self, data: bytes, now_s: float) -> None:
        self.status_at_s = now_s
        self.present_v = int.from_bytes(data[1:3], "little")
        self.present_a = data[3]
        self.discharge_compatible = bool(data[4] & 0x01)
        status = data[5]
        self.charging = bool(status & 0x01)
        self.malfunction = bool(status & 0x02)
        self.locked = bool(status & 0x04)
        self.incompatible = bool(status & 0x08)
        self.system_malfunction = bool(status & 0x10)
        self.stop_control = bool(status & 0x20)

    def age_s(self, now_s: float) -> float | None:
        """The age of the older of 108 and 109; None until both came."""
        if self.caps_at_s is None or self.status_at_s is None:
            return None
        return now_s - min(self.caps_at_s, self.status_at_s)


class Timetable:
    """When a vehicle speaks: the rows of TIMETABLE every 100 ms, with jitter."""

    def __init__(self, begin_s: float, source: random.Random) -> None:
        self._cycle_s = begin_s
        self._random = source
        self._next = 0

    def due(self, now_s: float) -> list[int]:
        """Identifiers whose time has come; a long gap is not made up for."""
        if now_s - self._cycle_s > 2 * PERIOD_S:
            self._cycle_s, self._next = now_s, 0
        found = []
        while now_s >= self._cycle_s + TIMETABLE[self._next][0] - 1e-9:
            found.append(TIMETABLE[self._next][1])
            self._next = (self._next + 1) % len(TIMETABLE)
            if self._next == 0:
                jitter_s = self._random.uniform(-JITTER_S, JITTER_S)
                self._cycle_s += PERIOD_S + jitter_s
        return found
