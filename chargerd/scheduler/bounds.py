"""Stages 1 to 5 of law 3: safety, vehicle, grid connection, DER curves, site.

Pure. Each narrows the ledger around zero; those that know say whether discharge has
their positive permission. None of them wishes anything.
"""

from __future__ import annotations

import math

from chargerd.model import (
    DispatchSignal,
    OperationMode,
    Segment,
    Snapshot,
    VehiclePhase,
)
from chargerd.model_grid import NO_RULES, nominal
from chargerd.scheduler import droop, grid_rules, words
from chargerd.scheduler.battery import SOC_MAX_AGE_S
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.signals import limits
from chargerd.scheduler.terms import Context, Unit

METER_MAX_AGE_S = 3.0
VEHICLE_MAX_AGE_S = 1.0  # IEC 61851-25:2020 6.3.5.5 by analogy; CHAdeMO: 1 s
DERATE_SHARE = 0.5


def is_ac(snap: Snapshot) -> bool:
    """No vehicle protocol and no CHAdeMO plug: IEC 61851 PWM on the AC contactor."""
    reading = snap.telemetry.pilot
    chademo = reading is not None and reading.value.chademo_proximity
    return snap.vehicle.phase is VehiclePhase.NONE and not chademo


def on_ac(snap: Snapshot) -> bool:
    """The vehicle charges (and gives) AC and talks about it: its limits are in W."""
    limits = snap.vehicle.limits
    return limits is not None and limits.charge_w is not None


def ratings(unit: Unit, snap: Snapshot) -> Ledger:
    outlet_w = unit.ac_current_max_a * unit.ac_volts
    if is_ac(snap):
        return Ledger(0.0, outlet_w, "rating.ac")
    if on_ac(snap):
        low_w, high_w = -min(unit.discharge_w, outlet_w), min(unit.charge_w, outlet_w)
        return Ledger(low_w, high_w, "rating.ac")
    return Ledger(-unit.discharge_w, unit.charge_w, "rating")


def safety(ledger: Ledger, snap: Snapshot, ctx: Context) -> None:
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


def vehicle(ledger: Ledger, snap: Snapshot, unit: Unit, ac_path: bool) -> bool:
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


def grid(ledger: Ledger, snap: Snapshot, unit: Unit) -> bool:
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


def der(
    ledger: Ledger, snap: Snapshot, unit: Unit, ctx: Context
) -> tuple[bool, droop.State, grid_rules.State]:
    """The grid code's curves and the network operator's: whoever dispatches."""
    code, site = unit.code, snap.site
    hertz = droop.measured(site, code.frequency_max_age_s)
    asked, permits = 0.0, True
    rating_w = max(unit.discharge_w, unit.charge_w)
    if hertz is not None:
        nominal_hz = nominal(hertz, unit.nominal_hz)
        rating_w = unit.discharge_w if hertz > nominal_hz else unit.charge_w
        asked = droop.asked_w(code, rating_w, hertz, nominal_hz)
        if not -code.feed_under_hz <= hertz - nominal_hz <= code.feed_over_hz:
            note = f"discharge refused: {hertz:.2f} Hz"
            ledger.cap("der", "der.frequency", 0.0, math.inf, note)
            permits = False
    state = droop.step(ctx.carry.der, code, rating_w, asked, ctx.power_w, snap.now.mono)
    if state.shift_w:
        low, high = droop.bounds(state)
        seen = f"{hertz:.2f} Hz" if hertz is not None else "frequency unknown"
        note = f"{seen}: moves {words.kw(state.shift_w)}"
        ruled = ctx.rules.droop
        name = ruled.name if ruled else f"der.droop.{code.name}"
        ledger.cap("der", name, low, high, note)
    if site.voltage_v is not None and code.volt_watt:
        low = droop.volt_watt(code, unit.discharge_w, site.voltage_v, unit.mains_v)
        note = f"{site.voltage_v:.0f} V"
        ledger.cap("der", f"der.volt_watt.{code.name}", low, math.inf, note)
    rules = grid_rules.REST  # a trip ends with its rule
    if ctx.rules != NO_RULES:
        rules = _rules(ledger, snap, unit, ctx)
    return permits, state, rules


def _rules(
    ledger: Ledger, snap: Snapshot, unit: Unit, ctx: Context
) -> grid_rules.State:
    rules, now_mono = ctx.rules, snap.now.mono
    grid = grid_rules.see(snap, unit.code, unit.mains_v, unit.discharge_w)
    state = grid_rules.step(ctx.ruled, rules, grid, now_mono, unit.code.reconnect_s)
    for cap in grid_rules.caps(state, rules, grid, now_mono):
        feed_w = -ledger.low if cap.of_available else unit.discharge_w
        low = cap.low * feed_w if cap.low > -math.inf else -math.inf
        high = cap.high * unit.charge_w if cap.high < math.inf else math.inf
        ledger.cap("der", cap.name, low, high, cap.note)
    if rules.reactive is not None and unit.plate.max_var > 0.0 and not on_ac(snap):
        rule, rating_w = rules.reactive, unit.discharge_w
        for power_w in (ledger.low, ledger.high):
            left_w = grid_rules.beside_w(rule, unit.plate, state, power_w, rating_w)
            if abs(power_w) > left_w:
                bounds = (-left_w, math.inf) if power_w < 0.0 else (-math.inf, left_w)
                ledger.cap("der", rule.name, *bounds, "beside reactive power")
    return state


def reactive(
    snap: Snapshot,
    unit: Unit,
    ctx: Context,
    state: grid_rules.State,
    power_w: float,
    wish_var: float | None,
) -> float | None:
    """The reactive power beside what flows: the network operator's, else the wish."""
    rule = ctx.rules.reactive
    if rule is None or unit.plate.max_var <= 0.0 or on_ac(snap) or ctx.islanded:
        return wish_var
    flows_w = ctx.power_w if ctx.power_w * power_w > 0.0 else power_w
    return grid_rules.reactive(rule, unit.plate, state, flows_w, unit.discharge_w)


def site(ledger: Ledger, snap: Snapshot, unit: Unit, ctx: Context) -> None:
    """The connection's limits less all the others, and this EVSE's share of them.
    Blind, the EVSEs share one cap."""
    site = snap.site
    if site.meter_age_s is not None and site.meter_age_s > METER_MAX_AGE_S:
        note = f"site meter silent for {min(site.meter_age_s, 9999.0):.0f} s"
        source = "config.site.failsafe_import_w"
        high = unit.failsafe_import_w - ctx.other_charge_w
        high = min(high, ctx.share_high_w)
        ledger.cap("site", source, 0.0, high, note, lasts=not ctx.shared)
        ledger.count_on(min(unit.failsafe_import_w, ctx.share_sure_w))
        return
    least_w = site.others_w if site.others_least_w is None else site.others_least_w
    low = site.export_limit_w - least_w
    high = site.import_limit_w - site.others_w
    note = words.site(site)
    ledger.cap("site", "config.site", low, high, note, lasts=not ctx.shared)
    ledger.count_on(ctx.share_sure_w)
    if ctx.share_low_w > low or ctx.share_high_w < high:
        bounds = (ctx.share_low_w, ctx.share_high_w)
        ledger.cap("site", "share", *bounds, ctx.share_note, lasts=False)


def contracts(
    ledger: Ledger, segments: list[tuple[DispatchSignal, Segment]], ctx: Context
) -> None:
    """Limits of every live signal are contracts, whatever its rank. Those for the whole
    station count what the other EVSEs take."""
    for signal, segment in segments:
        low, high = limits(segment)
        if signal.evse_id == 0:
            high -= ctx.other_charge_w
            low -= ctx.other_discharge_w
        note = "limit of this signal"
        if segment.mode is OperationMode.CHARGING_ONLY:
            low, note = 0.0, "ChargingOnly: no discharge"
            if high < math.inf:
                note = "ChargingOnly: limit of this signal, no discharge"
        if low > -math.inf or high < math.inf:
            lasts = signal.evse_id != 0 or not ctx.shared
            ledger.cap("site", signal.source, low, high, note, lasts=lasts)
