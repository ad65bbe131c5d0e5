"""What a session did to the vehicle's battery, as seen from the station.

Pure. DC side. For second life and battery passports: a pseudonym instead of the
vehicle's identity. `battery_usage.schema.json` describes the record.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass, field
from datetime import datetime

from chargerd.model import EvseReport
from chargerd.records.chain import Record

SCHEMA = "chargerd.battery-usage.1"
MAX_STEP_S = 3.0  # a longer pause between two samples is not counted
FLOWS_W = 200.0  # less is no direction
ESTIMATE_SPAN_PCT = 20.0  # less SoC moved: no estimate of the capacity
SOC_STEP_PCT = 1.0  # protocols tell whole percents


@dataclass(slots=True)
class _Use:
    """The sums of a running session."""

    session_id: str
    from_utc: datetime
    protocol: str = ""
    vehicle_id: str = ""
    capacity_wh: float | None = None
    side: str = "dc"
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    charging_s: float = 0.0
    discharging_s: float = 0.0
    charge_max_w: float = 0.0
    discharge_max_w: float = 0.0
    turns: int = 0
    direction: int = 0
    soc: list[tuple[float, float]] = field(default_factory=list)  # begin, now
    low: tuple[float, float] | None = None  # SoC, and net Wh when it came to it
    high: tuple[float, float] | None = None
    dwell_s: list[float] = field(default_factory=lambda: [0.0] * 10)  # per 10 % of SoC
    hottest_c: dict[str, float] = field(default_factory=dict)


class Usage:
    """Of one EVSE. `step` with each sampled report; a record when a session ended."""

    def __init__(self, evse_id: int, station: str, key: bytes) -> None:
        self._station, self._evse_id, self._key = station, evse_id, key
        self._use: _Use | None = None
        self._last_mono = 0.0
        self._last_utc: datetime | None = None

    def step(self, report: EvseReport) -> list[Record]:
        snap = report.snapshot
        due: list[Record] = []
        if self._use is not None and snap.session.id != self._use.session_id:
            due = self.close()
        if snap.session.id:
            if self._use is None:
                self._use = _Use(snap.session.id, snap.now.utc)
                self._last_mono = snap.now.mono
            self._count(self._use, report, snap.now.mono - self._last_mono)
        self._last_mono, self._last_utc = snap.now.mono, snap.now.utc
        return due

    def close(self) -> list[Record]:
        """The record of the session that is open; none where nothing flowed."""
        use, self._use = self._use, None
        moved = use is not None and use.charged_wh + use.discharged_wh > 0.0
        if use is None or self._last_utc is None or not moved:
            return []
        return [self._record(use, self._last_utc)]

    def _count(self, use: _Use, report: EvseReport, step_s: float) -> None:
        vehicle = report.snapshot.vehicle
        use.protocol = vehicle.protocol or use.protocol
        use.vehicle_id = vehicle.vehicle_id or use.vehicle_id
        use.capacity_wh = vehicle.capacity_wh or use.capacity_wh
        step_s = step_s if 0.0 <= step_s <= MAX_STEP_S else 0.0
        _count_power(use, _power_w(use, report), step_s)
        if vehicle.soc_pct is not None and math.isfinite(vehicle.soc_pct):
            _count_soc(use, vehicle.soc_pct, step_s)
        telemetry = report.snapshot.telemetry
        for name, reading in (("stage", telemetry.stage), ("contact", telemetry.pilot)):
            degrees = reading.value.temperature_c if reading else None
            if degrees is not None:
                hottest_c = use.hottest_c.get(name, degrees)
                use.hottest_c[name] = max(degrees, hottest_c)

    def _record(self, use: _Use, to_utc: datetime) -> Record:
        capacity_wh = use.capacity_wh
        throughput_wh = use.charged_wh + use.discharged_wh
        return {
            "kind": "battery",
            "schema": SCHEMA,
            "station": self._station,
            "evse_id": self._evse_id,
            "session_id": use.session_id,
            "vehicle": pseudonym(self._key, use.vehicle_id),
            "protocol": use.protocol,
            "from_utc": use.from_utc.isoformat(timespec="milliseconds"),
            "to_utc": to_utc.isoformat(timespec="milliseconds"),
            "measured_at": use.side,
            "charged_wh": round(use.charged_wh, 1),
            "discharged_wh": round(use.discharged_wh, 1),
            "charging_s": round(use.charging_s),
            "discharging_s": round(use.discharging_s),
            "direction_changes": use.turns,
            "reported_capacity_wh": capacity_wh,
            "equivalent_full_cycles": (
                round(throughput_wh / capacity_wh / 2.0, 4) if capacity_wh else None
            ),
            "c_rate": {
                "charge_max": _rate(use.charge_max_w, capacity_wh),
                "discharge_max": _rate(use.discharge_max_w, capacity_wh),
                "charge_mean": _mean(use.charged_wh, use.charging_s, capacity_wh),
                "discharge_mean": _mean(
                    use.discharged_wh, use.discharging_s, capacity_wh
                ),
            },
            "soc": {
                "begin_pct": use.soc[0][0] if use.soc else None,
                "end_pct": use.soc[-1][0] if use.soc else None,
                "min_pct": use.low[0] if use.low else None,
                "max_pct": use.high[0] if use.high else None,
                "dwell_s": [round(seconds) for seconds in use.dwell_s],
            },
            "battery_temperature_c": None,  # no protocol of ours tells it
            "station_max_temperature_c": {
                name: use.hottest_c.get(name) for name in ("stage", "contact")
            },
            "capacity_estimate": _estimate(use),
        }


def pseudonym(key: bytes, vehicle_id: str) -> str | None:
    """The same vehicle has the same one at this station; nobody without the key can
    tell which vehicle it is."""
    if not vehicle_id:
        return None
    return hmac.new(key, vehicle_id.encode(), hashlib.sha256).hexdigest()[:32]


def _power_w(use: _Use, report: EvseReport) -> float:
    """DC where there is a stage, else AC at the meter."""
    telemetry, mono = report.snapshot.telemetry, report.snapshot.now.mono
    if telemetry.stage is not None:
        fresh = telemetry.stage.age_s(mono) <= MAX_STEP_S
        return telemetry.stage.value.power_w if fresh else 0.0
    use.side = "ac"
    meter = telemetry.meter
    fresh = meter is not None and meter.age_s(mono) <= MAX_STEP_S
    return meter.value.power_w if meter is not None and fresh else 0.0


def _count_power(use: _Use, power_w: float, step_s: float) -> None:
    if not math.isfinite(power_w):
        return
    moved_wh = abs(power_w) * step_s / 3600.0
    if power_w > 0.0:
        use.charged_wh += moved_wh
    else:
        use.discharged_wh += moved_wh
    if abs(power_w) < FLOWS_W:
        return
    direction = 1 if power_w > 0.0 else -1
    use.turns += use.direction not in (0, direction)
    use.direction = direction
    if direction > 0:
        use.charging_s += step_s
        use.charge_max_w = max(use.charge_max_w, power_w)
    else:
        use.discharging_s += step_s
        use.discharge_max_w = max(use.discharge_max_w, -power_w)


def _count_soc(use: _Use, soc_pct: float, step_s: float) -> None:
    point = (soc_pct, use.charged_wh - use.discharged_wh)
    use.soc[1:] = [point]  # the first one stays
    if use.low is None or soc_pct < use.low[0]:
        use.low = point
    if use.high is None or soc_pct > use.high[0]:
        use.high = point
    use.dwell_s[min(9, max(0, int(soc_pct // 10)))] += step_s


def _estimate(use: _Use) -> dict[str, float] | None:
    """From the net energy between the lowest and the highest SoC. The uncertainty is
    that of SoC's steps alone; losses in the battery are not known here."""
    if use.low is None or use.high is None or use.side != "dc":
        return None
    span_pct = use.high[0] - use.low[0]
    energy_wh = use.high[1] - use.low[1]
    if span_pct < ESTIMATE_SPAN_PCT or energy_wh <= 0.0:
        return None
    return {
        "capacity_wh": round(energy_wh / span_pct * 100.0),
        "soc_span_pct": span_pct,
        "uncertainty_pct": round(100.0 * SOC_STEP_PCT / span_pct, 1),
    }


def _rate(power_w: float, capacity_wh: float | None) -> float | None:
    return round(power_w / capacity_wh, 3) if capacity_wh else None


def _mean(energy_wh: float, seconds: float, capacity_wh: float | None) -> float | None:
    if seconds <= 0.0:
        return None
    return _rate(energy_wh * 3600.0 / seconds, capacity_wh)
