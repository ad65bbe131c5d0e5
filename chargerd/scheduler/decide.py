"""Arbitration (law 3): one snapshot in, one power with its reasons out.

Pure. Every stage narrows [low, high] around zero, none can widen; discharge needs the
word of safety, vehicle, grid connection and DER. The promise alone may lift `low` above
zero, inside what is left. Then dispatch, plan and idle make a wish inside the bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from chargerd.evse import pilot
from chargerd.evse.session import RUNNING
from chargerd.model import (
    DispatchSignal,
    OperationMode,
    Priority,
    Reason,
    Segment,
    Snapshot,
    VehiclePhase,
)
from chargerd.scheduler import promise as promises
from chargerd.scheduler import words
from chargerd.scheduler.battery import SOC_MAX_AGE_S, Estimate
from chargerd.scheduler.promise import Line, Plant

METER_MAX_AGE_S = 3.0
VEHICLE_MAX_AGE_S = 1.0  # IEC 61851-25:2020 6.3.5.5 by analogy; CHAdeMO: 1 s
NOMINAL_HZ = (50.0, 60.0)
FREQUENCY_BAND_HZ = 2.5  # outside it nothing is fed back [K: the grid code decides]
DERATE_SHARE = 0.5
PLAN_BAND_PCT = 2.0
IDLE_W = 1.0
_MODES_OF_WISH = (
    OperationMode.CENTRAL_SETPOINT,
    OperationMode.EXTERNAL_SETPOINT,
    OperationMode.CENTRAL_FREQUENCY,
    OperationMode.CHARGING_ONLY,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One EVSE's constants: AC ratings as magnitudes, and the owner's standing wish."""

    charge_w: float
    discharge_w: float
    efficiency: float
    voltage_max_v: float
    ac_volts: float  # sum over the phases used, 0 = no AC path
    ac_current_max_a: float
    target_pct: float
    floor_pct: float
    lifetime_s: float
    failsafe_import_w: float


@dataclass(frozen=True, slots=True)
class Context:
    """What the tick knows beyond the snapshot. Defaults are the safe side."""

    fresh: bool = False  # telemetry of every needed device is there and young
    stops_power: bool = True
    no_discharge: bool = True
    derated: bool = False
    battery: Estimate = field(default_factory=Estimate)
    rate: float = 0.95
    line: Line = promises.FREE  # of the last tick
    plan_done: bool = False  # the target was reached, until 2 % below
    station_evses: int = 1  # EVSEs in energy, for setpoints of the whole station
    other_charge_w: float = 0.0  # of the other EVSEs, >= 0
    other_discharge_w: float = 0.0  # <= 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision before ramp and envelope. `hard_*` may cut at once, without ramp."""

    wanted_w: float
    low_w: float
    high_w: float
    hard_low_w: float
    hard_high_w: float
    offer_low_w: float  # the same bounds while the power path is still open
    offer_high_w: float
    power_permitted: bool
    discharge_permitted: bool
    mode: OperationMode
    source: str
    valid_until_mono: float
    line: Line
    plan_done: bool
    hold_turn: bool
    reasons: tuple[Reason, ...]


class _Ledger:
    """Bounds being narrowed, and who did it. 0 stays inside until the promise."""

    __slots__ = ("entries", "floor", "high", "high_by", "low", "low_by", "top")

    def __init__(self, low: float, high: float, source: str) -> None:
        self.floor, self.top = low, high
        self.low, self.high = low, high
        self.low_by = self.high_by = source
        self.entries: list[tuple[str, str, float, float, float | None, str]] = [
            ("safety", source, low, high, None, "what this EVSE is built for")
        ]

    def cap(
        self, stage: str, source: str, low: float, high: float, note: str = ""
    ) -> None:
        """Narrow. A bound beyond zero counts as zero; NaN closes its side."""
        low = min(low, 0.0) if low == low else 0.0
        high = max(high, 0.0) if high == high else 0.0
        if low > self.low:
            self.low, self.low_by = low, source
        if high < self.high:
            self.high, self.high_by = high, source
        shown = (max(low, self.floor), min(high, self.top))
        self.entries.append((stage, source, *shown, None, note))

    def say(self, stage: str, source: str, wish: float | None, note: str = "") -> None:
        self.entries.append((stage, source, self.low, self.high, wish, note))

    def bound_at(self, power_w: float) -> str:
        """Who set the bound that `power_w` sits on, "" = it is free of both."""
        if power_w > 0.0 and power_w == self.high:
            return self.high_by
        return self.low_by if power_w < 0.0 and power_w == self.low else ""

    def reasons(self, winners: tuple[str, ...]) -> tuple[Reason, ...]:
        return tuple(
            Reason(stage, source, low, high, wish, source in winners, note)
            for stage, source, low, high, wish, note in self.entries
        )


def is_ac(snap: Snapshot) -> bool:
    """No vehicle protocol and no CHAdeMO plug: IEC 61851 PWM on the AC contactor."""
    reading = snap.telemetry.pilot
    chademo = reading is not None and reading.value.chademo_proximity
    return snap.vehicle.phase is VehiclePhase.NONE and not chademo


def on_ac(snap: Snapshot) -> bool:
    """The vehicle charges (and gives) AC and talks about it: its limits are in W."""
    limits = snap.vehicle.limits
    return limits is not None and limits.charge_w is not None


def path_closed(snap: Snapshot) -> bool:
    """Power may be decided: in ENERGY, by PWM whenever it may be offered."""
    if not is_ac(snap):
        return snap.vehicle.phase is VehiclePhase.ENERGY
    reading = snap.telemetry.pilot
    return reading is not None and reading.value.pilot_state in pilot.PLUGGED


def decide(snap: Snapshot, unit: Unit, ctx: Context) -> Verdict:
    """Run the stages in the order of law 3."""
    ac_path = is_ac(snap)
    now_mono = snap.now.mono
    ledger = _ratings(unit, snap)
    _safety(ledger, snap, ctx)
    permits = _vehicle(ledger, snap, unit, ac_path)
    permits = _grid(ledger, snap, unit) and permits
    permits = _der(ledger, snap) and permits
    _site(ledger, snap, unit, ctx)
    segments = [(s, g) for s in snap.signals if (g := s.at(now_mono)) is not None]
    _contracts(ledger, segments, ctx)
    permits = permits and not ctx.no_discharge and ctx.fresh and not ac_path
    if not permits and ledger.low < 0.0:
        ledger.cap("safety", "permission", 0.0, math.inf, "a permission is missing")
    hard_low, hard_high = ledger.low, ledger.high
    line = _promise(ledger, snap, unit, ctx)
    low, high = ledger.low, ledger.high
    wish, source, mode, signal, plan_done = _wish(ledger, snap, unit, ctx, segments)
    gate = _gate(snap, ctx)
    power = min(max(wish, low), high)
    if ac_path and 0.0 < power < pilot.MIN_A * unit.ac_volts:
        power, high, ledger.high_by = 0.0, 0.0, "pilot.6A"
        ledger.say("vehicle", "pilot.6A", None, "less than 6 A cannot be offered")
    binder = (
        ledger.high_by if wish > power else ledger.low_by if wish < power else source
    )
    asked = "" if binder == "promise" else source  # lifted past the wish: it lost
    winners = (binder, asked, ledger.bound_at(power))
    if binder == "promise":
        mode = OperationMode.CHARGING_ONLY
    if gate:
        ledger.entries.append(("safety", gate, 0.0, 0.0, None, words.gate(gate)))
        power, binder = 0.0, gate
        mode = OperationMode.IDLE
    until = now_mono + unit.lifetime_s
    if signal is not None:
        until = min(until, signal.valid_until_mono)
    return Verdict(
        wanted_w=power,
        low_w=0.0 if gate else low,
        high_w=0.0 if gate else high,
        hard_low_w=0.0 if gate else hard_low,
        hard_high_w=0.0 if gate else hard_high,
        offer_low_w=hard_low,
        offer_high_w=hard_high,
        power_permitted=not gate and not ctx.stops_power and ctx.fresh,
        discharge_permitted=permits,
        mode=mode,
        source=binder,
        valid_until_mono=until,
        line=line,
        plan_done=plan_done,
        hold_turn=signal is None or signal.priority < Priority.RESERVE,
        reasons=ledger.reasons((gate,) if gate else winners),
    )


def _gate(snap: Snapshot, ctx: Context) -> str:
    """Why no power may be on the wire at all, "" = it may."""
    if ctx.stops_power:
        return words.culprit(snap.faults)
    if not ctx.fresh:
        return "telemetry"
    session = snap.session
    if session.phase not in RUNNING or not session.authorised:
        return f"session.{session.phase.value}"
    if not path_closed(snap):
        return f"vehicle.{snap.vehicle.phase.value}"
    return ""


def _ratings(unit: Unit, snap: Snapshot) -> _Ledger:
    outlet_w = unit.ac_current_max_a * unit.ac_volts
    if is_ac(snap):
        return _Ledger(0.0, outlet_w, "rating.ac")
    if on_ac(snap):
        low_w, high_w = -min(unit.discharge_w, outlet_w), min(unit.charge_w, outlet_w)
        return _Ledger(low_w, high_w, "rating.ac")
    return _Ledger(-unit.discharge_w, unit.charge_w, "rating")


def _safety(ledger: _Ledger, snap: Snapshot, ctx: Context) -> None:
    if ctx.stops_power:
        name = words.culprit(snap.faults)
        ledger.cap("safety", name, 0.0, 0.0, "a fault is present")
    elif not ctx.fresh:
        ledger.cap("safety", "telemetry", 0.0, 0.0, "a device is silent")
    elif ctx.no_discharge:
        name = words.culprit(snap.faults)
        ledger.cap("safety", name, 0.0, math.inf, "discharge is barred")
    if ctx.derated:
        share = DERATE_SHARE
        note = "hot: derated"
        ledger.cap("safety", "derate", ledger.floor * share, ledger.top * share, note)


def _vehicle(ledger: _Ledger, snap: Snapshot, unit: Unit, ac_path: bool) -> bool:
    """Returns the vehicle's positive permission to discharge.

    `requested_a` is no bound here: a vehicle's request depends on what we offer. It is
    followed when the command is made (evse/actuate).
    """
    vehicle, now_mono = snap.vehicle, snap.now.mono
    if ac_path:
        cable = (
            snap.telemetry.pilot.value.cable_limit_a if snap.telemetry.pilot else None
        )
        if cable is not None:
            ledger.cap(
                "vehicle", "cable", 0.0, cable * unit.ac_volts, f"{cable:.0f} A cable"
            )
        return False
    limits = vehicle.limits
    source = vehicle.protocol or "vehicle"
    if vehicle.phase is not VehiclePhase.ENERGY:
        return limits is None or limits.discharge_allowed
    if limits is None or now_mono - limits.at_mono > VEHICLE_MAX_AGE_S:
        ledger.cap("vehicle", source, 0.0, 0.0, "its limits are too old")
        return False
    allowed = limits.discharge_allowed
    if limits.charge_w is not None:
        low, high = limits.discharge_w or 0.0, limits.charge_w
        note = words.vehicle_ac(limits)
    else:
        volts = dc_volts(snap, unit)
        high = limits.charge_a * volts / unit.efficiency
        low = limits.discharge_a * volts * unit.efficiency
        note = words.vehicle(limits, volts)
    ledger.cap("vehicle", source, low if allowed else 0.0, high, note)
    soc_age = now_mono - vehicle.soc_at_mono
    if vehicle.soc_pct is None or soc_age > SOC_MAX_AGE_S:
        ledger.cap("vehicle", f"{source}.soc", 0.0, math.inf, "discharge refused: SoC")
        return False
    return allowed


def dc_volts(snap: Snapshot, unit: Unit) -> float:
    """The DC voltage power is counted with: measured, else the vehicle's maximum."""
    stage = snap.telemetry.stage
    if stage is not None and stage.value.voltage_v > 50.0:
        return stage.value.voltage_v
    limits = snap.vehicle.limits
    top = limits.voltage_max_v if limits else 0.0
    return min(top, unit.voltage_max_v) if top > 0.0 else unit.voltage_max_v


def _grid(ledger: _Ledger, snap: Snapshot, unit: Unit) -> bool:
    if not snap.site.discharge_permitted:
        note = "discharge refused: no permit"
        ledger.cap("grid", "config.site.export_permit", 0.0, math.inf, note)
        return False
    if not snap.session.discharge_authorised:
        note = "discharge refused: not authorised"
        ledger.cap("grid", "authorisation", 0.0, math.inf, note)
        return False
    ledger.cap("grid", "permit", -unit.discharge_w, math.inf, snap.site.permit)
    return unit.discharge_w > 0.0


def _der(ledger: _Ledger, snap: Snapshot) -> bool:
    """Defaults of the DER profile: nothing is fed into a grid off its frequency."""
    hertz = snap.site.frequency_hz
    if hertz is None:
        return True
    if all(abs(hertz - nominal) > FREQUENCY_BAND_HZ for nominal in NOMINAL_HZ):
        note = f"discharge refused: {hertz:.2f} Hz"
        ledger.cap("der", "der.frequency", 0.0, math.inf, note)
        return False
    return True


def _site(ledger: _Ledger, snap: Snapshot, unit: Unit, ctx: Context) -> None:
    """The connection's limits less all the others; blind, the EVSEs share one cap."""
    site = snap.site
    if site.meter_age_s is not None and site.meter_age_s > METER_MAX_AGE_S:
        note = f"site meter silent for {min(site.meter_age_s, 9999.0):.0f} s"
        source = "config.site.failsafe_import_w"
        high = unit.failsafe_import_w - ctx.other_charge_w
        ledger.cap("site", source, 0.0, high, note)
        return
    least_w = site.others_w if site.others_least_w is None else site.others_least_w
    low = site.export_limit_w - least_w
    high = site.import_limit_w - site.others_w
    ledger.cap("site", "config.site", low, high, words.site(site))


def _contracts(
    ledger: _Ledger, segments: list[tuple[DispatchSignal, Segment]], ctx: Context
) -> None:
    """Limits of every live signal are contracts, whatever its rank.

    ChargingOnly means no discharge. Limits for the whole station count what the other
    EVSEs take.
    """
    for signal, segment in segments:
        low, high = -math.inf, math.inf
        if segment.limit_w is not None:
            high = segment.limit_w
        if segment.discharge_limit_w is not None:
            low = segment.discharge_limit_w
        if signal.evse_id == 0:
            high -= ctx.other_charge_w
            low -= ctx.other_discharge_w
        note = "limit of this signal"
        if segment.mode is OperationMode.CHARGING_ONLY:
            low, note = 0.0, "ChargingOnly: no discharge"
        if low > -math.inf or high < math.inf:
            ledger.cap("site", signal.source, low, high, note)


def _promise(ledger: _Ledger, snap: Snapshot, unit: Unit, ctx: Context) -> Line:
    wish = snap.session.promise
    floor = max(unit.floor_pct, wish.floor_soc_pct if wish else 0.0)
    plant = Plant(ledger.high, unit.efficiency, ctx.rate)
    line = promises.draw(
        wish, ctx.battery, plant, floor, -ledger.low, ctx.line, snap.now.mono
    )
    if not line.discharge_ok and ledger.low < 0.0:
        ledger.cap("promise", "promise", 0.0, math.inf, line.note)
    if line.must_charge and ledger.high > 0.0:
        ledger.low, ledger.low_by = ledger.high, "promise"
        ledger.say("promise", "promise", ledger.high, f"must charge: {line.note}")
    return line


def _rank(item: tuple[DispatchSignal, Segment]) -> tuple[int, float]:
    return item[0].priority, item[0].received_mono


def _wish(
    ledger: _Ledger,
    snap: Snapshot,
    unit: Unit,
    ctx: Context,
    segments: list[tuple[DispatchSignal, Segment]],
) -> tuple[float, str, OperationMode, DispatchSignal | None, bool]:
    """Dispatch by priority, then the newest; else the plan; else idle."""
    done = _plan_done(unit, snap, ctx)
    asks = [item for item in segments if _asks(item[1])]
    if asks:
        signal, segment = max(asks, key=_rank)
        wish = segment.setpoint_w or 0.0
        if segment.mode is OperationMode.IDLE:
            wish = 0.0
        elif segment.mode is OperationMode.CHARGING_ONLY:
            wish = max(0.0, wish)
        if signal.evse_id == 0:
            wish /= max(1, ctx.station_evses)
        for beaten, other in asks:
            if beaten.source != signal.source:
                note = words.ask(other.setpoint_w or 0.0, other.mode, signal.source)
                ledger.say("dispatch", beaten.source, other.setpoint_w, note)
        note = words.ask(wish, segment.mode)
        ledger.say("dispatch", signal.source, wish, note)
        return wish, signal.source, segment.mode, signal, done
    if not done:
        ledger.say("plan", "plan", ledger.high, "charge to the target")
        return ledger.high, "plan", OperationMode.CHARGING_ONLY, None, done
    ledger.say("idle", "idle", 0.0, "the target is reached")
    return 0.0, "idle", OperationMode.IDLE, None, done


def _asks(segment: Segment) -> bool:
    if segment.mode is OperationMode.IDLE:
        return True
    return segment.setpoint_w is not None and segment.mode in _MODES_OF_WISH


def _plan_done(unit: Unit, snap: Snapshot, ctx: Context) -> bool:
    """Spine's plan: charge to the target SoC, else idle. Unknown SoC: charge."""
    soc = ctx.battery.soc_pct
    if soc is None:
        return False
    wish = snap.session.promise
    target = wish.target_soc_pct if wish else unit.target_pct
    return soc >= target - (PLAN_BAND_PCT if ctx.plan_done else 0.0)
