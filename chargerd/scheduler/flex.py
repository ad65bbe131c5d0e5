"""Flexibility: what an EVSE could do from now on, beside what it does.

Pure. Told to every uplink once a second. Leans low: energy counts only where floor,
reserve, the month's cap and the promise stay whole.
"""

from __future__ import annotations

import math

from chargerd.model import Flexibility, Reason, Snapshot
from chargerd.scheduler import headroom
from chargerd.scheduler.terms import Context, Unit, Verdict


def see(
    snap: Snapshot, unit: Unit, ctx: Context, verdict: Verdict, power_w: float
) -> Flexibility:
    """From the verdict of this tick and the power that goes to the wire."""
    low, high = verdict.low_w, verdict.high_w
    if not verdict.discharge_permitted:
        low = max(0.0, low)
    wish = snap.session.promise
    kept = headroom.part_of(ctx, snap.now.mono)
    up_w, down_w = max(0.0, power_w - low), max(0.0, high - power_w)
    return Flexibility(
        snap.evse_id,
        snap.now.mono,
        up_w,
        down_w,
        _up_wh(unit, ctx, verdict, power_w, low) if up_w > 0.0 else 0.0,
        _down_wh(snap, unit, ctx) if down_w > 0.0 else 0.0,
        wish.departure_mono if wish else math.inf,
        (_by(verdict.reasons, low, -1), _by(verdict.reasons, high, 1)),
        kept.up_w if kept else 0.0,
        kept.down_w if kept else 0.0,
    )


def _up_wh(
    unit: Unit, ctx: Context, verdict: Verdict, power_w: float, low_w: float
) -> float:
    """What may go into the grid, and still come back before departure."""
    energy_wh, capacity_wh = ctx.battery.energy_wh, ctx.battery.capacity_wh
    line = verdict.carry.line
    slack_s = math.inf if line.slack_s is None else max(0.0, line.slack_s)
    if low_w >= 0.0:  # only what flows in now can be put off
        known = math.isfinite(slack_s) and energy_wh is not None
        return power_w * slack_s / 3600.0 if known else 0.0
    if energy_wh is None or capacity_wh is None:
        return 0.0
    floor_wh = capacity_wh * verdict.floor_pct / 100.0
    spare_wh = max(0.0, energy_wh - floor_wh) * unit.efficiency
    back_w = verdict.hard_high_w * unit.efficiency * ctx.rate
    if math.isfinite(slack_s):
        if back_w <= 0.0:
            return 0.0
        # Each second out costs itself and the time to bring its energy back.
        seconds = slack_s / (1.0 - low_w / unit.efficiency / back_w)
        spare_wh = min(spare_wh, -low_w * seconds / 3600.0)
    return min(spare_wh, ctx.discharge_left_wh)


def _down_wh(snap: Snapshot, unit: Unit, ctx: Context) -> float:
    """What still fits into the battery."""
    energy_wh, capacity_wh = ctx.battery.energy_wh, ctx.battery.capacity_wh
    if energy_wh is None or capacity_wh is None:
        return 0.0
    needs = snap.vehicle.needs
    top_pct = needs.max_soc_pct if needs and needs.max_soc_pct is not None else 100.0
    return max(0.0, capacity_wh * top_pct / 100.0 - energy_wh) / unit.efficiency


def _by(reasons: tuple[Reason, ...], bound_w: float, side: int) -> str:
    """Who set a bound: the first whose own word was that one."""
    for reason in reasons:
        if (reason.low_w if side < 0 else reason.high_w) == bound_w:
            return reason.source
    return ""
