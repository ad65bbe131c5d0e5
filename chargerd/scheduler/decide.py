"""Arbitration (law 3): one snapshot in, one power with its reasons out.

Pure. Every stage narrows [low, high] around zero, none can widen; discharge needs the
word of safety, vehicle, grid connection and DER. The promise alone may lift `low` above
zero, inside what is left. Then dispatch, plan and idle make a wish inside the bounds.
"""

from __future__ import annotations

import math
from dataclasses import replace

from chargerd.evse import pilot
from chargerd.evse.session import RUNNING
from chargerd.model import OperationMode, Snapshot, VehiclePhase
from chargerd.scheduler import battery_profile, bounds, droop, wishes, words
from chargerd.scheduler.bounds import is_ac
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.terms import Context, Unit, Verdict


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
    ledger = bounds.ratings(unit, snap)
    bounds.safety(ledger, snap, ctx)
    permits = bounds.vehicle(ledger, snap, unit, ac_path)
    battery_profile.narrow(ledger, ctx.profile, ctx.battery, unit.efficiency)
    der, ruled, segments = droop.REST, ctx.ruled, []
    if ctx.islanded:  # no grid: none of its rules, none of its signals
        ledger.cap("grid", "island", -unit.discharge_w, 0.0, words.ISLAND)
        able_low, able_high = ledger.low, ledger.high
    else:
        permits = bounds.grid(ledger, snap, unit) and permits
        may_feed, der, ruled = bounds.der(ledger, snap, unit, ctx)
        permits = may_feed and permits
        able_low, able_high = ledger.low, ledger.high
        bounds.site(ledger, snap, unit, ctx)
        segments = [(s, g) for s in snap.signals if (g := s.at(now_mono)) is not None]
        bounds.contracts(ledger, segments, ctx)
    permits = permits and not (ctx.no_discharge or ctx.stops_power or ac_path)
    permits = permits and ctx.fresh
    if not permits and ledger.low < 0.0:
        ledger.cap("safety", "permission", 0.0, math.inf, "a permission is missing")
    hard_low, hard_high = ledger.low, ledger.high
    line = wishes.keep_promise(ledger, snap, unit, ctx)
    choice = wishes.choose(ledger, snap, unit, ctx, segments)
    gate = _gate(snap, ctx)
    power, binder, winners = _fit(ledger, choice, unit, ac_path)
    mode = OperationMode.CHARGING_ONLY if binder == "promise" else choice.mode
    var = bounds.reactive(snap, unit, ctx, ruled, power, choice.setpoint_var)
    if gate:
        ledger.entries.append(("safety", gate, 0.0, 0.0, None, words.gate(gate)))
        power, binder, winners = 0.0, gate, (gate,)
        mode = OperationMode.IDLE
    return Verdict(
        wanted_w=power,
        low_w=0.0 if gate else ledger.low,
        high_w=0.0 if gate else ledger.high,
        hard_low_w=0.0 if gate else hard_low,
        hard_high_w=0.0 if gate else hard_high,
        offer_low_w=hard_low,
        offer_high_w=hard_high,
        able_low_w=able_low if permits else 0.0,
        able_high_w=able_high,
        want_w=choice.want_w or (min(0.0, choice.wish_w), max(0.0, choice.wish_w)),
        power_permitted=not gate and not ctx.stops_power and ctx.fresh,
        discharge_permitted=permits,
        mode=mode,
        source=binder,
        valid_until_mono=min(now_mono + unit.lifetime_s, choice.until_mono),
        hold_turn=choice.hold_turn,
        reasons=ledger.reasons(winners),
        carry=replace(choice.carry, line=line, der=der),
        ruled=ruled,
        floor_pct=wishes.floor_pct(snap, unit, ctx),
        setpoint_var=None if gate else var,
        sleep=choice.sleep and power == 0.0 and not gate,
    )


def _fit(
    ledger: Ledger, choice: wishes.Choice, unit: Unit, ac_path: bool
) -> tuple[float, str, tuple[str, ...]]:
    """The wish inside the bounds: (power, who decided it, whose reasons are marked)."""
    wish = choice.wish_w
    power = min(max(wish, ledger.low), ledger.high)
    if ac_path and 0.0 < power < pilot.MIN_A * unit.ac_volts:
        power, ledger.high, ledger.high_by = 0.0, 0.0, "pilot.6A"
        ledger.low = 0.0
        ledger.say("vehicle", "pilot.6A", None, "less than 6 A cannot be offered")
    binder = choice.source
    if wish > power:
        binder = ledger.high_by
    elif wish < power:
        binder = ledger.low_by
    asked = "" if binder == "promise" else choice.source  # lifted past the wish
    bound = ledger.bound_at(power)
    if power == ledger.high == 0.0 and choice.want_w == wishes.CHARGE:
        bound = ledger.high_by  # the plan would charge and may not
    return power, binder, (binder, asked, bound)


def _gate(snap: Snapshot, ctx: Context) -> str:
    """Why no power may be on the wire at all, "" = it may."""
    if ctx.stops_power:
        return words.culprit(snap.faults)
    if not ctx.fresh:
        return "telemetry"
    if ctx.grid_gone and not ctx.islanded:
        return "grid.lost"
    session = snap.session
    if session.phase not in RUNNING or not session.authorised:
        return f"session.{session.phase.value}"
    if not path_closed(snap):
        return f"vehicle.{snap.vehicle.phase.value}"
    return ""
