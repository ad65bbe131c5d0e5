"""What an EVSE is as an ECHONET Lite "EV charger and discharger" (0x027E).

Pure: a report and the settings in, property bytes out. Codes are those of the machine
readable appendix 1.3.1 (refs: grid 1.1). What is not known now has no value: the node
then answers "not served", never a guess.
"""

from __future__ import annotations

import math

from chargerd.config import Evse
from chargerd.grid.readings import fresh
from chargerd.model import EvseReport, SessionPhase
from firmware_bridge.api import MeterReading, PilotState

CLASS = b"\x02\x7e"
MAX_W = 999_999_999  # and Wh: the class's range
ACTIVE_W = 100.0  # less than this is standby

# Operation modes, DA and E1.
OTHER, CHARGE, DISCHARGE, STANDBY = 0x40, 0x42, 0x43, 0x44
BOTH, IDLE, PREPARATION, AUTOMATIC = 0x46, 0x47, 0x48, 0x49

_NO, _YES = b"\x42", b"\x41"  # fault status 88: 41 = there is one
# CC by connector: IEC 62196-3 configuration AA = CHAdeMO, BB = GB/T, EE and FF = CCS 1
# and 2 [K: that the class means these by its letters].
_DC_TYPES = {"cG105": 0x20, "cGBT": 0x30, "cCCS1": 0x40, "cCCS2": 0x50}
_AC_PLAIN, _AC_CHARGE, _AC_BOTH = 0x11, 0x12, 0x13


def rating(power_w: float) -> bytes:
    """u32, within the class's range."""
    return _u32(power_w)


def current_range(evse: Evse, power_w: float) -> bytes:
    """CA, CB: from nothing to what that power is, in 0.1 A of each phase."""
    most_a = power_w / (evse.ac_voltage_v * evse.ac_phases)
    return b"\0\0" + _u16(10.0 * most_a)


def rated_voltage(evse: Evse) -> bytes:
    """D2."""
    return _u16(evse.ac_voltage_v)


def charger_type(evse: Evse) -> bytes:
    """CC: the first connector's."""
    both = evse.discharge_w > 0.0
    family = _DC_TYPES.get(evse.connectors[0].type)
    if family is not None:
        return bytes((family + (2 if both else 1),))
    if evse.iso15118 is None:
        return bytes((_AC_PLAIN,))
    return bytes((_AC_BOTH if both else _AC_CHARGE,))


def connection(report: EvseReport | None) -> int:
    """C7: is a vehicle there, and what could it do now."""
    if report is None:
        return 0xFF
    snapshot, decision = report.snapshot, report.decision
    if snapshot.session.phase is SessionPhase.IDLE:
        return 0x30
    pilot = snapshot.telemetry.pilot
    if pilot is not None and pilot.value.pilot_state is PilotState.UNKNOWN:
        return 0x44
    return 0x40 + (decision.high_w > 0.0) + 2 * (decision.low_w < 0.0)


def fault(report: EvseReport) -> bytes:
    """88."""
    return _YES if report.snapshot.faults else _NO


def actual_mode(report: EvseReport) -> int:
    """E1: what it does, by what was commanded."""
    match report.snapshot.session.phase:
        case SessionPhase.IDLE | SessionPhase.FINISHED:
            return IDLE
        case SessionPhase.STARTING:
            return PREPARATION
    if report.decision.power_w >= ACTIVE_W:
        return CHARGE
    if report.decision.power_w <= -ACTIVE_W:
        return DISCHARGE
    return STANDBY


def values(report: EvseReport, floor_pct: float) -> dict[int, bytes]:
    """Everything that changes by itself and is known."""
    snapshot = report.snapshot
    site = snapshot.site
    exports = site.discharge_permitted and site.export_limit_w < 0.0
    found = {
        0xDB: b"\x00" if exports else b"\x02",
        0xE1: bytes((actual_mode(report),)),
    }
    meter = fresh(snapshot.telemetry.meter, snapshot.now.mono)
    if meter is not None:
        found |= _measured(meter)
    return found | _battery(report, floor_pct)


def _measured(meter: MeterReading) -> dict[int, bytes]:
    """At the AC terminals; current and voltage where there is one phase only [K]."""
    found = {
        0xD3: _i32(meter.power_w),
        0xD6: _counter(meter.export_wh),
        0xD8: _counter(meter.import_wh),
    }
    if len(meter.current_a) == 1:
        current_a = math.copysign(meter.current_a[0], meter.power_w)
        found[0xD4] = _i16(10.0 * current_a)
    if len(meter.voltage_v) == 1:
        found[0xD5] = _i16(meter.voltage_v[0])
    return found


def _battery(report: EvseReport, floor_pct: float) -> dict[int, bytes]:
    """Of the vehicle. `floor_pct` is what discharge leaves in it."""
    vehicle = report.snapshot.vehicle
    soc, capacity_wh = vehicle.soc_pct, vehicle.capacity_wh
    found: dict[int, bytes] = {}
    if soc is not None:
        soc = min(max(soc, 0.0), 100.0)
        found[0xE4] = _u8(soc)
    if capacity_wh is not None:
        found[0xCE] = _u32(capacity_wh)
    if soc is not None and capacity_wh is not None:
        found[0xCF] = found[0xD0] = _u32(capacity_wh * (100.0 - soc) / 100.0)
        found[0xE2] = _u32(capacity_wh * soc / 100.0)
        found |= _dischargeable(report, floor_pct, soc, capacity_wh)
    return found


def _dischargeable(
    report: EvseReport, floor_pct: float, soc: float, capacity_wh: float
) -> dict[int, bytes]:
    """C0, C2, C4: of a full battery, and now; what the promise needs is kept back."""
    promise, flexibility = report.snapshot.session.promise, report.flexibility
    floor = max(floor_pct, promise.floor_soc_pct if promise else 0.0)
    full_wh = capacity_wh * (100.0 - floor) / 100.0
    now_wh = capacity_wh * max(0.0, soc - floor) / 100.0
    if flexibility is not None and report.decision.low_w < 0.0:
        now_wh = min(now_wh, flexibility.up_wh)
    share_pct = 100.0 * now_wh / full_wh if full_wh > 0.0 else 0.0
    return {0xC0: _u32(full_wh), 0xC2: _u32(now_wh), 0xC4: _u8(share_pct)}


def _u8(value: float) -> bytes:
    return bytes((int(value),))


def _u16(value: float) -> bytes:
    return int(min(max(value, 0.0), 0xFFFD)).to_bytes(2, "big")


def _i16(value: float) -> bytes:
    return round(min(max(value, -0x7FFD), 0x7FFD)).to_bytes(2, "big", signed=True)


def _u32(value: float) -> bytes:
    return int(min(max(value, 0.0), MAX_W)).to_bytes(4, "big")


def _i32(value: float) -> bytes:
    bounded = min(max(value, -MAX_W), MAX_W)
    return round(bounded).to_bytes(4, "big", signed=True)


def _counter(wh: float) -> bytes:
    """0.001 kWh, from 999 999 999 back to 0."""
    return (int(max(0.0, wh)) % (MAX_W + 1)).to_bytes(4, "big")
