"""Block J: what the meter, the vehicle and the decision say, as SampledValues.

Pure functions. Registers are passed on as read (J02.FR.16, .17); a reading older than
`FRESH_S` is no measurement and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks.desk import stamp
from chargerd.ocpp.effects import Payload
from firmware_bridge.api import MeterReading, Reading

FRESH_S = 10.0
Phased = list[tuple[float, str]]  # value and phase, "" = the whole

_UNITS = {
    "Energy": "Wh", "Power": "W", "Current": "A", "Voltage": "V", "SoC": "Percent",
    "Frequency": "Hz",
}  # fmt: skip


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
) -> Payload | None:
    """A MeterValueType, None when nothing asked for is known. `at_utc`: the grid time
    of clock-aligned values (J01), else the time of the reading."""
    reading = fresh_meter(report, now)
    samples = []
    for measurand in measurands:
        for value, phase in _values(measurand, report, reading):
            if math.isfinite(value):
                samples.append(_sample(measurand, value, phase, context))
    if not samples:
        return None
    taken = at_utc or (now.utc_at(reading.at_mono) if reading else now.utc)
    return {"timestamp": stamp(taken), "sampledValue": samples}


def _sample(measurand: str, value: float, phase: str, context: str) -> Payload:
    sample: Payload = {
        "value": round(value, 3),
        "measurand": measurand,
        "context": context,
        "unitOfMeasure": {"unit": _UNITS[measurand.split(".", maxsplit=1)[0]]},
    }
    if phase:
        sample["phase"] = phase
    if measurand == "SoC":
        sample["location"] = "EV"
    return sample


def _values(
    measurand: str, report: EvseReport, reading: Reading[MeterReading] | None
) -> Phased:
    if measurand in _OF_METER:
        return _OF_METER[measurand](reading.value) if reading else []
    if measurand == "SoC":
        soc = report.snapshot.vehicle.soc_pct
        return [] if soc is None else [(soc, "")]
    if measurand == "Power.Active.Setpoint":
        return [(report.decision.wanted_w, "")]
    if measurand == "Power.Active.Residual" and reading:
        return [(reading.value.power_w - report.decision.wanted_w, "")]
    if measurand == "Power.Offered":
        return [(max(report.decision.high_w, 0.0), "")]
    return []


def _one(value: float | None) -> Phased:
    return [] if value is None else [(value, "")]


def _each(values: Iterable[float], suffix: str = "") -> Phased:
    return [(value, f"L{n}{suffix}") for n, value in enumerate(values, 1)]


# Signs: our positive is into the vehicle; Import and Export are magnitudes. The value
# stands first in max(): so NaN stays NaN and is left out, it does not become 0 W.
_OF_METER: dict[str, Callable[[MeterReading], Phased]] = {
    "Energy.Active.Import.Register": lambda m: _one(m.import_wh),
    "Energy.Active.Export.Register": lambda m: _one(m.export_wh),
    "Energy.Active.Net": lambda m: _one(m.import_wh - m.export_wh),
    "Power.Active.Import": lambda m: _one(max(m.power_w, 0.0)),
    "Power.Active.Export": lambda m: _one(max(-m.power_w, 0.0)),
    "Current.Import": lambda m: _each(max(a, 0.0) for a in m.current_a),
    "Current.Export": lambda m: _each(max(-a, 0.0) for a in m.current_a),
    "Voltage": lambda m: _each(m.voltage_v, "-N"),
    "Frequency": lambda m: _one(m.frequency_hz),
}
