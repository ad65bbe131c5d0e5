"""Block J: what the meter, the vehicle and the decision say, as SampledValues.

Pure functions. Registers are passed on as read (J02.FR.16, .17); a reading older than
`FRESH_S` is no measurement and is left out. Which values are asked for is
`readings.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from chargerd.clock import Now
from chargerd.model import EvseReport, VehicleNeeds
from chargerd.ocpp.blocks.desk import stamp
from chargerd.ocpp.effects import Payload
from firmware_bridge.api import MeterReading, Reading

FRESH_S = 10.0
Phased = list[tuple[float, str]]  # value and phase, "" = the whole

_OF_VEHICLE = ("SoC", "Display", "EnergyRequest")
_UNITS = {
    "Current": "A", "Display": "Percent", "Energy": "Wh", "EnergyRequest": "Wh",
    "Frequency": "Hz", "Power": "W", "SoC": "Percent", "Voltage": "V",
}  # fmt: skip
_OTHER_UNITS = {
    "Display.BatteryEnergyCapacity": "Wh",
    "Energy.Reactive": "varh",
    "Power.Factor": "",
    "Power.Reactive": "var",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """What the registers counted since the last value of the same kind."""

    import_wh: float
    export_wh: float
    wish_wh: float  # what following the setpoint exactly would have moved
    import_varh: float | None = None
    export_varh: float | None = None


def fresh_meter(report: EvseReport, now: Now) -> Reading[MeterReading] | None:
    reading = report.snapshot.telemetry.meter
    if reading is None or reading.age_s(now.mono) > FRESH_S:
        return None
    return reading


def meter_value(
    report: EvseReport,
    measurands: Iterable[str],
    context: str,
    now: Now,
    at_utc: datetime | None = None,
    *,
    interval: Interval | None = None,
    location: str = "Outlet",
) -> Payload | None:
    """A MeterValueType, None when nothing asked for is known. `at_utc`: the grid time
    of clock-aligned values (J01), else the time of the reading."""
    reading = fresh_meter(report, now)
    samples = []
    for measurand in measurands:
        for value, phase in _values(measurand, report, reading, interval):
            if math.isfinite(value):
                samples.append(_sample(measurand, value, phase, context, location))
    if not samples:
        return None
    taken = at_utc or (now.utc_at(reading.at_mono) if reading else now.utc)
    return {"timestamp": stamp(taken), "sampledValue": samples}


def relabelled(
    value: Payload | None, context: str = "Transaction.End"
) -> Payload | None:
    """The last known value, said to be what it now is; its own timestamp stays."""
    if value is None:
        return None
    samples = [{**sample, "context": context} for sample in value["sampledValue"]]
    return {**value, "sampledValue": samples}


def _sample(
    measurand: str, value: float, phase: str, context: str, location: str
) -> Payload:
    kind = measurand.split(".", maxsplit=1)[0]
    sample: Payload = {
        "value": round(value, 3) + 0.0,  # -0.0 becomes 0.0
        "measurand": measurand,
        "context": context,
        "location": "EV" if kind in _OF_VEHICLE else location,
    }
    unit = _unit(measurand)
    if unit:
        sample["unitOfMeasure"] = {"unit": unit}
    if phase:
        sample["phase"] = phase
    return sample


def _unit(measurand: str) -> str:
    parts = measurand.split(".")
    return _OTHER_UNITS.get(".".join(parts[:2]), _UNITS[parts[0]])


def _values(
    measurand: str,
    report: EvseReport,
    reading: Reading[MeterReading] | None,
    interval: Interval | None,
) -> Phased:
    if measurand in _OF_METER:
        return _OF_METER[measurand](reading.value) if reading else []
    if measurand in _OF_INTERVAL:
        return _one(_OF_INTERVAL[measurand](interval)) if interval else []
    if measurand in _OF_NEEDS:
        needs = report.snapshot.vehicle.needs
        return _one(_OF_NEEDS[measurand](needs)) if needs else []
    if measurand == "Power.Active.Residual":
        wanted_w = report.decision.wanted_w
        return _one(_residual_w(reading.value.power_w, wanted_w) if reading else None)
    found = _OF_REPORT.get(measurand)
    return _one(found(report)) if found else []


def _residual_w(power_w: float, setpoint_w: float) -> float:
    """+ = more power than the setpoint asks for, in its own direction (Q 2.4, whose
    formula says Import where it means Export)."""
    if setpoint_w < 0.0:
        return max(-power_w, 0.0) + setpoint_w
    return max(power_w, 0.0) - setpoint_w if setpoint_w > 0.0 else abs(power_w)


def _one(value: float | None) -> Phased:
    return [] if value is None else [(value, "")]


def _each(values: Iterable[float], suffix: str = "") -> Phased:
    return [(value, f"L{n}{suffix}") for n, value in enumerate(values, 1)]


def _both_ways(total: float | None, phases: Iterable[float], sign: float) -> Phased:
    """The whole and, where the meter tells them, its phases."""
    if total is None:
        return []
    return [(max(sign * total, 0.0), ""), *_each(max(sign * w, 0.0) for w in phases)]


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


# Signs: our positive is into the vehicle; Import and Export are magnitudes. The value
# stands first in max(): so NaN stays NaN and is left out, it does not become 0 W.
_OF_METER: dict[str, Callable[[MeterReading], Phased]] = {
    "Energy.Active.Import.Register": lambda m: _one(m.import_wh),
    "Energy.Active.Export.Register": lambda m: _one(m.export_wh),
    "Energy.Active.Net": lambda m: _one(m.import_wh - m.export_wh),
    "Energy.Reactive.Import.Register": lambda m: _one(m.import_varh),
    "Energy.Reactive.Export.Register": lambda m: _one(m.export_varh),
    "Energy.Reactive.Net": lambda m: _one(_less(m.import_varh, m.export_varh)),
    "Power.Active.Import": lambda m: _both_ways(m.power_w, m.phase_power_w, 1.0),
    "Power.Active.Export": lambda m: _both_ways(m.power_w, m.phase_power_w, -1.0),
    "Power.Reactive.Import": lambda m: _both_ways(m.reactive_var, (), 1.0),
    "Power.Reactive.Export": lambda m: _both_ways(m.reactive_var, (), -1.0),
    "Power.Factor": lambda m: _one(m.power_factor),
    "Current.Import": lambda m: _each(max(a, 0.0) for a in m.current_a),
    "Current.Export": lambda m: _each(max(-a, 0.0) for a in m.current_a),
    "Voltage": lambda m: _each(m.voltage_v, "-N"),
    "Frequency": lambda m: _one(m.frequency_hz),
}
_OF_INTERVAL: dict[str, Callable[[Interval], float | None]] = {
    "Energy.Active.Import.Interval": lambda i: i.import_wh,
    "Energy.Active.Export.Interval": lambda i: i.export_wh,
    "Energy.Active.Setpoint.Interval": lambda i: i.wish_wh,
    "Energy.Reactive.Import.Interval": lambda i: i.import_varh,
    "Energy.Reactive.Export.Interval": lambda i: i.export_varh,
}
# "Minimum" is the vehicle's: it can do no less (the station can do any little).
_OF_NEEDS: dict[str, Callable[[VehicleNeeds], float | None]] = {
    "Display.MinimumSOC": lambda n: n.min_soc_pct,
    "Display.TargetSOC": lambda n: n.target_soc_pct,
    "Display.MaximumSOC": lambda n: n.max_soc_pct,
    "EnergyRequest.Target": lambda n: n.target_wh,
    "EnergyRequest.Minimum": lambda n: n.min_wh,
    "EnergyRequest.Maximum": lambda n: n.max_wh,
    "EnergyRequest.Minimum.V2X": lambda n: n.v2x_min_wh,
    "EnergyRequest.Maximum.V2X": lambda n: n.v2x_max_wh,
    "Power.Import.Minimum": lambda n: n.min_charge_w,
    "Power.Export.Minimum": lambda n: _less(0.0, n.min_discharge_w),
}
_OF_REPORT: dict[str, Callable[[EvseReport], float | None]] = {
    "Display.BatteryEnergyCapacity": lambda r: r.snapshot.vehicle.capacity_wh,
    "Display.PresentSOC": lambda r: r.snapshot.vehicle.soc_pct,
    "Power.Active.Setpoint": lambda r: r.decision.wanted_w,
    "Power.Export.Offered": lambda r: max(-r.decision.low_w, 0.0),
    "Power.Import.Offered": lambda r: max(r.decision.high_w, 0.0),
    "Power.Offered": lambda r: max(r.decision.high_w, 0.0),
    "SoC": lambda r: r.snapshot.vehicle.soc_pct,
    "Voltage.Maximum": lambda r: _volts(r, highest=True),
    "Voltage.Minimum": lambda r: _volts(r, highest=False),
}


def _volts(report: EvseReport, *, highest: bool) -> float | None:
    """The vehicle's own bounds; 0 = it has not said them."""
    limits = report.snapshot.vehicle.limits
    if limits is None:
        return None
    return (limits.voltage_max_v if highest else limits.voltage_min_v) or None
