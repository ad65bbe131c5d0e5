"""Stages 6 to 9 of law 3: the driver's promise, dispatch, plan, idle.

Pure. The promise may lift the lower bound; what follows only wishes inside the bounds.
A dead setpoint is let go in a straight line to the plan, never held.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from chargerd.model import (
    Curve,
    DispatchSignal,
    OperationMode,
    Priority,
    Segment,
    Snapshot,
)
from chargerd.plan import wish_w
from chargerd.scheduler import balance, droop, headroom, words
from chargerd.scheduler import promise as promises
from chargerd.scheduler.bounds import is_ac, on_ac
from chargerd.scheduler.ledger import Ledger
from chargerd.scheduler.promise import Line, Plant
from chargerd.scheduler.signals import GUARD_S
from chargerd.scheduler.terms import (
    Ask,
    Carry,
    Context,
    Move,
    Release,
    Unit,
    Wish,
)

PLAN_BAND_PCT = 2.0
PLANNED = "plan."  # then the solver
DEADBAND_W = 100.0  # a setpoint nearer to zero is zero: no stage runs well there
MIN_ON_S = 60.0  # the plan starts, stops and turns no more often
CHARGE = (0.0, math.inf)  # what the plan wants until the target is reached
_LATE_S = 0.5  # a signal let go so long before its end has died of age
_MODES_OF_WISH = (
    OperationMode.CENTRAL_SETPOINT,
    OperationMode.EXTERNAL_SETPOINT,
    OperationMode.CENTRAL_FREQUENCY,
    OperationMode.LOCAL_FREQUENCY,
    OperationMode.CHARGING_ONLY,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The wish that won, and what the next tick must know of it."""

    wish_w: float
    source: str
    mode: OperationMode
    carry: Carry
    until_mono: float = math.inf
    hold_turn: bool = True
    setpoint_var: float | None = None
    want_w: tuple[float, float] | None = None  # where the wish itself hangs on bounds
    sleep: bool = False  # the stage may be off


def floor_pct(snap: Snapshot, unit: Unit, ctx: Context) -> float:
    """The highest of the owner's, the driver's and the blackout's floor."""
    wish = snap.session.promise
    told = wish.floor_soc_pct if wish else 0.0
    reserve = 0.0 if ctx.islanded else unit.reserve_pct
    return max(unit.floor_pct, told, reserve, ctx.profile.low_pct)


def keep_promise(ledger: Ledger, snap: Snapshot, unit: Unit, ctx: Context) -> Line:
    """The must-charge line, the floors, and the month's cap on discharge."""
    # A source is never filled: it can promise its floor alone.
    wish = None if ctx.islanded or ctx.profile.source else snap.session.promise
    profile = ctx.profile
    knee = (profile.knee_pct - promises.SOC_ERROR_PCT) / 100.0
    plant = Plant(ledger.sure, unit.efficiency, ctx.rate, knee)
    if wish is not None and wish.target_soc_pct > profile.high_pct:
        wish = replace(wish, target_soc_pct=profile.high_pct)
    line = promises.draw(
        wish,
        ctx.battery,
        plant,
        floor_pct(snap, unit, ctx),
        -ledger.low,
        ctx.carry.line,
        snap.now.mono,
    )
    if ctx.discharge_left_wh <= 0.0 and ledger.low < 0.0:
        note = "the month's discharge is used up"
        ledger.cap("promise", "config.discharge_cap", 0.0, math.inf, note)
    if not line.discharge_ok and ledger.low < 0.0:
        ledger.cap("promise", "promise", 0.0, math.inf, line.note)
    if line.must_charge and ledger.high > 0.0:
        ledger.lift("promise", "promise", ledger.high, f"must charge: {line.note}")
    return line


def choose(
    ledger: Ledger,
    snap: Snapshot,
    unit: Unit,
    ctx: Context,
    segments: list[tuple[DispatchSignal, Segment]],
) -> Choice:
    """Dispatch by priority, then the newest; else the plan; else idle."""
    if ctx.islanded:
        ledger.say("dispatch", "island", ledger.low, words.ISLAND)
        mode = OperationMode.LOCAL_LOAD_BALANCING
        return Choice(ledger.low, "island", mode, Carry(), hold_turn=False)
    plan_w, plan, done = _plan(ledger, snap, unit, ctx)
    asks = [
        ask
        for signal, segment in segments
        if (ask := _read(signal, segment, ledger, snap, unit, ctx, plan_w)) is not None
    ]
    if asks:
        winner = max(asks, key=_rank)
        for ask in asks:
            if ask is not winner:
                note = words.ask(ask.wish_w, ask.mode, winner.signal.source)
                ledger.say("dispatch", ask.signal.source, ask.wish_w, note)
        return _won(winner, ledger, snap, ctx, done)
    release = _release(snap.now.mono, unit, ctx)
    if release is not None:
        gone = (snap.now.mono - release.since_mono) / unit.release_s
        wish = plan_w + (release.from_w - plan_w) * (1.0 - gone)
        note = f"{release.source} has ended: let go to the plan"
        ledger.say("dispatch", "release", wish, note)
        mode = OperationMode.CHARGING_ONLY if wish >= 0.0 else OperationMode.IDLE
        carry = Carry(plan_done=done, release=release)
        return Choice(wish, "release", mode, carry)
    if plan.startswith(PLANNED):
        return _planned(ledger, snap, ctx, plan_w, plan)
    if not done:
        ledger.say("plan", plan, plan_w, "charge to the target")
        mode = OperationMode.CHARGING_ONLY
    else:
        ledger.say("idle", plan, plan_w, "the target is reached")
        mode = OperationMode.IDLE
    want = (0.0, 0.0) if done else CHARGE
    return Choice(plan_w, plan, mode, Carry(plan_done=done), want_w=want)


def _planned(
    ledger: Ledger, snap: Snapshot, ctx: Context, plan_w: float, source: str
) -> Choice:
    """The plan's own power, inside the corridor that it keeps free for others."""
    part = ctx.plan.at(snap.now.mono) if ctx.plan else None
    move = ctx.carry.move
    if move is None or move.power_w * plan_w > 0.0 or move.power_w == plan_w:
        since_mono = move.since_mono if move else snap.now.mono
        move = Move(plan_w, since_mono)
    elif snap.now.mono - move.since_mono >= MIN_ON_S:
        move = Move(plan_w, snap.now.mono)
    plan_w = move.power_w
    note = words.plan(plan_w, part.note if part else "")
    ledger.say("plan", source, plan_w, note)
    if plan_w < 0.0:
        mode = OperationMode.EXTERNAL_SETPOINT
    else:
        mode = OperationMode.CHARGING_ONLY if plan_w else OperationMode.IDLE
    return Choice(plan_w, source, mode, Carry(move=move))


def _rank(ask: Ask) -> tuple[int, float]:
    return ask.signal.priority, ask.signal.received_mono


def _won(ask: Ask, ledger: Ledger, snap: Snapshot, ctx: Context, done: bool) -> Choice:
    wish, follower = ask.wish_w, None
    if ask.follow_w is not None:
        follower = _follow(ask.follow_w, ledger, snap, ctx)
        wish = follower.output_w
    elif ask.curve is None and abs(wish) < DEADBAND_W:
        wish = 0.0
    signal = ask.signal
    ledger.say("dispatch", signal.source, wish, words.ask(wish, ask.mode))
    reserve = signal.priority >= Priority.RESERVE or ask.curve is not None
    if not reserve:
        wish = headroom.keep(wish, ledger, ctx, snap.now.mono)
    return Choice(
        wish,
        signal.source,
        ask.mode,
        Carry(
            plan_done=done,
            wish=Wish(signal.source, wish, signal.valid_until_mono),
            follower=follower,
            curve_x=ask.x,
            goal_w=ask.goal_w,
        ),
        until_mono=signal.valid_until_mono,
        hold_turn=not reserve,
        setpoint_var=ask.setpoint_var,
        want_w=None if follower is None else (-math.inf, math.inf),
        sleep=ask.sleep,
    )


def _read(
    signal: DispatchSignal,
    segment: Segment,
    ledger: Ledger,
    snap: Snapshot,
    unit: Unit,
    ctx: Context,
    plan_w: float,
) -> Ask | None:
    """What a live segment wishes now; None = it leaves the choice to others."""
    mode = segment.mode
    parts = max(1, ctx.station_evses) if signal.evse_id == 0 else 1
    var = None if segment.setpoint_var is None else segment.setpoint_var / parts
    if mode is OperationMode.IDLE:
        sleep = segment.sleep and not (is_ac(snap) or on_ac(snap))  # a stage can
        return Ask(signal, 0.0, mode, setpoint_var=var, sleep=sleep)
    if mode is OperationMode.LOCAL_LOAD_BALANCING:
        grid_w, band = snap.site.grid_w, segment.band
        goal_w = None
        if band is not None and grid_w is not None:
            goal_w = balance.goal_w(band, grid_w, ctx.carry.goal_w)
        target_w = segment.follow_w if band is None else goal_w
        if grid_w is None or (band is None and target_w is None):
            return None
        target_w = grid_w if target_w is None else target_w  # well: as it is
        return Ask(signal, ctx.power_w, mode, None, target_w, var, goal_w=goal_w)
    if mode not in _MODES_OF_WISH:
        return None
    asked = segment.setpoint_w
    base_w = None if asked is None else asked / parts
    curve = segment.curve
    x = None if curve is None else _x(curve, segment, snap, unit, ctx.carry.curve_x)
    if curve is not None and x is not None:
        if base_w is None:
            base_w = _baseline(curve, parts, ledger, snap, unit, ctx, plan_w)
        base_w += curve.at(x) / parts
    if base_w is None:
        return None
    if mode is OperationMode.CHARGING_ONLY:
        base_w = max(0.0, base_w)
    used = curve if x is not None else None
    return Ask(signal, base_w, mode, used, None, var, x)


def _x(
    curve: Curve, segment: Segment, snap: Snapshot, unit: Unit, last_x: float | None
) -> float | None:
    """Where on the curve we are; None = not known, or too old to act on."""
    if curve.kind == "signal":
        return segment.signal
    if curve.kind == "voltage":
        return snap.site.voltage_v
    hertz = droop.measured(snap.site, unit.code.frequency_max_age_s)
    if hertz is None or last_x is None:
        return hertz
    # Float dust: a change of 10 mHz is one of 0.01 Hz.
    return hertz if abs(hertz - last_x) >= segment.curve_step - 1e-9 else last_x


def _baseline(
    curve: Curve,
    parts: int,
    ledger: Ledger,
    snap: Snapshot,
    unit: Unit,
    ctx: Context,
    plan_w: float,
) -> float:
    """The plan, with the curve's whole span kept free on both sides, in power and in
    energy for `service_hold_s`. A bound never pushes it to the other side of zero."""
    out_w, in_w = (power / parts for power in droop.span_w(curve))
    low, high = min(0.0, ledger.low - out_w), max(0.0, ledger.high - in_w)
    base = min(max(plan_w, low), high)
    energy_wh, capacity_wh = ctx.battery.energy_wh, ctx.battery.capacity_wh
    if energy_wh is None or capacity_wh is None:
        return base
    hours = unit.service_hold_s / 3600.0
    floor_wh = capacity_wh * floor_pct(snap, unit, ctx) / 100.0
    if energy_wh - floor_wh < -out_w * hours / unit.efficiency:
        return high
    if capacity_wh - energy_wh < in_w * hours * unit.efficiency:
        return low
    return base


def _follow(
    target_w: float, ledger: Ledger, snap: Snapshot, ctx: Context
) -> balance.State:
    site = snap.site
    state = ctx.carry.follower or balance.start(ctx.power_w)
    return balance.step(
        state,
        target_w,
        site.grid_w or 0.0,
        site.meter_mono,
        site.meter_delay_s,
        ctx.power_w,
        ctx.station_evses,
        (ledger.low, ledger.high),
    )


def _release(now_mono: float, unit: Unit, ctx: Context) -> Release | None:
    """Begins when the last winner has died of age; a withdrawn one is just gone."""
    last, release = ctx.carry.wish, ctx.carry.release
    if release is None and last.source:
        if now_mono < last.until_mono - GUARD_S - _LATE_S:
            return None
        release = Release(last.source, last.power_w, now_mono)
    if release is None or now_mono - release.since_mono >= unit.release_s:
        return None
    return release


def _plan(
    ledger: Ledger, snap: Snapshot, unit: Unit, ctx: Context
) -> tuple[float, str, bool]:
    """Without a plan: charge to the target SoC, else idle. Unknown SoC: charge."""
    soc = ctx.battery.soc_pct
    wish = snap.session.promise
    part = ctx.plan.at(snap.now.mono) if ctx.plan else None
    if part is not None and ctx.plan and ctx.battery.energy_wh is not None:
        source = f"{PLANNED}{ctx.plan.solver}"
        return wish_w(part, ctx.battery.energy_wh), source, False
    target = wish.target_soc_pct if wish else unit.target_pct
    if wish is None and ctx.profile.stationary:
        target = ctx.profile.low_pct  # without a plan it only keeps itself alive
    target = min(target, ctx.profile.high_pct)
    band = PLAN_BAND_PCT if ctx.carry.plan_done else 0.0
    if soc is None or soc < target - band:
        return ledger.high, "plan", False
    return 0.0, "idle", True
