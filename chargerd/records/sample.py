"""One line of the record: what was measured, commanded and allowed at an instant.

Pure. Owns the columns and how a report becomes one line. Never holds a token or a
vehicle's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chargerd.model import EvseReport, OperationMode, Priority, Promise
from chargerd.plan import PricePart

Row = dict[str, Any]  # "evse_id", "utc_ms", then the columns by name


@dataclass(frozen=True, slots=True)
class Column:
    """A number, kept as the integer nearest to `value * per`."""

    name: str
    per: int


NUMBERS = (
    Column("power_w", 1),  # the meter's, None while it is silent
    Column("setpoint_w", 1),  # commanded, after ramp and envelope
    Column("wanted_w", 1),  # before them
    Column("baseline_w", 1),  # what would have been commanded without dispatch
    Column("low_w", 1),
    Column("high_w", 1),
    Column("grid_w", 1),  # at the connection
    Column("frequency_hz", 1000),
    Column("frequency_age_s", 1000),
    Column("voltage_v", 10),
    Column("soc_pct", 10),
    Column("must_soc_pct", 10),  # the must-charge line: less than this is too late
    Column("target_soc_pct", 10),
    Column("import_wh", 10),  # registers of the EVSE's meter
    Column("export_wh", 10),
    Column("buy_per_kwh", 10_000),
    Column("sell_per_kwh", 10_000),
    Column("co2_g_per_kwh", 1),
)
TEXTS = ("phase", "mode", "source", "session_id", "clock")

METER_MAX_AGE_S = 3.0
NOISE_WH, COARSE_WH = 1.0, 1_000.0  # a register may step back, and on
MOST_W = 2_000_000.0  # no EVSE is larger (`config_base.Watts`)
RESERVE_MODES = (OperationMode.LOCAL_FREQUENCY, OperationMode.CENTRAL_FREQUENCY)


def sample(report: EvseReport, baseline_w: float, price: PricePart | None) -> Row:
    """The line of this report."""
    snap, decision = report.snapshot, report.decision
    now, site, session = snap.now, snap.site, snap.session
    meter = snap.telemetry.meter
    if meter is not None and meter.age_s(now.mono) > METER_MAX_AGE_S:
        meter = None
    known_hz = site.frequency_hz is not None
    return {
        "evse_id": snap.evse_id,
        "utc_ms": utc_ms(now.utc),
        "power_w": meter.value.power_w if meter else None,
        "setpoint_w": decision.power_w,
        "wanted_w": decision.wanted_w,
        "baseline_w": baseline_w,
        "low_w": decision.low_w,
        "high_w": decision.high_w,
        "grid_w": site.grid_w,
        "frequency_hz": site.frequency_hz,
        "frequency_age_s": site.frequency_age_s if known_hz else None,
        "voltage_v": site.voltage_v,
        "soc_pct": snap.vehicle.soc_pct,
        "must_soc_pct": must_soc_pct(session.promise, snap.vehicle.soc_pct, now.mono),
        "target_soc_pct": session.promise.target_soc_pct if session.promise else None,
        "import_wh": meter.value.import_wh if meter else None,
        "export_wh": meter.value.export_wh if meter else None,
        "buy_per_kwh": price.buy_per_kwh if price else None,
        "sell_per_kwh": price.sell_per_kwh if price else None,
        "co2_g_per_kwh": price.co2_g_per_kwh if price else None,
        "phase": session.phase.value,
        "mode": decision.mode.value,
        "source": decision.source,
        "session_id": session.id,
        "clock": "trusted" if now.trusted else "not set",
    }


def utc_ms(utc: datetime) -> int:
    return round(utc.timestamp() * 1000)


def iso(stamp_ms: int) -> str:
    """ISO 8601 with milliseconds."""
    when = datetime.fromtimestamp(stamp_ms / 1000.0, UTC)
    return when.isoformat(timespec="milliseconds")


def counted_wh(before_wh: float, now_wh: float, step_s: float) -> float | None:
    """What a register counted; None where it jumped: the meter was reset or replaced,
    and nobody knows. (The heart knows the EVSE's rating: evse/registers.py.)"""
    moved_wh = now_wh - before_wh
    most_wh = MOST_W * step_s / 3600.0 + COARSE_WH
    return moved_wh if -NOISE_WH <= moved_wh <= most_wh else None


def reserve_active(report: EvseReport) -> bool:
    """A reserve service is followed or may call at any moment: record it finely."""
    snap = report.snapshot
    if report.decision.mode in RESERVE_MODES:
        return True
    return any(
        signal.priority is Priority.RESERVE and signal.at(snap.now.mono) is not None
        for signal in snap.signals
    )


def dispatched(report: EvseReport) -> bool:
    """A dispatch signal shaped the power now."""
    return any(r.won and r.stage == "dispatch" for r in report.decision.reasons)


def baseline_w(report: EvseReport, before_w: float) -> float:
    """What would be commanded without dispatch: the signal's own baseline under a
    curve, else `before_w`, the power just before the dispatch began."""
    if not dispatched(report):
        return report.decision.power_w
    now_mono = report.snapshot.now.mono
    for signal in report.snapshot.signals:
        segment = signal.at(now_mono)
        if signal.source == report.decision.source and segment and segment.curve:
            return segment.setpoint_w or 0.0
    return before_w


def must_soc_pct(
    promise: Promise | None, soc_pct: float | None, now_mono: float
) -> float | None:
    """The least SoC that still keeps the promise, on the straight line to departure.

    The slack says how long charging can wait; the rest is the time it needs.
    """
    if promise is None or soc_pct is None or promise.slack_s is None:
        return None
    left_s = promise.departure_mono - now_mono
    needs_s = left_s - promise.slack_s
    if needs_s <= 0.0 or left_s <= 0.0 or soc_pct >= promise.target_soc_pct:
        return None
    rate = (promise.target_soc_pct - soc_pct) / needs_s
    return max(0.0, promise.target_soc_pct - left_s * rate)
